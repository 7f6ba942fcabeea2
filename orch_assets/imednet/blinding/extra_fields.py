"""Fields that the API description doesn't name (``extra``): withheld, whatever they hold.

Nobody can tell what a sponsor, or a later release of the API, puts there. Rows and the elements of
their lists (``keywords``, ``forms``, ``query_comments``) have such fields.
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
    """Return whether ``ORCH_EXTRA_FIELDS`` opens them; read now.

    Raises:
        SettingError: it is something else than ``open`` or ``withheld``.
    """
    given = os.environ.get(SETTING, "").strip().lower() or "withheld"
    if given not in {"open", "withheld"}:
        raise SettingError(SETTING, "must be open or withheld.")
    return given == "open"


def rows_with_extra(table: "pa.Table") -> "pa.BooleanArray":
    """Return the mask of the rows that have such a field, in themselves or in an element."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    found = table[EXTRA].is_valid().to_numpy()
    for name in _lists_with_extra(table.schema):
        lists = table[name].combine_chunks()
        elements = lists.flatten()
        has_extra = pc.and_(elements.is_valid(), elements.field(EXTRA).is_valid())
        if has_extra.true_count:
            parents = pc.list_parent_indices(lists).filter(has_extra)
            found = found | np.isin(np.arange(len(lists)), parents.to_numpy())
    return pa.array(found, pa.bool_())


def without_extra(table: "pa.Table", mask: "pa.BooleanArray") -> "pa.Table":
    """Return the table without the fields of the masked rows and of their elements."""
    table = without(table, mask, [EXTRA])
    for name in _lists_with_extra(table.schema):
        table = without_inside(table, mask, name, [EXTRA])
    return table


def with_companion(
    whole: "pa.Table", companion: "pa.Table", mask: "pa.BooleanArray", id_column: str
) -> "pa.Table":
    """Return a companion with the masked rows too, in the order of their IDs.

    Args:
        whole: the table that was split.
        companion: what is withheld of it already; its rows are those of the table, whole, but may
            have fewer columns, and a ``record_data`` of their own.
        mask: rows of the table.
        id_column: has the rows' IDs.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    further = whole.filter(mask)
    known = pc.is_in(further[id_column], companion[id_column].combine_chunks())
    further = further.filter(pc.invert(known)).select(companion.column_names)
    if "record_data" in further.column_names:
        nothing: Any = pa.nulls(further.num_rows, pa.string())
        further = replaced(further, "record_data", nothing)
    return pa.concat_tables([companion, further]).sort_by(id_column)


def _lists_with_extra(schema: "pa.Schema") -> list[str]:
    import pyarrow as pa

    return [
        field.name
        for field in schema
        if pa.types.is_list(field.type)
        and pa.types.is_struct(field.type.value_type)
        and field.type.value_type.get_field_index(EXTRA) >= 0
    ]
