"""Columns of lists, tuples, dicts and arrays, of any depth, as Arrow has them and back.

A column of lists is the column of all their items, and where each list ends; one of dicts is a
column for each key. So what is inside is planned as any column is: its types, what stands for a
missing value, its time zones. A tuple is a dict of its places.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from orch_assets.errors import UnstorableTableError
from orch_assets.marked_names import named_column_type
from orch_assets.stores.formats.column_plans import ColumnPlan, Note
from orch_assets.stores.refusing import storable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    Objects = np.ndarray[Any, Any]

# What values of one column may not be, and what to do about it.
_DICTS: Final = ("dicts of different keys", "give each the same keys, or make JSON text of them")
_TUPLES: Final = ("tuples of different lengths", "make lists of them")
_ARRAYS: Final = ("arrays of different types or dimensions", "make lists of them by tolist()")


class PlanColumn(Protocol):
    """Plans a column, wherever it is."""

    def __call__(
        self, series: "pd.Series[Any]", label: str, rows: "Objects | None" = None
    ) -> ColumnPlan:
        """Return the plan; ``rows`` are the table's rows that the values are in."""
        ...


@dataclass(frozen=True)
class Containers:
    """A column of containers.

    Attributes:
        cells: of one type, or missing.
        missing: which of them are.
        rows: of the table that the values are in.
        label: how errors name the column.
        plan: plans what is inside.
    """

    cells: "Objects"
    missing: "Objects"
    rows: "Objects"
    label: str
    plan: PlanColumn

    @property
    def present(self) -> "Objects":
        """The cells that aren't missing."""
        return self.cells[~self.missing]

    def common(self, told: Callable[[Any], object], refused: tuple[str, str]) -> Any:
        """Return what all values have in common; refuse those that differ from the first one."""
        found = [told(cell) for cell in self.present]
        for row, each in zip(self.rows[~self.missing], found, strict=True):
            if each != found[0]:
                what, advice = refused
                raise UnstorableTableError(
                    f"{self.label} holds {what}; the one at position {row} is the first that "
                    f"differs. To store them, {advice}."
                )
        return found[0]

    def inner(self, values: "Objects | pd.Series[Any]", rows: "Objects") -> ColumnPlan:
        """Plan a column of what is inside; where nothing is, nothing is said of its type."""
        import pandas as pd
        import pyarrow as pa

        series = values if isinstance(values, pd.Series) else pd.Series(values, dtype=object)
        plan = self.plan(series, self.label, rows)
        if series.dtype == object and pd.isna(values).all():
            return replace(plan, type=pa.null(), convert=lambda start, stop: pa.nulls(stop - start))
        return plan


def plan_containers(kind: type, containers: Containers) -> ColumnPlan | None:
    """Plan a column of one kind of container; None where it is none.

    Raises:
        UnstorableTableError: the values have no Arrow type in common that gives them back.
    """
    import numpy as np

    plans = {list: _plan_lists, dict: _plan_dicts, tuple: _plan_tuples, np.ndarray: _plan_arrays}
    if kind not in plans:
        return None
    try:
        return plans[kind](containers)
    except RecursionError:
        raise UnstorableTableError(
            f"{containers.label} is nested too deeply, or holds itself."
        ) from None


def restore_containers(
    column: "pa.ChunkedArray", note: Note, restore: "Callable[[pa.ChunkedArray, Note], Any]"
) -> "Objects":
    """Return the containers that a column was made of; None for what is missing.

    Args:
        column: what was stored.
        note: of the column, with ``items`` or ``fields``.
        restore: restores what is inside.
    """
    import numpy as np

    values: Objects = np.empty(len(column), dtype=object)
    present = np.flatnonzero(column.is_valid().to_numpy())
    if "items" in note:
        made = _restored_lists(column, note, restore)
        for row in present:
            values[row] = next(made)
        return values
    inside = [
        _as_array(restore(field, inner))
        for field, inner in zip(column.flatten(), note["notes"], strict=True)
    ]
    names = note["fields"]
    for row in present:
        held = [each[row] for each in inside]
        values[row] = tuple(held) if names is None else dict(zip(names, held, strict=True))
    return values


# Lists and arrays


def _plan_lists(lists: Containers) -> ColumnPlan:
    items = objects_of(item for each in lists.present for item in each)
    return _plan_items(lists, items, "list")


