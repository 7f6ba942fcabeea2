"""The component ``StudyPipelines``: what its attributes do, and which ones are refused."""

import subprocess
import sys

import dagster as dg
import pytest

from orch_assets.components import StudyPipelines
from orch_assets.errors import FilterConflictError, PipelineDefinitionError, SettingError

RUNNING = dg.DefaultSensorStatus.RUNNING


def defs_of(attributes):
    component = StudyPipelines.from_attributes_dict(attributes=attributes)
    return dg.build_defs_for_component(component)


def test_every_attribute_reaches_the_code_location(tmp_path):
    defs = defs_of(
        {
            "pipelines": "orch_assets_tests.defs.own_pipelines",
            "shipped": ["subjects"],
            "whitelist": ["ONC-301"],
            "store": str(tmp_path),
            "restricted_store": "s3://bucket/restricted",
            "store_format": "csv",
            "schedule": "0 5 * * * Europe/Berlin",
            "automation": True,
            "studies_per_run": 5,
        }
    )
    keys = {spec.key.to_user_string() for spec in defs.resolve_all_asset_specs()}
    assert keys == {"heights", "subjects", "study_results"}
    assert defs.resources["orchestration"].whitelist == ["ONC-301"]
    assert defs.resources["orchestration"].blacklist is None
    stores = [defs.resources[key] for key in ("io_manager", "restricted_io_manager")]
    assert [each.store.uri for each in stores] == [str(tmp_path), "s3://bucket/restricted"]
    assert [each.store.store_format for each in stores] == ["csv", "csv"]
    assert defs.resources["restricted_store"].uri == "s3://bucket/restricted"
    schedule = defs.resolve_schedule_def("daily_refresh")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 5 * * *", "Europe/Berlin")
    assert defs.resolve_sensor_def("study_registry_sensor").default_status == RUNNING
    graph = defs.resolve_assets_def("subjects")
    assert graph.backfill_policy == dg.BackfillPolicy.multi_run(5)


def test_what_has_no_attribute_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("ORCH_AUTOMATION", "true")
    monkeypatch.setenv("ORCH_STUDIES_PER_RUN", "7")
    monkeypatch.setenv("IMEDNET_WHITELIST", "ONC-301")
    defs = defs_of({"automation": False})
    assert defs.resolve_sensor_def("study_registry_sensor").default_status != RUNNING
    assert defs.resolve_assets_def("subjects").backfill_policy == dg.BackfillPolicy.multi_run(7)
    assert defs.resources["orchestration"].study_filter().whitelist == ["ONC-301"]


@pytest.mark.parametrize(
    ("attributes", "error", "text"),
    [
        ({"whitelist": ["A"], "blacklist": ["B"]}, FilterConflictError, "Whitelist: A."),
        ({"pipelines": "missing.pipelines"}, PipelineDefinitionError, "no module missing."),
        ({"shipped": ["subject"]}, PipelineDefinitionError, "subject"),
        ({"schedule": "at five"}, SettingError, "at five"),
        ({"store": "s3://bucket/tables"}, SettingError, "restricted_store must have an address"),
        ({"api_key": "secret"}, Exception, "api_key"),
        ({"store_format": "xlsx"}, Exception, "store_format"),
        ({"whitelist": [1]}, Exception, "whitelist"),
        ({"studies_per_run": 0}, Exception, "studies_per_run"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_wrong_attribute_is_named(attributes, error, text):
    with pytest.raises(error, match=text):
        defs_of(attributes)


def test_an_error_of_the_users_own_import_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "broken_trials.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        defs_of({"pipelines": "broken_trials"})


def test_a_code_location_without_the_component_does_not_load_it():
    code = "import orch_assets.definitions, sys; sys.exit('orch_assets.components' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
