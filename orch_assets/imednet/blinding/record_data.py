"""Withheld values of records: key by key of ``record_data``, where the variable is not open."""

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from orch_assets.imednet.blinding.masking import replaced, without
from orch_assets.imednet.blinding.rules import SYSTEM_KEYS, BlindingRules
from orch_assets.imednet.json_text import object_of, raw_members

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["SYSTEM_KEYS", "RecordSplit"]

_COMPANION_COLUMNS: Final = (
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
    "keywords",
    "extra",
    "record_data",
)

_PLAIN_VALUE: Final = r'(?:"(?:[^"\\]|\\.)*"|[^",:{}\[\]]+)'

_MANY_ROWS: Final = 150
_MANY_CHARACTERS: Final = 4000


class RecordSplit:
    """Splits records, batch by batch; what it learns of a form serves the batches that follow.

    Args:
        known: the study's dictionary.
    """

    def __init__(self, known: BlindingRules) -> None:
        self._keys_of = functools.cache(functools.partial(_FormKeys, known))

    def __call__(self, table: "pa.Table") -> "tuple[pa.Table, pa.Table]":
        """Return the records without their withheld keys, and those with these alone."""
        import pyarrow as pa

        whole = table.select(_COMPANION_COLUMNS)
        texts = table["record_data"].combine_chunks()
        split: dict[int, tuple[str, str]] = {}
        for form, rows in _by_form(table):
            split.update(self._keys_of(*form).split(texts, rows))
        if not split:
            return table, whole.slice(0, 0)
        shown = texts.to_pylist()
        hidden: list[str | None] = [None] * len(texts)
        for row, (open_part, withheld_part) in split.items():
            shown[row], hidden[row] = open_part, withheld_part
        withheld = pa.array(hidden, pa.string())
        mask = withheld.is_valid()
        rest = replaced(table, "record_data", pa.array(shown, pa.string()))
        companion = replaced(whole, "record_data", withheld).filter(mask)
        return without(rest, mask, ["extra"]), companion


class _FormKeys:
    """The keys in a form's records; each is looked up once, not once for every row."""

    def __init__(self, known: BlindingRules, form_id: int | None, form_key: str | None) -> None:
        self._known = known
        self._form = (form_id, form_key)
        self._open: set[str] = set()
        self._withheld: set[str] = set()

    def split(
        self, texts: "pa.StringArray", rows: "NDArray[np.intp]"
    ) -> Iterator[tuple[int, tuple[str, str]]]:
        """Yield the rows that something is withheld of: number, open part, withheld part.

        Args:
            texts: the data of all records.
            rows: the numbers of this form's.
        """
        if not self._open and not self._withheld:
            # The first row shows what the others are like.
            yield from self._split_each(texts, rows[:1])
            rows = rows[1:]
        # Where keys are withheld, most rows have one: nothing is won by looking twice.
        if not self._withheld and self._is_matching_quicker(len(rows)):
            rows = rows[_with_other_keys(self._open, texts.take(rows))]
        yield from self._split_each(texts, rows)

    def _is_matching_quicker(self, rows: int) -> bool:
        """Return whether an expression of the open keys is quicker than to decode each row.

        To compile it takes as long as to decode a hundred rows, and beyond some 7,000 characters
        RE2 has no room for its automaton and takes ten times as long as decoding.
        """
        return rows >= _MANY_ROWS and sum(map(len, self._open)) <= _MANY_CHARACTERS

    def _split_each(
        self, texts: "pa.StringArray", rows: "NDArray[np.intp]"
    ) -> Iterator[tuple[int, tuple[str, str]]]:
        if not len(rows):
            return
        for row, text in zip(rows.tolist(), texts.take(rows).to_pylist(), strict=True):
            part = self._split_one(text) if text else None
            if part is not None:
                yield row, part

    def _split_one(self, text: str) -> tuple[str, str] | None:
        data = raw_members(text)
        names = self._withheld_of(data)
        if not names:
            return None
        withheld = {name: data.pop(name) for name in names}
        return object_of(data), object_of(withheld)

    def _withheld_of(self, data: Mapping[str, object]) -> Sequence[str]:
        """Return which of a record's keys are withheld, in their order."""
        for key in data.keys() - self._open - self._withheld:
            is_open = self._known.shows_key(key, *self._form)
            (self._open if is_open else self._withheld).add(key)
        return [key for key in data if key in self._withheld]


def _by_form(
    table: "pa.Table",
) -> "Iterator[tuple[tuple[int | None, str | None], NDArray[np.intp]]]":
    """Yield each form, by its ID and its key, and the numbers of its rows."""
    import numpy as np

    columns = (table[name].combine_chunks() for name in ("form_id", "form_key"))
    halves = [column.dictionary_encode("encode") for column in columns]
    ids, keys = (half.dictionary.to_pylist() for half in halves)
    id_codes, key_codes = (half.indices.to_numpy() for half in halves)
    codes = id_codes * np.int64(len(keys)) + key_codes
    for code in np.unique(codes).tolist():
        id_code, key_code = divmod(code, len(keys))
        yield (ids[id_code], keys[key_code]), np.flatnonzero(codes == code)


def _with_other_keys(keys: Iterable[str], texts: "pa.StringArray") -> "NDArray[np.intp]":
    """Return the numbers of the JSON objects that have, or may have, other keys than these.

    One expression for all of them, matched without the interpreter: to decode them takes several
    times as long, and nothing else runs meanwhile. It knows values that are no objects and no
    lists, and keys that are written as they are.

    Args:
        keys: the keys.
        texts: JSON objects; null has no keys.
    """
    import numpy as np
    import pyarrow.compute as pc

    plain = [re.escape(key) for key in keys if json.dumps(key, ensure_ascii=False) == f'"{key}"']
    member = rf'"(?:{"|".join(plain)})":{_PLAIN_VALUE}'
    members = f"{member}(?:,{member})*" if plain else ""
    matches = pc.match_substring_regex(texts, rf"\A\{{(?:{members})?\}}\z")
    if not matches.false_count:
        return np.empty(0, np.intp)
    return np.flatnonzero(~pc.fill_null(matches, True).to_numpy(zero_copy_only=False))
