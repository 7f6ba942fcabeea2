"""Withheld variables: those that are blinded, or not known to be open.

A variable is *open* on a form when the dictionary has it there with ``blinded`` false, and has no
variable of the same name on that form, whatever the case, for which that isn't so. Everything else
is withheld: a flag that is true or missing, and a name that the dictionary doesn't know.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow as pa

# The API puts these into recordData itself (spec/mednet.yaml, ExampleRecordsList); they are
# facts of the record and no variables of a form.
SYSTEM_KEYS: Final = frozenset({"dateCreated", "dateModified", "unvnum"})

_RECORD_COLUMNS: Final = (
    "study_key",
    "record_id",
    "form_id",
    "form_key",
    "site_id",
    "subject_id",
    "subject_key",
    "interval_id",
    "visit_id",
    "parent_record_id",
    "deleted",
)


class Dictionary:
    """Which variables of a study are open.

    Args:
        variables: the study's table ``variables``.
    """

    def __init__(self, variables: "pa.Table") -> None:
        self._by_form: dict[Any, dict[str, bool]] = {}
        self._anywhere: dict[str, bool] = {}
        columns = ["form_id", "form_key", "variable_name", "blinded"]
        for row in variables.select(columns).to_pylist():
            name = (row["variable_name"] or "").casefold()
            is_open = row["blinded"] is False
            for form in (row["form_id"], row["form_key"]):
                names = self._by_form.setdefault(form, {})
                names[name] = names.get(name, True) and is_open
            self._anywhere[name] = self._anywhere.get(name, True) and is_open

    def is_open(self, variable: str, form_id: int | None, form_key: str | None) -> bool:
        """Whether a variable's values on a form may be shown."""
        name = variable.casefold()
        form = form_id if form_id is not None else form_key
        names = self._by_form.get(form, {}) if form is not None else self._anywhere
        return names.get(name, False)

    def is_open_everywhere(self, variable: str) -> bool:
        """Whether a variable is open on every form that has one of that name."""
        return self._anywhere.get(variable.casefold(), False)


def split_table(
    endpoint: str, table: "pa.Table", variables: "pa.Table"
) -> "tuple[pa.Table, pa.Table]":
    """Return a table's open part, and the companion that holds what is withheld.

    Args:
        endpoint: ``records``, ``codings`` or ``queries``.
        table: that endpoint's table.
        variables: the study's table ``variables``.

    Returns:
        For ``records``: all rows with the open keys of ``record_data``, and the rows that have
        withheld ones, with those alone. For the others: the rows on open variables (and on none),
        and the rows on withheld ones. A table in which nothing is withheld comes back unchanged.

    Raises:
        KeyError: no such endpoint.
    """
    split: tuple[pa.Table, pa.Table] = _SPLITS[endpoint](table, Dictionary(variables))
    return split


def _split_records(table: "pa.Table", known: Dictionary) -> "tuple[pa.Table, pa.Table]":
    import msgspec
    import pyarrow as pa

    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])  # values keep their exact text
    shown: list[str | None] = []
    hidden: list[str | None] = []
    columns = (table[name].to_pylist() for name in ("record_data", "form_id", "form_key"))
    for text, form_id, form_key in zip(*columns, strict=True):
        data = decoder.decode(text) if text else {}
        withheld = {
            key: value
            for key, value in data.items()
            if key not in SYSTEM_KEYS and not known.is_open(key, form_id, form_key)
        }
        hidden.append(msgspec.json.encode(withheld).decode() if withheld else None)
        if withheld:
            data = {key: value for key, value in data.items() if key not in withheld}
            text = msgspec.json.encode(data).decode()  # noqa: PLW2901 - the row's open part
        shown.append(text)
    position = table.schema.get_field_index("record_data")
    field = table.schema.field(position)
    companion = table.select(_RECORD_COLUMNS).append_column(field, pa.array(hidden, field.type))
    mask = pa.array([text is not None for text in hidden], pa.bool_())
    return table.set_column(position, field, pa.array(shown, field.type)), companion.filter(mask)


def _split_codings(table: "pa.Table", known: Dictionary) -> "tuple[pa.Table, pa.Table]":
    rows = table.select(["variable", "form_id", "form_key"]).to_pylist()
    return _by_row(
        table,
        rows,
        # A coding without a variable still has a value: nobody says that it is open.
        lambda row: (
            row["variable"] is not None
            and known.is_open(row["variable"], row["form_id"], row["form_key"])
        ),
    )


def _split_queries(table: "pa.Table", known: Dictionary) -> "tuple[pa.Table, pa.Table]":
    """Split queries: they name no form, so the variable must be open on every form."""
    return _by_row(
        table,
        table.select(["variable"]).to_pylist(),
        lambda row: not row["variable"] or known.is_open_everywhere(row["variable"]),
    )


def _by_row(
    table: "pa.Table",
    rows: Iterable[Mapping[str, Any]],
    is_open: Callable[[Mapping[str, Any]], bool],
) -> "tuple[pa.Table, pa.Table]":
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = pa.array([is_open(row) for row in rows], pa.bool_())
    return table.filter(mask), table.filter(pc.invert(mask))


_SPLITS: Final[Mapping[str, Callable[..., Any]]] = {
    "records": _split_records,
    "codings": _split_codings,
    "queries": _split_queries,
}
