"""The columns of a form's table: their names, types, order and metadata."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from orch_assets.imednet.blinding.rules import BlindingRules
from orch_assets.imednet.form_tables.column_names import Names, raw_name
from orch_assets.imednet.form_tables.parsed_values import TEXT, ColumnType, column_type
from orch_assets.imednet.form_tables.study_forms import StudyForm

if TYPE_CHECKING:
    import pyarrow as pa

# From the table ``records``, in this order; its other columns can be joined by record_id.
KEY_COLUMNS: Final = (
    "study_key",
    "record_id",
    "parent_record_id",
    "subject_id",
    "subject_key",
    "visit_id",
    "interval_id",
    "site_id",
    "record_status",
    "deleted",
    "date_created",
    "date_modified",
)
EXTRA: Final = "record_data_extra"
MISFITS: Final = "misfits"
REPLACED: Final = "replaced_surrogates"

# What the API itself puts into recordData (blinding.rules.SYSTEM_KEYS), and its columns.
_SYSTEM_COLUMNS: Final = {
    "unvnum": "data_unvnum",
    "dateCreated": "data_date_created",
    "dateModified": "data_date_modified",
}
_VARIABLE_METADATA: Final = (
    "variable_id",
    "variable_type",
    "label",
    "sequence",
    "deleted",
    "disabled",
)


@dataclass(frozen=True)
class Column:
    """A column with the answers to one variable.

    Attributes:
        key: The variable's key in ``record_data``.
        name: The column's name.
        type: The column's type.
        metadata: What the dictionary says about the variable.
    """

    key: str
    name: str
    type: ColumnType
    metadata: Mapping[str, str]

    def fields(self, counts: Mapping[str, int | None]) -> "Iterator[pa.Field]":
        """Yield the column's field, and that of its RAW column where it is typed.

        Args:
            counts: Go into the column's metadata where they are not None.
        """
        import pyarrow as pa

        metadata = {**self.metadata, **_texts(counts)}
        yield pa.field(self.name, self.type.arrow_type, metadata=metadata)
        if not self.type.is_text:
            label = self.metadata.get("label", self.key)
            metadata = {
                "raw_of": self.name,
                "variable_name": self.key,
                "label": f"{label} (text as entered)",
            }
            yield pa.field(raw_name(self.name), pa.string(), metadata=metadata)


def form_columns(form: StudyForm, rules: BlindingRules, *, withheld: bool) -> list[Column]:
    """Return a form's columns in the order of the dictionary: by sequence, then by ID.

    Args:
        form: The form with its variables.
        rules: Decide which of the variables are open.
        withheld: Return the variables that are not open. Otherwise return the open ones, after
            the columns for what the API itself adds.
    """
    variables = _by_name(form.variables)
    names = _column_names(form.variables)
    columns = [
        Column(name, names[name], column_type(row["variable_type"]), _variable_metadata(row))
        for name, row in variables.items()
        if rules.is_open(name, form.form_id, form.form_key) is not withheld
    ]
    return columns if withheld else [*_system_columns(variables), *columns]


def _system_columns(variables: Mapping[str, Any]) -> Iterator[Column]:
    for key, name in _SYSTEM_COLUMNS.items():
        if key not in variables:
            yield Column(key, name, TEXT, {"variable_name": key})


def _by_name(variables: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return a form's variables by name; of two with the same name, the one in use."""
    by_name: dict[str, dict[str, Any]] = {}
    for row in sorted(variables, key=lambda row: (_is_inactive(row), *_position(row))):
        by_name.setdefault(row["variable_name"], row)
    return dict(sorted(by_name.items(), key=lambda item: _position(item[1])))


def _is_inactive(row: Mapping[str, Any]) -> bool:
    return bool(row["deleted"] or row["disabled"])


def _position(row: Mapping[str, Any]) -> tuple[Any, ...]:
    sequence, variable_id = row["sequence"], row["variable_id"]
    return (sequence is None, sequence or 0, variable_id is None, variable_id or 0)


def _column_names(variables: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the column name for each variable name of a form.

    Withheld variables are named too, and older variables (by ID) choose first. So names stay when
    a variable is added or unblinded.
    """
    names = Names([*KEY_COLUMNS, *_SYSTEM_COLUMNS.values(), EXTRA])
    column_names: dict[str, str] = {}
    for row in sorted(variables, key=lambda row: (*_position(row)[2:], row["variable_name"])):
        if row["variable_name"] not in column_names:
            column_names[row["variable_name"]] = names.give(row["variable_name"])
    return column_names


def _variable_metadata(row: Mapping[str, Any]) -> dict[str, str]:
    facts = {"variable_name": row["variable_name"], "form_key": row["form_key"]}
    return _texts(facts | {name: row[name] for name in _VARIABLE_METADATA})


def _texts(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return facts as text for metadata: without None, and with booleans as in JSON."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in facts.items()
        if value is not None
    }


def table_schema(
    form: StudyForm,
    keys: "Sequence[pa.Field]",
    columns: Sequence[Column],
    misfits: Mapping[str, int],
    replaced: Mapping[str, int],
) -> "pa.Schema":
    """Return the schema of a form's table.

    Args:
        form: Described in the schema's metadata.
        keys: The fields of the key columns.
        columns: The columns of the variables.
        misfits: How many answers could not be read, by column; a missing column has none.
        replaced: How many surrogates U+FFFD replaces, by column; a missing column has none.
    """
    import pyarrow as pa

    fields = [*keys]
    for column in columns:
        unreadable = None if column.type.is_text else misfits.get(column.name, 0)
        fields += column.fields({MISFITS: unreadable, REPLACED: replaced.get(column.name)})
    label = "Answers that no variable of the form names, or that text cannot hold, as JSON"
    fields.append(pa.field(EXTRA, pa.string(), metadata={"label": label}))
    facts = {
        "form_id": form.form_id,
        "form_key": form.form_key,
        "form_name": form.form_name,
        MISFITS: sum(misfits.values()),
        REPLACED: sum(replaced.values()) or None,
    }
    return pa.schema(fields, metadata=_texts(facts))
