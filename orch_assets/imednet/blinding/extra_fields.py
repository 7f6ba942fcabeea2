"""Fields that the API's description doesn't name (``extra``): withheld, whatever they hold.

A sponsor, or a later release of the API, may put anything there. Rows have such fields, and so have
the elements of their lists (``keywords``, ``forms``, ``query_comments``).
"""

import os
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import SettingError
from orch_assets.imednet.blinding.masking import replaced, without, without_inside

if TYPE_CHECKING:
    import pyarrow as pa

EXTRA: Final = "extra"
SETTING: Final = "ORCH_EXTRA_FIELDS"


def are_open() -> bool:
    """Return whether ``ORCH_EXTRA_FIELDS`` opens these fields. Reads the environment.

    Raises:
        SettingError: The setting is neither ``open`` nor ``withheld``.
    """
    value = os.environ.get(SETTING, "").strip().lower() or "withheld"
    if value not in {"open", "withheld"}:
        raise SettingError(SETTING, "must be open or withheld.")
    return value == "open"


def rows_with_extra(table: "pa.Table") -> "pa.BooleanArray":
    """Return a mask of the rows with such a field, in the row or in an element of its lists."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = table[EXTRA].is_valid().to_numpy()
    for name in _lists_with_extra(table.schema):
        lists = table[name].combine_chunks()
        elements = lists.flatten()
        has_extra = pc.and_(elements.is_valid(), elements.field(EXTRA).is_valid())
        if has_extra.true_count:
            parents = pc.list_parent_indices(lists).filter(has_extra)
            mask = mask | np.isin(np.arange(len(lists)), parents.to_numpy())
    return pa.array(mask, pa.bool_())


def without_extra(table: "pa.Table", mask: "pa.BooleanArray") -> "pa.Table":
    """Return the table without these fields in the masked rows and in their elements."""
    table = without(table, mask, [EXTRA])
    for name in _lists_with_extra(table.schema):
        table = without_inside(table, mask, name, [EXTRA])
    return table


def with_masked_rows(
    table: "pa.Table", withheld: "pa.Table", mask: "pa.BooleanArray", id_column: str
) -> "pa.Table":
    """Return the withheld part with the masked rows added, sorted by ID.

    Args:
        table: The table before it was split.
        withheld: The part already withheld from it. It may have fewer columns, and its
            ``record_data`` holds only what is withheld.
        mask: The rows of the table to add. Rows that are withheld already are not added again.
        id_column: The column with the rows' IDs.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    added = table.filter(mask)
    present = pc.is_in(added[id_column], withheld[id_column].combine_chunks())
    added = added.filter(pc.invert(present)).select(withheld.column_names)
    if "record_data" in added.column_names:
        nulls: Any = pa.nulls(added.num_rows, pa.string())
        added = replaced(added, "record_data", nulls)
    return pa.concat_tables([withheld, added]).sort_by(id_column)


def _lists_with_extra(schema: "pa.Schema") -> list[str]:
    import pyarrow as pa

    return [
        field.name
        for field in schema
        if pa.types.is_list(field.type)
        and pa.types.is_struct(field.type.value_type)
        and field.type.value_type.get_field_index(EXTRA) >= 0
    ]
