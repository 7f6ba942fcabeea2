"""The answers of some records of one form: decoded once, then taken column by column."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from orch_assets.imednet.form_tables.form_columns import Column
from orch_assets.imednet.form_tables.parsed_values import NO_ANSWER, ColumnType, reads_as_json
from orch_assets.imednet.json_text import lone_surrogates, object_of, raw_members, readable

if TYPE_CHECKING:
    import pyarrow as pa

# Digits as they were sent: a float would turn 1.10 into 1.1, and bytes are nothing JSON has.
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=str.encode).decode

_SCALARS = {str, int, bytes, type(None)}
# Stands for true, false, lists and objects where values are looked up: true is 1 to a dict.
_OTHER = object()


class Answers:
    """Record data of one form.

    Args:
        texts: of each record; not empty.
        columns: of the form.

    Attributes:
        misfits: how many values didn't fit, by column; complete after ``arrays``.
        replaced: for how many surrogates U+FFFD stands, by column of text; likewise.
        others: keys that no column answers to.
    """

    def __init__(self, texts: Sequence[str | None], columns: Sequence[Column]) -> None:
        self.misfits: dict[str, int] = {}
        self.replaced: dict[str, int] = {}
        self.others: set[str] = set()
        self._texts = texts
        self._columns = columns
        self._rows = _rows(texts)
        self._raw: dict[int, dict[str, msgspec.Raw]] = {}
        self._with_surrogates = {
            number for number, text in enumerate(texts) if lone_surrogates((text or "").encode())
        }
        self._sent_as: dict[tuple[int, str], str] = {}
        self._rest: dict[int, list[str]] = {}
        self._settle_keys()

    def arrays(self) -> "list[pa.Array]":
        """Return the columns, the companions of those that have one, and the rest."""
        keys = [column.key for column in self._columns]
        by_column = zip(*[tuple(map(row.get, keys)) for row in self._rows], strict=True)
        arrays, companions = [], []
        for column, values in zip(self._columns, by_column, strict=True):
            if column.kind.is_text:
                arrays.append(self._text_column(column, values))
                continue
            array, misfits = self._typed_column(column.key, column.kind, values)
            arrays.append(array)
            companions.append(_sparse(misfits, len(values)))
            self.misfits[column.name] = len(misfits)
        rest = {number: self._members(number, keys) for number, keys in self._rest.items()}
        return [*arrays, *companions, _sparse(rest, len(self._rows))]

    def _settle_keys(self) -> None:
        """Find the question of each key that isn't written like one, as the dictionary does.

        A key of another case means the only question that differs from it in nothing else; what
        then is nobody's goes to the rest.
        """
        known = {column.key for column in self._columns}
        questions = _by_case(known)
        for number, row in enumerate(self._rows):
            if row.keys() <= known:
                continue
            for sent in [key for key in row if key not in known]:
                question = questions.get(sent.casefold())
                if question is None or question in row:
                    self._rest.setdefault(number, []).append(sent)
                    self.others.add(sent)
                else:
                    row[question] = row.pop(sent)
                    self._sent_as[number, question] = sent

    def _text_column(self, column: Column, values: Sequence[Any]) -> "pa.Array":
        import pyarrow as pa

        key, as_json = column.key, column.kind.as_json
        if not as_json and not self._with_surrogates and {*map(type, values)} <= {str}:
            return pa.array(values, pa.string())
        texts = list(values)
        answers = {value for value in values if as_json and type(value) is str}
        unlike_text = {answer for answer in answers if reads_as_json(answer)}
        for number, value in enumerate(values):
            if type(value) is str:
                own_spelling = value not in unlike_text and not self._replaced(number, column)
            elif not self._is_sent(number, key):
                continue
            else:
                own_spelling = as_json and value is not None
                texts[number] = None if value is None else self._json(number, key)
            if not own_spelling:
                self._keep(number, key)
        return pa.array(texts, pa.string())

    def _typed_column(
        self, key: str, kind: ColumnType, values: Sequence[Any]
    ) -> "tuple[pa.Array, dict[int, str]]":
        """Return the column, and the JSON of what doesn't fit, by row."""
        if not {*map(type, values)} <= _SCALARS:
            values = [value if type(value) in _SCALARS else _OTHER for value in values]
        # Answers repeat: each is read once.
        readings = {value: kind.read(value) for value in {*values} - {None, _OTHER}}
        readings |= {None: NO_ANSWER, _OTHER: None}
        typed = {value: reading and reading.value for value, reading in readings.items()}
        unlike = {value for value, reading in readings.items() if not (reading and reading.exact)}
        misfits = {}
        for number in [number for number, value in enumerate(values) if value in unlike]:
            if readings[values[number]] is None:
                misfits[number] = self._json(number, key)
            elif self._is_sent(number, key):
                self._keep(number, key)
        return kind.array([typed[value] for value in values]), misfits

    def _replaced(self, number: int, column: Column) -> int:
        """Return, and count, the surrogates of a text for which U+FFFD stands."""
        if number not in self._with_surrogates:
            return 0
        count = lone_surrogates(self._json(number, column.key).encode())
        self.replaced[column.name] = self.replaced.get(column.name, 0) + count
        return count

    def _is_sent(self, number: int, key: str) -> bool:
        return key in self._rows[number]

    def _keep(self, number: int, key: str) -> None:
        self._rest.setdefault(number, []).append(self._sent_as.get((number, key), key))

    def _json(self, number: int, key: str) -> str:
        return bytes(self._raw_of(number)[self._sent_as.get((number, key), key)]).decode()

    def _members(self, number: int, keys: Sequence[str]) -> str:
        members = self._raw_of(number)
        return object_of({key: members[key] for key in keys})

    def _raw_of(self, number: int) -> dict[str, msgspec.Raw]:
        """Return a record's data a second time, each value as it was sent; few records need it."""
        if number not in self._raw:
            self._raw[number] = raw_members(self._texts[number] or "{}")
        return self._raw[number]


def _rows(texts: Sequence[str | None]) -> list[dict[str, Any]]:
    try:
        return [_decode(text) if text else {} for text in texts]
    # A whole number of thousands of digits, perhaps, or a surrogate without its other half.
    except (msgspec.DecodeError, RecursionError):
        return [
            {key: _value(raw) for key, raw in raw_members(text or "{}").items()} for text in texts
        ]


def _value(raw: msgspec.Raw) -> Any:
    try:
        return _decode(b'{"":%b}' % readable(bytes(raw)))[""]
    except (msgspec.ValidationError, RecursionError):
        return _OTHER


def _by_case(keys: set[str]) -> Mapping[str, str]:
    found: dict[str, list[str]] = {}
    for key in keys:
        found.setdefault(key.casefold(), []).append(key)
    return {folded: alike[0] for folded, alike in found.items() if len(alike) == 1}


def _sparse(texts: Mapping[int, str], length: int) -> "pa.Array":
    import pyarrow as pa

    if not texts:
        return pa.nulls(length, pa.string())
    return pa.array([texts.get(number) for number in range(length)], pa.string())
