"""How stored tables are rewritten without the values that must be withheld by now.

Tables of the API are split by the current dictionary, as when they were read; the open part stays.
In what is made of them, a column or a row says whose value it has.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from orch_assets.imednet.blinding.masking import mask_of, replaced, rows_of, without
from orch_assets.imednet.blinding.record_data import FormReference
from orch_assets.imednet.blinding.rules import BlindingRules
from orch_assets.imednet.blinding.split import BY_DICTIONARY, splitter
from orch_assets.imednet.json_text import object_of, raw_members

if TYPE_CHECKING:
    import pyarrow as pa

Rewrite: TypeAlias = "Callable[[pa.Table], pa.Table]"

# The column of form tables with what no variable of the form names.
_EXTRA: Final = "record_data_extra"


def rewrite_of(
    pipeline: str, variables: "pa.Table", intervals: "pa.Table | None"
) -> "Rewrite | None":
    """Return what rewrites a table of a shipped pipeline, or each table of its set.

    Args:
        pipeline: The pipeline, such as ``records``.
        variables: The study's current table ``variables``.
        intervals: The study's current table ``intervals``; None if none is stored.

    Returns:
        A function of a table, or of any of its rows. It raises KeyError if a column is missing.
        None if nobody can tell which values are to be removed.
    """
    if pipeline == "visits" and intervals is None:
        return None
    rules = BlindingRules(variables)
    if pipeline in BY_DICTIONARY:
        return partial(_open_part, split=splitter(pipeline, rules, intervals))
    rewrite = _OTHERS.get(pipeline)
    return rewrite and partial(rewrite, rules=rules)


def _open_part(table: "pa.Table", split: Callable[..., Any]) -> "pa.Table":
    shown: pa.Table = split(table)[0]
    return shown


def _form_table(table: "pa.Table", rules: BlindingRules) -> "pa.Table":
    """Return a form's table without the columns of variables that are not open.

    No dictionary has a name that isn't UTF-8, so such a variable isn't open.
    """
    import pyarrow as pa

    facts = table.schema.metadata or {}
    number, key = facts.get(b"form_id"), facts.get(b"form_key")
    form = (None if number is None else int(number), None if key is None else _text(key))
    hidden = [
        field.name
        for field in table.schema
        if (name := (field.metadata or {}).get(b"variable_name")) is not None
        and not rules.shows_key(_text(name), *form)
    ]
    table = table.drop_columns(hidden)
    extra = [_shown_members(text, rules, form) for text in table[_EXTRA].to_pylist()]
    return replaced(table, _EXTRA, pa.array(extra, table.schema.field(_EXTRA).type))


def _text(name: bytes) -> str:
    return name.decode(errors="replace")


def _shown_members(text: str | None, rules: BlindingRules, form: FormReference) -> str | None:
    """Return a JSON object without the members that are not open; None if no member is left."""
    members = raw_members(text) if text else {}
    shown = {key: value for key, value in members.items() if rules.shows_key(key, *form)}
    if len(shown) == len(members):
        return text
    return object_of(shown) if shown else None


def _record_changes(table: "pa.Table", rules: BlindingRules) -> "pa.Table":
    """Return the changes of open values, without reasons given on forms that are not open."""
    import pyarrow.compute as pc

    columns = ("attribute", "variable", "form_id", "form_key")
    shown = mask_of(
        attribute != "extra" and (variable is None or rules.shows_key(variable, *form))
        for attribute, variable, *form in rows_of(table, columns)
    )
    table = table.filter(shown)
    closed = mask_of(not rules.is_open_form(key) for (key,) in rows_of(table, ("form_key",)))
    return without(table, pc.fill_null(closed, True), ["reason_for_change"])


_OTHERS: Final[Mapping[str, Callable[..., Any]]] = {
    "form_tables": _form_table,
    "record_changes": _record_changes,
}
