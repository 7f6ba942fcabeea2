"""The answers in some records of one form: decoded once, then taken column by column."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from orch_assets.imednet.form_tables.form_columns import Column
from orch_assets.imednet.json_text import lone_surrogates, object_of, raw_members, readable

if TYPE_CHECKING:
    import pyarrow as pa

# Numbers with a point or an exponent stay the text that was sent: a float would turn 1.10 into 1.1.
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=str).decode

_TEXT_TYPES = {str, type(None)}
# Stands for a value that Python cannot hold, such as a list nested 500 deep.
_UNDECODED = object()
# The decoder reads -0 as 0. Found in text answers too, which costs only a second look.
_NEGATIVE_ZERO = re.compile(r":\s*-0\s*[,}]")


class Answers:
    """The ``record_data`` of some records of one form.

    Args:
        record_data: The JSON text of each record; at least one record.
        columns: The form's columns.

    Attributes:
        misfits: How many answers could not be read, by typed column. Filled by ``arrays``.
        replaced: How many surrogates U+FFFD replaces, by column. Filled by ``arrays``.
        unknown_keys: Keys that belong to no column.
    """

    def __init__(self, record_data: Sequence[str | None], columns: Sequence[Column]) -> None:
        self.misfits: dict[str, int] = {}
        self.replaced: dict[str, int] = {}
        self.unknown_keys: set[str] = set()
        self._record_data = record_data
        self._columns = columns
        self._rows = _rows(record_data)
        self._raw: dict[int, dict[str, msgspec.Raw]] = {}
        self._with_surrogates = [
            row for row, text in enumerate(record_data) if lone_surrogates((text or "").encode())
        ]
        self._sent_keys: dict[tuple[int, str], str] = {}
        self._extra: dict[int, list[str]] = {}
        self._match_keys()

    def arrays(self) -> "list[pa.Array]":
        """Return the columns, each typed one followed by its RAW column, then the extra one."""
        import pyarrow as pa

        keys = [column.key for column in self._columns]
        by_column = zip(*[tuple(map(row.get, keys)) for row in self._rows], strict=True)
        arrays = []
        for column, values in zip(self._columns, by_column, strict=True):
            texts = self._texts(column.key, values)
            self._count_replaced(column, values)
            if not column.type.is_text:
                typed, self.misfits[column.name] = column.type.read(texts)
                arrays.append(typed)
            arrays.append(pa.array(texts, pa.string()))
        return [*arrays, self._extra_column()]

    def _match_keys(self) -> None:
        """Find the variable of each key that is not spelled like one, as the dictionary does.

        Such a key belongs to a variable if that is the only one which differs from it in case
        alone, and the record does not have the variable's own key. All others are extra.
        """
        known = {column.key for column in self._columns}
        by_case = _unique_by_case(known)
        for number, row in enumerate(self._rows):
            if row.keys() <= known:
                continue
            for sent in [key for key in row if key not in known]:
                key = by_case.get(sent.casefold())
                if key is None or key in row:
                    self._extra.setdefault(number, []).append(sent)
                    self.unknown_keys.add(sent)
                else:
                    row[key] = row.pop(sent)
                    self._sent_keys[number, key] = sent

    def _texts(self, key: str, values: Sequence[Any]) -> Sequence[str | None]:
        """Return the answers to a variable as entered."""
        if {*map(type, values)} <= _TEXT_TYPES:
            return values
        return [
            value if type(value) in _TEXT_TYPES else self._as_text(row, key, value)
            for row, value in enumerate(values)
        ]

    def _as_text(self, row: int, key: str, value: Any) -> str:
        if type(value) is int and (value or not self._may_have_negative_zero(row)):
            return str(value)
        return self._json(row, key)

    def _may_have_negative_zero(self, row: int) -> bool:
        return bool(_NEGATIVE_ZERO.search(self._record_data[row] or ""))

    def _count_replaced(self, column: Column, values: Sequence[Any]) -> None:
        """Count the surrogates that U+FFFD replaces in text, and add what was sent to the extra."""
        for row in self._with_surrogates:
            if type(values[row]) is not str:
                continue
            if count := lone_surrogates(self._json(row, column.key).encode()):
                self.replaced[column.name] = self.replaced.get(column.name, 0) + count
                self._extra.setdefault(row, []).append(self._sent_key(row, column.key))

    def _sent_key(self, row: int, key: str) -> str:
        return self._sent_keys.get((row, key), key)

    def _json(self, row: int, key: str) -> str:
        return bytes(self._raw_of(row)[self._sent_key(row, key)]).decode()

    def _raw_of(self, row: int) -> dict[str, msgspec.Raw]:
        """Decode a record again with each value as it was sent; few records need it."""
        if row not in self._raw:
            self._raw[row] = raw_members(self._record_data[row] or "{}")
        return self._raw[row]

    def _extra_column(self) -> "pa.Array":
        import pyarrow as pa

        if not self._extra:
            return pa.nulls(len(self._rows), pa.string())
        extra = {
            row: object_of({key: self._raw_of(row)[key] for key in keys})
            for row, keys in self._extra.items()
        }
        return pa.array([extra.get(row) for row in range(len(self._rows))], pa.string())


def _rows(record_data: Sequence[str | None]) -> list[dict[str, Any]]:
    try:
        return [_decode(text) if text else {} for text in record_data]
    # Perhaps a whole number of thousands of digits, or half of a surrogate pair.
    except (msgspec.DecodeError, RecursionError):
        return [
            {key: _value(raw) for key, raw in raw_members(text or "{}").items()}
            for text in record_data
        ]


def _value(raw: msgspec.Raw) -> Any:
    try:
        return _decode(b'{"":%b}' % readable(bytes(raw)))[""]
    except (msgspec.ValidationError, RecursionError):
        return _UNDECODED


def _unique_by_case(keys: set[str]) -> Mapping[str, str]:
    """Return the keys by their case-folded form, without those that share theirs."""
    by_case: dict[str, list[str]] = {}
    for key in keys:
        by_case.setdefault(key.casefold(), []).append(key)
    return {folded: alike[0] for folded, alike in by_case.items() if len(alike) == 1}
