"""The columns of a form's table: what each is called, holds, and tells of its variable."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from orch_assets.imednet.blinding.rules import BlindingRules
from orch_assets.imednet.form_tables.column_names import Names, companion_name
from orch_assets.imednet.form_tables.parsed_values import TEXT, ColumnType, kind_of
from orch_assets.imednet.form_tables.study_forms import StudyForm

if TYPE_CHECKING:
    import pyarrow as pa

# Of the table ``records``, in this order; what else it holds is there by record_id.
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
REST: Final = "record_data_rest"
MISFITS: Final = "misfits"
REPLACED: Final = "replaced_surrogates"

# What the API itself puts into recordData (withheld_record_data.SYSTEM_KEYS), and its columns.
_SYSTEM_COLUMNS: Final = {
    "unvnum": "data_unvnum",
    "dateCreated": "data_date_created",
    "dateModified": "data_date_modified",
}
_TOLD: Final = ("variable_id", "variable_type", "label", "sequence", "deleted", "disabled")


@dataclass(frozen=True)
class Column:
    """A column that holds the answers to one question.

    Attributes:
        key: the question's, in record data.
        name: the column's.
        kind: what it holds.
        metadata: what the dictionary says of the variable.
    """

    key: str
    name: str
    kind: ColumnType
    metadata: Mapping[str, str]

    @property
    def companion(self) -> str | None:
        """The column for what doesn't fit into this one; text fits always."""
        return None if self.kind.is_text else companion_name(self.name)


def columns_of(form: StudyForm, known: BlindingRules, *, withheld: bool) -> list[Column]:
    """Return a form's columns in the order of the dictionary: by sequence, then by ID.

    Args:
        form: with its variables.
        known: tells which of them are open.
        withheld: those that aren't; else those that are, behind what the API itself adds.
    """
    variables = _named_apart(form.variables)
    names = _names(form.variables)
    columns = [
        Column(name, names[name], kind_of(row["variable_type"]), _told(row))
        for name, row in variables.items()
        if known.is_open(name, form.form_id, form.form_key) is not withheld
    ]
    return columns if withheld else [*_system_columns(variables), *columns]


def _system_columns(variables: Mapping[str, Any]) -> Iterator[Column]:
    for key, name in _SYSTEM_COLUMNS.items():
        if key not in variables:
            yield Column(key, name, TEXT, {"variable_name": key})


def _named_apart(variables: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return a form's variables by name; of two with the same one, that which is in use."""
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(variables, key=lambda row: (_is_gone(row), *_place(row))):
        found.setdefault(row["variable_name"], row)
    return dict(sorted(found.items(), key=lambda item: _place(item[1])))


def _is_gone(row: Mapping[str, Any]) -> bool:
    return bool(row["deleted"] or row["disabled"])


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    sequence, variable_id = row["sequence"], row["variable_id"]
    return (sequence is None, sequence or 0, variable_id is None, variable_id or 0)


def _names(variables: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return a column's name for each name of a variable.

    All variables of the form have one, withheld or not, and the older (by ID) choose first: names
    stay when a variable is added, or its blinding lifted.
    """
    names = Names([*KEY_COLUMNS, *_SYSTEM_COLUMNS.values(), REST])
    found: dict[str, str] = {}
    for row in sorted(variables, key=lambda row: (*_place(row)[2:], row["variable_name"])):
        if row["variable_name"] not in found:
            found[row["variable_name"]] = names.give(row["variable_name"])
    return found


def _told(row: Mapping[str, Any]) -> dict[str, str]:
    told = {"variable_name": row["variable_name"], "form_key": row["form_key"]}
    told.update({name: row[name] for name in _TOLD})
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in told.items()
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
        form: goes into the schema's metadata.
        keys: the columns that come first.
        columns: those of the questions; their companions come behind them all.
        misfits: how many values didn't fit, by column; none where it is missing.
        replaced: for how many surrogates U+FFFD stands, by column; likewise.
    """
    import pyarrow as pa

    fields = [*keys]
    companions = []
    for column in columns:
        metadata = dict(column.metadata)
        if column.companion:
            metadata[MISFITS] = str(misfits.get(column.name, 0))
            told = {"misfits_of": column.name, "variable_name": column.key}
            companions.append(pa.field(column.companion, pa.string(), metadata=told))
        if replaced.get(column.name):
            metadata[REPLACED] = str(replaced[column.name])
        fields.append(pa.field(column.name, column.kind.arrow_type, metadata=metadata))
    facts = {
        "form_id": form.form_id,
        "form_key": form.form_key,
        "form_name": form.form_name,
        MISFITS: sum(misfits.values()),
        REPLACED: sum(replaced.values()) or None,
    }
    told = {name: str(value) for name, value in facts.items() if value is not None}
    return pa.schema([*fields, *companions, pa.field(REST, pa.string())], metadata=told)
