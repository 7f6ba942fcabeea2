"""Columns of lists, tuples, dicts and arrays, of any depth, as Arrow columns and back.

A column of lists is stored as one column of all their items and the offset at which each list
ends, a column of dicts as one column for each key. So the inner columns are planned like any other
column: their types, their marks of missing values, their time zones. A tuple is stored like a dict
whose keys are the positions.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from orch_assets.errors import UnstorableTableError
from orch_assets.marked_names import named_column_type
from orch_assets.stores.formats.column_plans import ColumnPlan, Note, Objects
from orch_assets.stores.formats.refusing import storable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# What the values of one column may not be, and what to do about it.
_DICTS: Final = ("dicts of different keys", "give each the same keys, or convert them to JSON text")
_TUPLES: Final = ("tuples of different lengths", "convert them to lists")
_ARRAYS: Final = ("arrays of different types or dimensions", "convert them to lists by tolist()")


class PlanColumn(Protocol):
    """Plans a column, at any depth."""

    def __call__(
        self, series: "pd.Series[Any]", label: str, rows: "Objects | None" = None
    ) -> ColumnPlan:
        """Return the plan; ``rows`` holds the table's row of each value."""
        ...


@dataclass(frozen=True)
class Containers:
    """A column of containers.

    Attributes:
        cells: containers of one type, and marks of missing values.
        missing: True for each cell that is missing.
        rows: for each cell, its row in the table.
        label: how errors name the column.
        plan: plans the items.
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

    def common(self, feature: Callable[[Any], object], refusal: tuple[str, str]) -> Any:
        """Return the feature that all cells share; refuse the first cell that differs."""
        features = [feature(cell) for cell in self.present]
        for row, each in zip(self.rows[~self.missing], features, strict=True):
            if each != features[0]:
                what, advice = refusal
                raise UnstorableTableError(
                    f"{self.label} holds {what}; the one at position {row} is the first that "
                    f"differs. To store them, {advice}."
                )
        return features[0]

    def inner(self, values: "Objects | pd.Series[Any]", rows: "Objects") -> ColumnPlan:
        """Plan a column of items; without a value, its type is null."""
        import pandas as pd
        import pyarrow as pa

        series = values if isinstance(values, pd.Series) else pd.Series(values, dtype=object)
        plan = self.plan(series, self.label, rows)
        if series.dtype == object and pd.isna(values).all():
            return replace(plan, type=pa.null(), convert=lambda start, stop: pa.nulls(stop - start))
        return plan


def plan_containers(kind: type, containers: Containers) -> ColumnPlan | None:
    """Plan a column of one kind of container; None for any other kind.

    Raises:
        UnstorableTableError: no Arrow type restores all values unchanged.
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
    """Return the original containers; None for a missing one.

    Args:
        column: the stored column.
        note: the column's note, with ``items`` or ``fields``.
        restore: restores the items.
    """
    import numpy as np

    values: Objects = np.empty(len(column), dtype=object)
    present = np.flatnonzero(column.is_valid().to_numpy())
    if "items" in note:
        lists = _restored_lists(column, note, restore)
        for row in present:
            values[row] = next(lists)
        return values
    fields = [
        _as_array(restore(field, inner))
        for field, inner in zip(column.flatten(), note["notes"], strict=True)
    ]
    names = note["fields"]
    for row in present:
        items = [each[row] for each in fields]
        values[row] = tuple(items) if names is None else dict(zip(names, items, strict=True))
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


def _plan_items(lists: Containers, items: Any, container: str) -> ColumnPlan:
    import numpy as np
    import pyarrow as pa

    sizes = np.zeros(len(lists.cells), dtype="int64")
    sizes[~lists.missing] = [len(each) for each in lists.present]
    ends = np.concatenate([[0], np.cumsum(sizes)])
    inner = lists.inner(items, np.repeat(lists.rows, sizes))
    arrow_type = pa.list_(inner.type)

    def convert(start: int, stop: int) -> "pa.Array":
        first = int(ends[start])
        values = inner.convert(first, int(ends[stop]))
        with storable(lists.label, named_column_type(arrow_type)):
            offsets = pa.array(ends[start : stop + 1] - first, pa.int32())
        missing = pa.array(lists.missing[start:stop])
        return pa.ListArray.from_arrays(offsets, values, type=arrow_type, mask=missing)

    return ColumnPlan(arrow_type, {"items": inner.note, "made": container}, convert)


def _restored_lists(column: "pa.ChunkedArray", note: Note, restore: Any) -> Any:
    """Yield the lists or arrays that aren't missing."""
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
            "convert them to JSON text."
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

    plans = []
    for key in keys:
        values = objects_of([None] * len(dicts.cells))
        values[~dicts.missing] = objects_of(each[key] for each in dicts.present)
        plans.append(dicts.inner(values, dicts.rows))
    with storable(dicts.label, "a struct"):  # a key may be no UTF-8
        fields = [pa.field(name, plan.type) for name, plan in zip(names, plans, strict=True)]

    def convert(start: int, stop: int) -> "pa.Array":
        arrays = [plan.convert(start, stop) for plan in plans]
        missing = pa.array(dicts.missing[start:stop])
        return pa.StructArray.from_arrays(arrays, fields=fields, mask=missing)

    notes = [plan.note for plan in plans]
    return ColumnPlan(pa.struct(fields), {**note, "notes": notes}, convert)


# Arrays of objects


def objects_of(values: Iterable[Any]) -> "Objects":
    """Return an array with one object for each value; numpy would make dimensions of lists."""
    import numpy as np

    listed = list(values)
    array: Objects = np.empty(len(listed), dtype=object)
    for position, value in enumerate(listed):
        array[position] = value
    return array


def _as_array(restored: Any) -> "Objects":
    import pandas as pd

    array: Objects = restored.to_numpy() if isinstance(restored, pd.Series) else restored
    return array