def _plan_arrays(arrays: Containers) -> ColumnPlan:
    import numpy as np
    import pandas as pd

    dtype, dimensions = arrays.common(lambda each: (each.dtype, each.ndim), _ARRAYS)
    if dimensions != 1:
        raise UnstorableTableError(
            f"{arrays.label} holds arrays of {dimensions} dimensions; {_ARRAYS[1]}."
        )
    items: Any = np.concatenate(list(arrays.present))
    if not dtype.hasobject:
        items = pd.Series(items)
        if items.dtype != dtype:
            raise UnstorableTableError(
                f"{arrays.label} holds arrays of type {named_column_type(dtype)}, which can't be "
                f"stored; {_ARRAYS[1]}."
            )
    return _plan_items(arrays, items, str(dtype))


def _plan_items(lists: Containers, items: Any, made: str) -> ColumnPlan:
    import numpy as np
    import pyarrow as pa

    sizes = np.zeros(len(lists.cells), dtype="int64")
    sizes[~lists.missing] = [len(each) for each in lists.present]
    ends = np.concatenate([[0], np.cumsum(sizes)])
    inner = lists.inner(items, np.repeat(lists.rows, sizes))
    arrow_type = pa.list_(inner.type)

    def convert(start: int, stop: int) -> "pa.Array":
        first = int(ends[start])
        held = inner.convert(first, int(ends[stop]))
        with storable(lists.label, named_column_type(arrow_type)):
            places = pa.array(ends[start : stop + 1] - first, pa.int32())
        missing = pa.array(lists.missing[start:stop])
        return pa.ListArray.from_arrays(places, held, type=arrow_type, mask=missing)

    return ColumnPlan(arrow_type, {"items": inner.note, "made": made}, convert)


def _restored_lists(column: "pa.ChunkedArray", note: Note, restore: Any) -> Any:
    """Yield the lists, or arrays, that are there."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    flat = pa.chunked_array([each.flatten() for each in column.chunks], column.type.value_type)
    items = _as_array(restore(flat, note["items"]))
    sizes = pc.list_value_length(column).drop_null().to_numpy()
    ends = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    for start, stop in itertools.pairwise(ends):
        part = items[start:stop]
        yield part.tolist() if note["made"] == "list" else part.copy()


# Dicts and tuples


def _plan_dicts(dicts: Containers) -> ColumnPlan:
    keys = dicts.common(dict.keys, _DICTS)
    if not keys or not all(type(key) is str for key in keys):
        raise UnstorableTableError(
            f"{dicts.label} holds a dict without keys, or with one that isn't text; "
            "make JSON text of them."
        )
    names = list(keys)
    return _plan_fields(dicts, names, names, {"fields": names})


def _plan_tuples(tuples: Containers) -> ColumnPlan:
    size = tuples.common(len, _TUPLES)
    if not size:
        raise UnstorableTableError(f"{tuples.label} holds empty tuples; {_TUPLES[1]}.")
    return _plan_fields(tuples, range(size), map(str, range(size)), {"fields": None})


def _plan_fields(
    dicts: Containers, keys: Iterable[Any], names: Iterable[str], note: Note
) -> ColumnPlan:
    import pyarrow as pa

    planned = []
    for key in keys:
        values = objects_of([None] * len(dicts.cells))
        values[~dicts.missing] = objects_of(each[key] for each in dicts.present)
        planned.append(dicts.inner(values, dicts.rows))
    fields = [pa.field(name, plan.type) for name, plan in zip(names, planned, strict=True)]

    def convert(start: int, stop: int) -> "pa.Array":
        arrays = [plan.convert(start, stop) for plan in planned]
        missing = pa.array(dicts.missing[start:stop])
        return pa.StructArray.from_arrays(arrays, fields=fields, mask=missing)

    notes = [plan.note for plan in planned]
    return ColumnPlan(pa.struct(fields), {**note, "notes": notes}, convert)


# Arrays of objects


def objects_of(values: Iterable[Any]) -> "Objects":
    """Return an array of objects, one for each value: numpy would make dimensions of lists."""
    import numpy as np

    listed = list(values)
    array: Objects = np.empty(len(listed), dtype=object)
    for place, value in enumerate(listed):
        array[place] = value
    return array


def _as_array(restored: Any) -> "Objects":
    import pandas as pd

    array: Objects = restored.to_numpy() if isinstance(restored, pd.Series) else restored
    return array
