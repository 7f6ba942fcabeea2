"""What a refresh may start from: the earlier version, if its state fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from orch_assets.errors import OtherRegistryError
from orch_assets.imednet.refresh.refreshed_table import RefreshedTable
from orch_assets.imednet.refresh.table_state import TableState, shape_of
from orch_assets.refreshing import PreviousResult, StoredTable

if TYPE_CHECKING:
    import pyarrow as pa

# Nightly readings aren't exactly a day apart, and there are nights without an hour.
_EARLY: Final = timedelta(hours=2)


@dataclass(frozen=True)
class Basis:
    """An earlier version that a refresh may be merged with.

    Attributes:
        parts: The stored parts; None for a withheld part that had no rows, and isn't stored.
        states: Their states.
        state: The state of the table, or of its open part.
        schemas: The schemas that the parts must have.
    """

    parts: Sequence[StoredTable | None]
    states: Sequence[TableState | None]
    state: TableState
    schemas: "Sequence[pa.Schema]"

    def has_schemas(self) -> bool:
        """Return whether the stored parts have their schemas; reads of each part what says so."""
        return all(
            part is None or part.schema.equals(schema)
            for part, schema in zip(self.parts, self.schemas, strict=True)
        )


def is_same_account(table: RefreshedTable, previous: PreviousResult | None, account: str) -> bool:
    """Return whether an earlier version may be compared with what is read now.

    Raises:
        OtherRegistryError: It was read from another registry or account, and must stay.
    """
    if previous is None:
        return False
    expected = {"registry": table.access.registry, "study": account}
    parts = [part for part in (previous.table, previous.withheld) if part is not None]
    differing = [
        name
        for name, value in expected.items()
        if any(part.state.get(name) is not None and part.state[name] != value for part in parts)
    ]
    if not differing:
        return True
    if previous.accept_other_registry:
        return False
    differs = "registry" if "registry" in differing else "account"
    raise OtherRegistryError(table.study_key, table.name, differs)


def basis_of(
    table: RefreshedTable, previous: PreviousResult, blinding: str, schemas: "Sequence[pa.Schema]"
) -> Basis | str:
    """Return what may be merged with; otherwise, why all rows must be read."""
    parts = [previous.table, previous.withheld][: len(schemas)]
    states = [None if part is None else TableState.of(part.state) for part in parts]
    state = states[0]
    if state is None or (state.endpoint, state.rule) != (table.label, table.rule.number):
        return "the stored version has no state of this table and release"
    stored = [
        (part, each, schema)
        for part, each, schema in zip(parts, states, schemas, strict=True)
        if part is not None
    ]
    problems = {
        "the columns have changed": any(
            each is None or each.shape != shape_of(schema) for _, each, schema in stored
        ),
        "what is withheld has changed": state.blinding != blinding,
        "the withheld part is missing": len(stored) < len(parts) and state.withheld,
        "the stored parts aren't of one refresh": any(
            each is None or each.pair != state.pair for _, each, _ in stored
        ),
        "the stored version has another number of rows than it was stored with": (
            table.rule.by_date and previous.table.num_rows != state.rows
        ),
    }
    problem = next((reason for reason, is_so in problems.items() if is_so), None)
    return Basis(parts, states, state, schemas) if problem is None else problem


def why_whole(table: RefreshedTable, previous: PreviousResult, state: TableState) -> str | None:
    """Return why all rows must be read although there is something to merge with; else None."""
    if not table.rule.by_date:
        return "this table is always read whole"
    if table.requests(state.rows) == 1:
        return "the table fits one page"
    if previous.read_whole:
        return "a whole reading was asked for"
    age = abs(datetime.now(UTC) - state.read_whole_at)
    if age >= table.settings.full_every - _EARLY:
        return f"the last whole reading was on {state.read_whole_at:%Y-%m-%d}"
    if state.watermark is None:
        return "no row is dated up to the time of the API's answer, or the answer has none"
    return None
