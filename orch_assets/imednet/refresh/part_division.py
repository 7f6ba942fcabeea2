"""How a refreshed table is divided: not at all, or into an open and a withheld part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orch_assets.imednet.refresh.basis import Basis
from orch_assets.imednet.refresh.row_digest import digest_of

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.imednet.blinding.split import Split


def _undivided(rows: "pa.Table") -> "Sequence[pa.Table]":
    return (rows,)


def _nothing() -> None:
    """Confirm nothing: nothing is withheld."""


@dataclass(frozen=True)
class PartDivision:
    """How a table is divided into parts.

    Attributes:
        blinding: A digest of the rules that the table is split by; see
            ``imednet.blinding.fingerprint``.
        split: Splits rows into open and withheld ones; None leaves the table whole.
        confirm: Raises if the rules have changed since they were read.
    """

    blinding: str = "nothing is withheld"
    split: "Split | None" = None
    confirm: Callable[[], object] = _nothing

    @property
    def divide(self) -> "Callable[[pa.Table], Sequence[pa.Table]]":
        """The function that returns the parts of some rows."""
        return self.split or _undivided

    def schemas(self, schema: "pa.Schema") -> "Sequence[pa.Schema]":
        """Return the schemas of the parts."""
        if self.split is None:
            return [schema]
        return [part.schema for part in self.split(schema.empty_table())]

    def is_tail_of(self, basis: Basis, rows: "pa.Table") -> bool:
        """Return whether rows are, part by part, the newest ones of an earlier version."""
        return all(
            not part.num_rows if state is None else digest_of(part.columns) == state.tail
            for part, state in zip(self.divide(rows), basis.states, strict=True)
        )
