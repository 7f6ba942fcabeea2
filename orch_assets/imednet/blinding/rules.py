"""Blinding rules: which variables of a study are open and which are withheld.

A variable is *open* on a form if the dictionary lists it there and every variable of that name on
the form has ``blinded`` false. Names are compared without case; deleted and disabled variables
count too. Everything else is withheld: a variable whose flag is true or missing, and a name or a
form that the dictionary does not list.
"""

from typing import TYPE_CHECKING, Any, Final

from orch_assets.lazy import cached_property

if TYPE_CHECKING:
    import pyarrow as pa

# The API itself adds these to recordData (spec/mednet.yaml, ExampleRecordsList). They describe the
# record and are not variables of a form.
SYSTEM_KEYS: Final = frozenset({"dateCreated", "dateModified", "unvnum"})


class BlindingRules:
    """The blinding rules of one study.

    Args:
        variables: The study's table ``variables``.
    """

    def __init__(self, variables: "pa.Table") -> None:
        self._by_form: dict[object, dict[str, bool]] = {}
        self._anywhere: dict[str, bool] = {}
        # Variables whose form is incomplete or missing: they are withheld on all forms.
        self._withheld_everywhere: set[str] = set()
        columns = ("variable_name", "blinded", "form_id", "form_key")
        for name, blinded, *form in zip(
            *(variables[column].to_pylist() for column in columns), strict=True
        ):
            self._add((name or "").casefold(), bool(name) and blinded is False, form)

    def _add(self, name: str, is_open: bool, form: list[object]) -> None:
        self._anywhere[name] = self._anywhere.get(name, True) and is_open
        if not is_open and not all(map(_is_set, form)):
            self._withheld_everywhere.add(name)
        for part in filter(_is_set, form):
            names = self._by_form.setdefault(part, {})
            names[name] = names.get(name, True) and is_open

    @cached_property
    def facts(self) -> list[object]:
        """All that these rules say: equal for two dictionaries by which all is split alike."""
        forms = sorted((repr(form), sorted(names.items())) for form, names in self._by_form.items())
        return [forms, sorted(self._anywhere.items()), sorted(self._withheld_everywhere)]

    def __contains__(self, variable: str) -> bool:
        return variable.casefold() in self._anywhere

    def is_open(self, variable: str | None, form_id: int | None, form_key: str | None) -> bool:
        """Whether a variable's values on a form may be shown.

        If both ID and key are given, the variable must be open by both. If neither is, the answer
        is that of ``is_open_everywhere``.
        """
        form_names = [part for part in (form_id, form_key) if _is_set(part)]
        if not form_names:
            return self.is_open_everywhere(variable)
        name = (variable or "").casefold()
        return name not in self._withheld_everywhere and all(
            self._by_form.get(part, {}).get(name, False) for part in form_names
        )

    def shows_key(self, key: str, form_id: int | None, form_key: str | None) -> bool:
        """Whether a key of ``record_data`` may be shown, on the form of its record."""
        if key in SYSTEM_KEYS and key not in self:
            return True
        return self.is_open(key, form_id, form_key)

    def is_open_everywhere(self, variable: str | None) -> bool:
        """Whether a variable is open on every form that has a variable of that name."""
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
        """Whether everything that is open here is open by the other rules too."""
        return self is other or (
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
        id_and_key = (form, None) if isinstance(form, int) else (None, form)
        names = [name for name in self._by_form[form] if self.is_open(name, *id_and_key)]
        return all(other.is_open(name, *id_and_key) for name in names)


def _is_set(part: object) -> bool:
    return part is not None and part != ""
