"""Names of data sets and columns in transport files: valid in SAS, and the same over versions."""

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from orch_assets.exports.exported_table import ExportedTable, text_of
from orch_assets.exports.transport.transport_version import TransportVersion

if TYPE_CHECKING:
    import pyarrow as pa

# The data set's own name, among the names of its columns. No column is called so in SAS.
DATA_SET: Final = "(data set)"

# Key columns of form tables, and what the API adds to the answers.
_SHORT_NAMES: Final = {
    "study_key": "STUDYKEY",
    "record_id": "RECORDID",
    "parent_record_id": "PARENTID",
    "subject_id": "SUBJID",
    "subject_key": "SUBJKEY",
    "visit_id": "VISIT_ID",
    "interval_id": "INTVID",
    "site_id": "SITE_ID",
    "record_status": "RECSTAT",
    "deleted": "DELETED",
    "date_created": "CREATED",
    "date_modified": "MODIFIED",
    "data_unvnum": "DUNVNUM",
    "data_date_created": "DCREATED",
    "data_date_modified": "DMODIFD",
    "record_data_extra": "EXTRA",
}

# SAS has its own variables and lists of variables, and data sets, of these names.
_RESERVED: Final = frozenset(
    ["_N_", "_ERROR_", "_ALL_", "_NUMERIC_", "_CHARACTER_", "_CHAR_", "_NULL_", "_DATA_", "_LAST_"]
)
_RAW_ENDING: Final = "_R"
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def transport_names(
    table: ExportedTable, version: TransportVersion, earlier: Mapping[str, str]
) -> dict[str, str]:
    """Return the names of a table's data set and columns.

    Earlier names stay, those of columns that are gone too: no other column gets them. Then columns
    of fixed names choose, then older variables, each followed by its column of text as entered,
    then all others.

    Args:
        table: The table.
        version: The version of the file.
        earlier: What this function returned for the table before.
    """
    names = _Names(version, earlier)
    names.give(DATA_SET, _data_set_name(table.name, version))
    for field in sorted(table.schema, key=lambda field: _turn(table.schema, field)):
        names.give(field.name, _wished(table.schema, field, names, version))
    return names.given


class _Names:
    def __init__(self, version: TransportVersion, earlier: Mapping[str, str]) -> None:
        self._version = version
        self.given = dict(earlier)
        # A data set may be called as one of its columns is.
        columns = (name for column, name in earlier.items() if column != DATA_SET)
        self._taken = {*_RESERVED, *(name.upper() for name in columns)}

    def give(self, column: str, wished: str) -> None:
        if column in self.given:
            return
        if column == DATA_SET:
            self.given[column] = wished
            return
        name = next(name for name in self._variants(wished) if name.upper() not in self._taken)
        self._taken.add(name.upper())
        self.given[column] = name

    def _variants(self, wished: str) -> Iterable[str]:
        yield wished
        for number in itertools.count(2):
            yield f"{wished[: self._version.name_length - len(str(number))]}{number}"


def _turn(schema: "pa.Schema", field: "pa.Field") -> tuple[int, int, str, int]:
    base = text_of(field.metadata, "raw_of")
    named = schema.field(base) if base in schema.names else field
    is_raw = int(named is not field)
    if field.name in _SHORT_NAMES:
        return 0, 0, field.name, is_raw
    variable_id = text_of(named.metadata, "variable_id")
    if variable_id.isdecimal():
        return 1, int(variable_id), named.name, is_raw
    return 2, schema.get_field_index(named.name), named.name, is_raw


def _wished(
    schema: "pa.Schema", field: "pa.Field", names: _Names, version: TransportVersion
) -> str:
    length = version.name_length
    plain = _plain(field.name, version)
    if len(plain) <= length:
        return plain[:length]
    if field.name in _SHORT_NAMES:
        return _SHORT_NAMES[field.name]
    base = text_of(field.metadata, "raw_of")
    if base in schema.names and base in names.given:
        return names.given[base][: length - len(_RAW_ENDING)] + _RAW_ENDING
    return plain[:length]


def _data_set_name(name: str, version: TransportVersion) -> str:
    """Return a name for a data set; one that is cut ends with three letters of the name's hash.

    SAS programs often copy all files of a study into one library, where equal names would replace
    each other.
    """
    plain = _plain(name, version)
    if plain.upper() in _RESERVED:
        plain = f"D{plain}"
    if len(plain) <= version.name_length:
        return plain
    number = int.from_bytes(hashlib.sha256(name.upper().encode()).digest())
    ending = "".join(_DIGITS[number // 36**place % 36] for place in range(3))
    return plain[: version.name_length - len(ending)] + ending


def _plain(text: str, version: TransportVersion) -> str:
    """Return a text with what SAS allows in names: ASCII letters, digits and ``_``."""
    letters = [letter if letter.isascii() and letter.isalnum() else "_" for letter in text]
    name = "".join(letters) or "_"
    if name[0].isdigit():
        name = f"_{name}"
    return name.upper() if version.upper_case else name
