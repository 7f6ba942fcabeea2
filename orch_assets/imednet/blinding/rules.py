"""A study's data dictionary: which variables are open, and which are withheld.

A variable is *open* on a form when the dictionary has it there with ``blinded`` false, and has no
variable of the same name on that form, whatever the case, for which that isn't so. Deleted and
disabled ones count like any other. Everything else is withheld: a flag that is true or missing,
and a name or a form that the dictionary doesn't know.
"""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow as pa

# The API puts these into recordData itself (spec/mednet.yaml, ExampleRecordsList); they are
# facts of the record and no variables of a form.
SYSTEM_KEYS: Final = frozenset({"dateCreated", "dateModified", "unvnum"})


class BlindingRules:
    """Which variables of a study are open.

    Args:
        variables: the study's table ``variables``.
    """

    def __init__(self, variables: "pa.Table") -> None:
        self._by_form: dict[object, dict[str, bool]] = {}
        self._anywhere: dict[str, bool] = {}
        # Of these nobody can tell on which forms they are, so they count on all of them.
        self._withheld_everywhere: set[str] = set()
        columns = ("variable_name", "blinded", "form_id", "form_key")
        for name, blinded, *form in zip(
            *(variables[column].to_pylist() for column in columns), strict=True
        ):
            self._add((name or "").casefold(), bool(name) and blinded is False, form)

    def _add(self, name: str, is_open: bool, form: list[object]) -> None:
        self._anywhere[name] = self._anywhere.get(name, True) and is_open
        if not is_open and not all(map(_is_given, form)):
            self._withheld_everywhere.add(name)
        for half in filter(_is_given, form):
            names = self._by_form.setdefault(half, {})
            names[name] = names.get(name, True) and is_open

    def __contains__(self, variable: str) -> bool:
        return variable.casefold() in self._anywhere

    def is_open(self, variable: str | None, form_id: int | None, form_key: str | None) -> bool:
        """Whether a variable's values on a form may be shown.

        Where both are given, ID and key must agree; without a form, as ``is_open_everywhere``.
        """
        form = [half for half in (form_id, form_key) if _is_given(half)]
        if not form:
            return self.is_open_everywhere(variable)
        name = (variable or "").casefold()
        return name not in self._withheld_everywhere and all(
            self._by_form.get(half, {}).get(name, False) for half in form
        )

    def shows_key(self, key: str, form_id: int | None, form_key: str | None) -> bool:
        """Whether a key of a record's data, on the record's form, may be shown."""
        if key in SYSTEM_KEYS and key not in self:
            return True
        return self.is_open(key, form_id, form_key)

    def is_open_everywhere(self, variable: str | None) -> bool:
        """Whether a variable is open on every form that has one of that name."""
        return self._anywhere.get((variable or "").casefold(), False)

    def is_open_form(self, form_key: str | None) -> bool:
        """Whether every variable of a form is open; False for a form without variables."""
        names = self._by_form.get(form_key, {})
        return bool(names) and all(names.values()) and not self._withheld_everywhere

    @property
    def is_open_study(self) -> bool:
        """Whether every variable is open; False for a study without variables."""
        return bool(self._anywhere) and all(self._anywhere.values())

    def is_within(self, other: "BlindingRules") -> bool:
        """Whether whatever is open here is open in the other dictionary, too."""
        return (
            (other.is_open_study or not self.is_open_study)
            and all(other.is_open_everywhere(name) for name in filter(None, self._open_names))
            and all(self._is_form_within(form, other) for form in self._by_form)
            and all(key in self or key not in other for key in SYSTEM_KEYS)
        )

    @property
    def _open_names(self) -> list[str]:
        return [name for name, is_open in self._anywhere.items() if is_open]

    def _is_form_within(self, form: Any, other: "BlindingRules") -> bool:
        if self.is_open_form(form) and not other.is_open_form(form):
            return False
        halves = (form, None) if isinstance(form, int) else (None, form)
        names = [name for name in self._by_form[form] if self.is_open(name, *halves)]
        return all(other.is_open(name, *halves) for name in names)


def _is_given(half: object) -> bool:
    return half is not None and half != ""
