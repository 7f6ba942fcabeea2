"""The table ``dictionary_changes``."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orch_assets import PreviousResult, study_pipeline
from orch_assets.imednet.descriptions import DescribedColumn
from orch_assets.imednet.dictionary.dictionary_changes import (
    FORM,
    VARIABLE,
    changes_between,
    unknown_change,
)

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = tuple(
    DescribedColumn(name, arrow, description)
    for name, arrow, description in (
        ("study_key", "string", "Unique study key."),
        ("what", "string", "`variable` or `form`."),
        ("form_key", "string", "Key of the form, or of the variable's form."),
        ("variable_name", "string", "Name of the variable after the change; null for a form."),
        ("variable_id", "int64", "iMednet variable ID; null for a form."),
        (
            "kind",
            "string",
            "What happened to it, such as `retyped`; `unknown` if the version before is gone.",
        ),
        ("old", "string", "Name, type, label or blinding before; the type of what was removed."),
        ("new", "string", "The same after the change; the type of what was added."),
        ("noticed_at", "timestamp[us, tz=UTC]", "When a run noticed the change."),
        ("version_from", "string", "Version of `variables` (for a form: `forms`) before."),
        ("version_to", "string", "Version of the same table after the change."),
    )
)


@study_pipeline(group="history", kinds=("table",), incremental=True, columns=COLUMNS)
def dictionary_changes(
    study_key: str,
    sdk: Any,
    study_logger: Any,
    variables: "pa.Table",
    forms: "pa.Table",
    *,
    previous: PreviousResult | None = None,
) -> Any:
    """Changes of a study's data dictionary, as runs of this pipeline noticed them.

    - Grain: one row for each change of a variable or a form. No row is ever removed.
    - Key: ``noticed_at``, ``form_key``, ``variable_id`` and ``kind``; rows are in the order in
      which they were noticed.
    - Endpoint: none; compares ``variables`` and ``forms`` with the versions of the last run.
    - Refresh: what changed since; earlier rows stay.
    - Withheld: nothing; a dictionary has no subject's data.

    The first run has no rows. A change that is undone between two runs is not noticed. Kinds are
    ``added``, ``removed`` (also: deleted or disabled), ``renamed``, ``retyped``, ``relabelled``,
    ``blinded`` and ``unblinded``.
    """
    import pyarrow as pa

    from orch_assets.imednet.history.appended_tables import append, schema_of

    schema, tables = schema_of(COLUMNS), {"variables": variables, "forms": forms}
    if previous is None:
        return schema.empty_table()
    changed = [name for name in tables if _is_other(previous, name)]
    if unknown := sorted(tables.keys() - previous.inputs.keys()):
        study_logger.warning("%s can't be compared: not stored by orch-assets", unknown)
    noticed_at = datetime.now(UTC)
    rows = [
        {"study_key": study_key, "noticed_at": noticed_at, **row}
        for name in changed
        for row in _changes(previous, name, tables[name])
    ]
    new = pa.Table.from_pylist(rows, schema=schema)
    return append(previous.table, new, len(changed))


def _is_other(previous: PreviousResult, name: str) -> bool:
    """Return whether a table has another version than the one that was last compared."""
    before, version = previous.upstream(name), previous.inputs.get(name)
    return version is not None and (before is None or before.table.version != version)


def _changes(
    previous: PreviousResult, name: str, now: "pa.Table"
) -> Iterator[dict[str, str | int | None]]:
    """Yield what changed in one table since the previous result was made."""
    import pyarrow as pa

    what, before = FORM if name == "forms" else VARIABLE, previous.upstream(name)
    changes = [unknown_change(what)]
    if before is not None:
        earlier = pa.Table.from_batches(before.table.batches(), before.table.schema)
        changes = changes_between(what, earlier, now)
    for change in changes:
        yield {
            **asdict(change),
            "version_from": before.table.version if before else None,
            "version_to": previous.inputs[name],
        }
