"""What a frozen study applies of a new dictionary: only what withholds more.

A study is frozen against changes of its dictionary, not against blinding. So of the new dictionary
it takes what withholds values, and nothing else.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from orch_assets.imednet.blinding.masking import mask_of, rows_of
from orch_assets.imednet.blinding.study_dictionary import agreed

if TYPE_CHECKING:
    import pyarrow as pa

_VARIABLE: Final = ("variable_name", "form_id", "form_key")


def withholds_more(frozen: "pa.Table", current: "pa.Table") -> bool:
    """Return whether the current table ``variables`` withholds what the frozen one doesn't.

    A variable counts that is blinded now, or whose flag is unknown; a new one, too: a form with a
    withheld variable shows less than a form without one. A variable that only left the dictionary,
    or has another name, doesn't count: nobody blinded it.
    """
    return not {*_withheld(current)} <= {*_withheld(frozen)}


def with_new_blinding(frozen: "pa.Table", current: "pa.Table") -> "pa.Table":
    """Return the frozen table ``variables`` with all that the current one withholds.

    Rows that only the current table has are in it only if they are withheld. What only the frozen
    table has stays as it is.
    """
    import pyarrow as pa

    known = {_variable(*row) for row in rows_of(current, _VARIABLE)}
    left = mask_of(_variable(*row) not in known for row in rows_of(frozen, _VARIABLE))
    # A variable that left the dictionary would count as withheld.
    current = pa.concat_tables([current, frozen.filter(left)], promote_options="default")
    return agreed(frozen, current).sort_by("variable_id")


def _withheld(variables: "pa.Table") -> Iterator[tuple[Any, ...]]:
    for name, *form, blinded in rows_of(variables, (*_VARIABLE, "blinded")):
        if blinded is not False or not name:
            yield _variable(name, *form)


def _variable(name: str | None, form_id: int | None, form_key: str | None) -> tuple[Any, ...]:
    return (name or "").casefold(), form_id, form_key
