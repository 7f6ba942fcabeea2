"""Moves earlier rows of ``record_changes`` to the withheld part if they may no longer be shown."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from orch_assets.imednet.blinding.masking import mask_of, rows_of, without
from orch_assets.imednet.history.field_changes import FieldComparison

if TYPE_CHECKING:
    import pyarrow as pa

_FIELD = ("attribute", "variable", "form_id", "form_key")
_FORM = ("form_key",)


class Reblinding:
    """Splits earlier open rows by the rules of now.

    Args:
        comparison: Knows the rules.
    """

    def __init__(self, comparison: FieldComparison) -> None:
        self._is_withheld = cache(comparison.is_withheld)
        self._is_open_form = cache(comparison.is_open_form)

    def open_rows(self, batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        """Yield the rows that stay open, without reasons that are withheld now."""
        for table, is_withheld in self._tables(batches):
            reasons = mask_of(not self._is_open_form(form) for (form,) in rows_of(table, _FORM))
            opened = without(table, reasons, ["reason_for_change"])
            yield from opened.filter(mask_of(not each for each in is_withheld)).to_batches()

    def moved_rows(self, batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        """Yield the rows that are withheld now, complete."""
        for table, is_withheld in self._tables(batches):
            yield from table.filter(mask_of(is_withheld)).to_batches()

    def _tables(self, batches: "Iterable[pa.RecordBatch]") -> Iterator[tuple[Any, list[bool]]]:
        import pyarrow as pa

        for batch in batches:
            table = pa.Table.from_batches([batch])
            yield table, [self._is_withheld(*row) for row in rows_of(table, _FIELD)]
