"""The table ``dictionary_changes``."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from orch_assets import PreviousResult, TableHistory, study_pipeline
from orch_assets.imednet.descriptions import DescribedColumn
from orch_assets.imednet.dictionary.dictionary_changes import (
    FORM,
    VARIABLE,
    changes_between,
    unknown_change,
)

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
    variables: TableHistory,
    forms: TableHistory,
    *,
    previous: PreviousResult | None = None,
) -> Any:
    """Changes of a study's data dictionary, as runs of this pipeline noticed them.

    - Grain: one row for each change of a variable or a form. No row is ever removed, unless the
      tables of another account are accepted: then this one begins anew.
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

    from orch_assets.imednet.history.appended_tables import append, begun_anew, schema_of
    from orch_assets.imednet.refresh.table_state import are_of_two_accounts

    schema, tables = schema_of(COLUMNS), {"variables": variables, "forms": forms}
    if previous is None:
        return schema.empty_table()
    current = {name: now for name, each in tables.items() if (now := _current(each))}
    if unknown := sorted(tables.keys() - current.keys()):
        study_logger.warning("%s can't be compared: not stored by orch-assets", unknown)
    pairs = [(name, _compared(previous, name), now) for name, now in current.items()]
    changed = [each for each in pairs if each[1] is None or each[1].version != each[2].version]
    if any(before and are_of_two_accounts(before.state, now.state) for _, before, now in changed):
        return begun_anew(previous.table, schema)
    noticed_at = datetime.now(UTC)
    rows = [
        {"study_key": study_key, "noticed_at": noticed_at, **row}
        for each in changed
        for row in _changes(*each)
    ]
    new = pa.Table.from_pylist(rows, schema=schema)
    return append(previous.table, new, len(changed))


def _current(history: TableHistory) -> Any:
    """Return the current version, to be read; None if a user's own IO manager stores it."""
    part = history.table
    return part.table(part.version) if part and part.version else None


def _compared(previous: PreviousResult, name: str) -> Any:
    """Return the version that was last compared; None if it is gone."""
    upstream = previous.upstream(name)
    return upstream.table if upstream else None


def _changes(name: str, before: Any, now: Any) -> Iterator[dict[str, str | int | None]]:
    """Yield what changed from one version of a table to another."""
    from orch_assets.imednet.history.publications import all_rows

    what = FORM if name == "forms" else VARIABLE
    changes = [unknown_change(what)]
    if before is not None:
        changes = changes_between(what, all_rows(before), all_rows(now))
    for change in changes:
        yield {
            **asdict(change),
            "version_from": before.version if before else None,
            "version_to": now.version,
        }
