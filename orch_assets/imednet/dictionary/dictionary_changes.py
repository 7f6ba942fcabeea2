"""What changed between two dictionaries of a study: its variables and its forms.

Variables and forms are compared by their IDs. One that is deleted or disabled counts as removed,
and as added again when it is restored. It is still compared, because records may hold its values.
Revisions, dates, positions and OIDs are not compared.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orch_assets.imednet.blinding.masking import rows_of
from orch_assets.imednet.blinding.rules import BlindingRules

if TYPE_CHECKING:
    import pyarrow as pa

VARIABLE: Final = "variable"
FORM: Final = "form"

ADDED: Final = "added"
REMOVED: Final = "removed"
RETYPED: Final = "retyped"
RELABELLED: Final = "relabelled"
RENAMED: Final = "renamed"
BLINDED: Final = "blinded"
UNBLINDED: Final = "unblinded"
# All kinds of changes, in the order in which they are reported.
KINDS: Final = (BLINDED, UNBLINDED, ADDED, REMOVED, RENAMED, RETYPED, RELABELLED)

_BLINDING: Final[Mapping[bool | None, str]] = {False: "open", True: "blinded", None: "unknown"}
_OPENED: Final = (BLINDED, "open")


# The kind of a change of which only that much is known: the earlier dictionary is gone.
UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class DictionaryChange:
    """One difference between two dictionaries.

    Attributes:
        what: ``variable`` or ``form``.
        form_key: Key of the form, or of the variable's form.
        variable_name: The variable's name, by the later dictionary if it has the variable. None for
            a form.
        variable_id: ID of the variable; None for a form.
        kind: One of :data:`KINDS`, or :data:`UNKNOWN`. A form is added, removed, renamed (its name
            or its key) or retyped.
        old: The earlier type, label or name; ``open``, ``blinded`` or ``unknown`` for a change of
            blinding; the type of what was removed. None for what was added.
        new: The same after the change; None for what was removed. A form's name is followed by its
            key in parentheses.
    """

    what: str
    form_key: str | None
    variable_name: str | None
    variable_id: int | None
    kind: str
    old: str | None
    new: str | None


def changes_between(what: str, earlier: "pa.Table", later: "pa.Table") -> list[DictionaryChange]:
    """Return the changes of variables or forms between two tables, in order of their IDs.

    A variable that is blinded when it is added is only ``added``. A variable without a name is
    blinded, whatever its flag says.

    Args:
        what: ``variable``, to compare two tables ``variables``; ``form`` for tables ``forms``.
        earlier: The earlier table.
        later: The later table.
    """
    items = _variables if what == VARIABLE else _forms
    return list(_changes(items(earlier), items(later)))


def unknown_change(what: str) -> DictionaryChange:
    """Return the change that stands for all changes since a dictionary that is gone."""
    return DictionaryChange(what, None, None, None, UNKNOWN, None, None)


def loggable_changes(changes: Iterable[DictionaryChange], variables: "pa.Table") -> list[str]:
    """Return a short text for each change that a log may show: ``AE.AETERM retyped``.

    A variable is named only if the table ``variables`` has it open on all forms. Labels, types and
    former names are left out.
    """
    rules = BlindingRules(variables)
    return [_loggable(each, rules) for each in changes]


def _loggable(change: DictionaryChange, rules: BlindingRules) -> str:
    if change.what == FORM:
        return f"form {change.form_key} {change.kind}"
    if rules.is_open_everywhere(change.variable_name):
        return f"{change.form_key}.{change.variable_name} {change.kind}"
    return f"a variable that is not open {change.kind}"


@dataclass(frozen=True)
class _Item:
    """A variable or a form.

    Attributes:
        in_use: Whether it is neither deleted nor disabled.
        type: Its type, which says in a change what was added or removed.
        compared: What else is compared, by the kind of the change.
    """

    what: str
    form_key: str | None
    variable_name: str | None
    variable_id: int | None
    in_use: bool
    type: str | None
    compared: Mapping[str, str | None]

    def change(self, kind: str, old: str | None, new: str | None) -> DictionaryChange:
        name, number = self.variable_name, self.variable_id
        return DictionaryChange(self.what, self.form_key, name, number, kind, old, new)


def _changes(
    earlier: Mapping[int | None, _Item], later: Mapping[int | None, _Item]
) -> Iterator[DictionaryChange]:
    # A malformed table may have a row without an ID; it comes first.
    for row_id in sorted({*earlier, *later}, key=lambda each: (each is not None, each or 0)):
        old, new = earlier.get(row_id), later.get(row_id)
        if new is not None and new.in_use and not (old and old.in_use):
            yield new.change(ADDED, None, new.type)
        elif old is not None and old.in_use and not (new and new.in_use):
            yield (new or old).change(REMOVED, old.type, None)
        if old is not None and new is not None:
            for kind, value in old.compared.items():
                now = new.compared[kind]
                if value != now:
                    yield new.change(UNBLINDED if (kind, now) == _OPENED else kind, value, now)


def _variables(table: "pa.Table") -> dict[int | None, _Item]:
    columns = ("variable_id", "form_key", "variable_name", "variable_type", "label", "blinded")
    variables = {}
    for *row, deleted, disabled in rows_of(table, (*columns, "deleted", "disabled")):
        variable_id, form_key, name, type_, label, blinded = row
        blinding = _BLINDING[blinded if name else True]
        compared = {BLINDED: blinding, RENAMED: name, RETYPED: type_, RELABELLED: label}
        in_use = not (deleted or disabled)
        item = _Item(VARIABLE, form_key, name, variable_id, in_use, type_, compared)
        variables[variable_id] = item
    return variables


def _forms(table: "pa.Table") -> dict[int | None, _Item]:
    forms = {}
    columns = ("form_id", "form_key", "form_name", "form_type", "disabled")
    for form_id, form_key, name, type_, disabled in rows_of(table, columns):
        compared = {RENAMED: f"{name or ''} ({form_key or ''})", RETYPED: type_}
        forms[form_id] = _Item(FORM, form_key, None, None, not disabled, type_, compared)
    return forms
