"""What a store returns for a shipped table can be stored again."""

import functools

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

from orch_assets import ImednetSDK, build_form_tables
from orch_assets.demo import DemoServer
from orch_assets.stores import PipelineStore
from orch_assets_tests.contracts.store_fixtures import StoreFixtures

ENDPOINTS = [
    "sites",
    "subjects",
    "forms",
    "intervals",
    "variables",
    "records",
    "record_revisions",
    "codings",
    "queries",
    "visits",
    "users",
]


@functools.cache
def shipped_tables() -> "dict[str, pa.Table]":
    """Return the tables of a study and of two of its forms."""
    with (
        DemoServer(studies=1, subjects=6) as server,
        ImednetSDK(server.api_key, server.security_key, server.base_url) as sdk,
    ):
        tables = {name: getattr(sdk, name).table("ONC-301") for name in ENDPOINTS}
    forms = build_form_tables(
        tables["records"], variables=tables["variables"], forms=tables["forms"]
    )
    return {**tables, **dict(list(forms.items())[:2])}


def nested_types(table: pa.Table) -> "dict[str, pa.DataType]":
    return {each.name: each.type for each in table.schema if pa.types.is_nested(each.type)}


class ShippedTablesContract(StoreFixtures):
    @pytest.mark.parametrize("rows", [slice(None), slice(1, 3), slice(0)], ids=["all", "2", "0"])
    def test_shipped_tables_that_were_filtered_with_pandas_come_back(
        self, store: PipelineStore, rows: slice
    ) -> None:
        """Their lists keep their types, whatever rows remain."""
        store.upload_set(shipped_tables(), "first")
        frames = {name: each.iloc[rows] for name, each in store.download_set("first").items()}
        store.upload_set(frames, "filtered")
        for name, found in store.download_set("filtered").items():
            assert_frame_equal(found, frames[name])
        for name, again in store.download_set_tables("filtered").items():
            assert nested_types(again) == nested_types(shipped_tables()[name])

    def test_shipped_tables_as_other_readers_give_them_come_back(
        self, store: PipelineStore
    ) -> None:
        """As pyarrow's reader makes frames of them, with arrays of dicts; and by Polars."""
        frames = {name: table.to_pandas() for name, table in shipped_tables().items()}
        store.upload_set(frames, "arrays")
        for name, found in store.download_set("arrays").items():
            assert_frame_equal(found, frames[name])
        polars = {name: pl.from_arrow(table).to_arrow() for name, table in shipped_tables().items()}
        store.upload_set(polars, "polars")
        assert store.download_set_tables("polars") == polars
        frames = store.download_set("polars")
        both = {name: pl.from_pandas(frame).to_arrow() for name, frame in frames.items()}
        store.upload_set(both, "both")
        assert store.download_set_tables("both") == both

    def test_groups_of_a_shipped_table_are_a_set(self, store: PipelineStore) -> None:
        store.upload(shipped_tables()["subjects"], "subjects")
        frame = store.download("subjects")
        groups = {site: group for site, group in frame.groupby("site_name")}  # noqa: C416
        store.upload_set(groups, "by_site")
        found = store.download_set("by_site")
        assert list(found) == list(groups)
        for site, group in groups.items():
            assert_frame_equal(found[site], group)
        assert_frame_equal(pd.concat(found.values()).sort_index(), frame)
