"""Names that an IO manager tells of an ordinary asset's result, and of its errors."""

import dagster as dg
import pandas as pd
import pytest

from orch_assets.defs.io.io_manager import LocalPipelineIOManager
from orch_assets_tests.defs.instances import temporary_instance

NAME = "PLANTED-7f3a"[::-1]  # a text that this file has not


@dg.asset
def pivoted():
    """A column of the source, one of a shipped table, and one that is made of data."""
    return pd.DataFrame({"dose": [1], "subject_id": [1], NAME: [1]})


@dg.asset
def mixed():
    return pd.DataFrame({"dose": [1, 2], NAME: [1, "x"]})


@pytest.fixture
def materialize(tmp_path):
    with temporary_instance() as real:

        def materialize(*assets, **options):
            resources = {"io_manager": LocalPipelineIOManager(root=str(tmp_path))}
            return dg.materialize(
                assets, instance=real, resources=resources, raise_on_error=False, **options
            )

        materialize.instance = real
        yield materialize


def test_a_columns_name_that_is_made_of_data_is_its_position(materialize):
    result = materialize(pivoted)
    (event,) = result.asset_materializations_for_node("pivoted")
    schema = event.metadata["dagster/column_schema"].schema
    assert [column.name for column in schema.columns] == ["dose", "subject_id", "column 2"]
    log = materialize.instance.all_logs(result.run_id)
    assert NAME not in "".join(map(dg.serialize_value, log))


def test_an_error_that_dagster_logs_has_its_position_too(materialize):
    result = materialize(mixed)
    log = "".join(map(dg.serialize_value, materialize.instance.all_logs(result.run_id)))
    assert "'mixed' can't be stored: Column 1 mixes values of several types (int, str)" in log
    assert NAME not in log
