"""A simulated study whose tables are read and stored as its pipelines do it, without Dagster."""

import json
from pathlib import Path
from typing import Any

from orch_assets import (
    ImednetSDK,
    LocalPipelineStore,
    PreviousResult,
    SplitTable,
    TableHistory,
    make_study_logger,
    split_withheld,
)
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.imednet.history.vanished_rows import tombstone_table
from orch_assets.imednet.streams import BatchStream
from orch_assets.pipelines.record_changes import record_changes
from orch_assets.stores import Published, derived_from

STUDY = "S"
Fields = dict[tuple[str, str | None], str]
# Columns that a row of record_changes has for its record.
CONTEXT = (
    "form_id",
    "form_key",
    "site_id",
    "subject_id",
    "subject_key",
    "interval_id",
    "visit_id",
)


class StoredStudy:
    """The tables of a study in an open and a restricted store.

    Attributes:
        registry: The simulated account, to be edited.
        open: The open store.
        restricted: The restricted store.
    """

    def __init__(self, folder: Path, registry: DemoRegistry) -> None:
        self.registry = registry
        self.open = LocalPipelineStore(folder / "open")
        self.restricted = LocalPipelineStore(folder / "restricted")
        self._server = DemoServer(registry).start()
        keys = (self._server.api_key, self._server.security_key, self._server.base_url)
        self.sdk = ImednetSDK(*keys)

    def close(self) -> None:
        self.sdk.close()
        self._server.stop()

    def read(self, *endpoints: str) -> None:
        """Read tables whole, split and store them; by default those of ``record_changes``."""
        variables = self.sdk.variables.table(STUDY)
        for name in endpoints or ("records", "record_revisions"):
            table = getattr(self.sdk, name).table(STUDY)
            self.publish(
                name, split_withheld(name, table, variables, sdk=self.sdk, study_key=STUDY)
            )

    def bury(self, *names: str) -> BatchStream:
        """Run ``tombstones`` over some tables, and store its result unless it is unchanged."""
        table = tombstone_table(
            {name: self.history(name) for name in names}, self.previous("tombstones")
        )
        self._store(self.open, "tombstones", table)
        return table

    def publish(self, name: str, value: SplitTable, inputs: dict[str, str] | None = None) -> None:
        """Store both parts, the withheld one first."""
        with derived_from(inputs or {}):
            self._store(self.restricted, name, value.withheld)
            self._store(self.open, name, value.table)

    def _store(self, store: LocalPipelineStore, name: str, part: Any) -> Published | None:
        refresh = getattr(part, "refresh", None)
        if refresh and refresh.unchanged:
            return None
        return store.publish(part, name)

    def history(self, name: str) -> TableHistory:
        return TableHistory(self.open.history(name), self.restricted.history(name))

    def previous(self, name: str) -> PreviousResult | None:
        table = self.open.previous(name)
        return table and PreviousResult(table, self.restricted.previous(name))

    def changes(self) -> SplitTable:
        """Return what ``record_changes`` makes now, not stored yet."""
        return record_changes(
            STUDY,
            self.sdk,
            make_study_logger(STUDY),
            self.history("records"),
            self.history("record_revisions"),
            self.sdk.variables.table(STUDY),
            previous=self.previous("record_changes"),
        )

    def compare(self) -> None:
        """Run ``record_changes`` and store its result."""
        parts = [
            part
            for history in map(self.history, ("records", "record_revisions"))
            for part in (history.table, history.withheld)
        ]
        inputs = {part.uri: part.version for part in parts}
        self.publish("record_changes", self.changes(), inputs)

    def rows(self, name: str = "record_changes", *, withheld: bool = False) -> list[dict[str, Any]]:
        store = self.restricted if withheld else self.open
        rows: list[dict[str, Any]] = store.download_table(name).to_pylist()
        return rows

    def all_changes(self) -> list[dict[str, Any]]:
        return [*self.rows(), *self.rows(withheld=True)]

    def fields(self, version: str | None = None, withheld: str | None = None) -> dict[int, Fields]:
        """Return each field of each record in the stored versions of both parts, as JSON text."""
        found: dict[int, Fields] = {}
        for table in (
            self.open.download_table("records", version),
            self.restricted.download_table("records", withheld),
        ):
            for row in table.to_pylist():
                fields = found.setdefault(row["record_id"], {})
                fields |= fields_of(row)
        return found


def fields_of(row: dict[str, Any]) -> Fields:
    """Return the fields of a row that have a value."""
    data = json.loads(row["record_data"] or "{}")
    return {
        **{
            (name, None): json.dumps(value, default=lambda moment: moment.isoformat())
            for name, value in row.items()
            if name not in {"record_data", "extra"} and value is not None
        },
        **({("extra", None): row["extra"]} if row["extra"] else {}),
        **{("record_data", key): json.dumps(value) for key, value in data.items()},
    }


def applied(records: dict[int, Fields], changes: list[dict[str, Any]]) -> dict[int, Fields]:
    """Return the records after all changes."""
    records = {key: dict(fields) for key, fields in records.items()}
    for change in sorted(changes, key=lambda each: each["published_at"]):
        record_id = change["record_id"]
        if change["kind"] == "vanished":
            records.pop(record_id, None)
            continue
        fields = records.setdefault(record_id, _identity(change))
        field = (change["attribute"], change["variable"])
        if change["new_value"] is None:
            fields.pop(field, None)
        else:
            fields[field] = _normal(change)
        moment = change["date_modified"]
        fields["date_modified", None] = json.dumps(moment.isoformat())
        fields["record_data", "dateModified"] = json.dumps(f"{moment:%Y-%m-%d %H:%M:%S}")
    return records


def _identity(change: dict[str, Any]) -> Fields:
    names = ("study_key", *CONTEXT)
    return {(name, None): json.dumps(change[name]) for name in names if change[name] is not None}


def _normal(change: dict[str, Any]) -> str:
    is_extra = change["attribute"] == "extra"
    return change["new_value"] if is_extra else json.dumps(json.loads(change["new_value"]))
