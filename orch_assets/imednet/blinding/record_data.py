"""Splits the ``record_data`` of records key by key, by whether each variable is open."""

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from orch_assets.imednet.blinding.masking import one_array, replaced, without
from orch_assets.imednet.blinding.rules import SYSTEM_KEYS, BlindingRules
from orch_assets.imednet.json_text import object_of, raw_members

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["REFERENCES", "SYSTEM_KEYS", "FormReference", "RecordSplit", "rows_by_form"]

# The ID and the key of a form, by which records refer to it; either may be missing.
FormReference: TypeAlias = tuple[int | None, str | None]

# The columns that say which record it is, and what it belongs to.
REFERENCES: Final = (
    "study_key",
    "record_id",
    "form_id",
    "form_key",
    "site_id",
    "subject_id",
    "subject_key",
    "interval_id",
    "visit_id",
)
_WITHHELD_COLUMNS: Final = (
    *REFERENCES,
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
    """Splits records batch by batch, and remembers the keys of each form between batches.

    Args:
        rules: The study's blinding rules.
    """

    def __init__(self, rules: BlindingRules) -> None:
        self._keys_of = functools.cache(functools.partial(_FormKeys, rules))

    def __call__(self, table: "pa.Table") -> "tuple[pa.Table, pa.Table]":
        """Return all records without their withheld keys, and the records that have withheld keys.

        The latter have only these keys, and the columns that identify a record.
        """
        import pyarrow as pa

        candidates = table.select(_WITHHELD_COLUMNS)
        texts = table["record_data"].combine_chunks()
        split: dict[int, tuple[str, str]] = {}
        for form, rows in rows_by_form(table):
            split.update(self._keys_of(*form).split(texts, rows))
        if not split:
            return table, candidates.slice(0, 0)
        shown = texts.to_pylist()
        hidden: list[str | None] = [None] * len(texts)
        for row, (open_part, withheld_part) in split.items():
            shown[row], hidden[row] = open_part, withheld_part
        withheld_data = pa.array(hidden, pa.string())
        mask = withheld_data.is_valid()
        opened = replaced(table, "record_data", pa.array(shown, pa.string()))
        withheld = replaced(candidates, "record_data", withheld_data).filter(mask)
        return without(opened, mask, ["extra"]), withheld


class _FormKeys:
    """The open and the withheld keys of one form. Each key is looked up once, not once per row."""

    def __init__(self, rules: BlindingRules, form_id: int | None, form_key: str | None) -> None:
        self._rules = rules
        self._form = (form_id, form_key)
        self._open: set[str] = set()
        self._withheld: set[str] = set()

    def split(
        self, texts: "pa.StringArray", rows: "NDArray[np.intp]"
    ) -> Iterator[tuple[int, tuple[str, str]]]:
        """Yield each row with withheld keys: its number, its open part and its withheld part.

        Args:
            texts: The ``record_data`` of all records.
            rows: The numbers of the rows of this form.
        """
        if not self._open and not self._withheld:
            # The other rows usually have the keys of the first one.
            yield from self._split_each(texts, rows[:1])
            rows = rows[1:]
        # If keys are withheld, most rows have one, so matching first would save nothing.
        if not self._withheld and self._is_matching_quicker(len(rows)):
            rows = rows[_with_other_keys(self._open, texts.take(rows))]
        yield from self._split_each(texts, rows)

    def _is_matching_quicker(self, rows: int) -> bool:
        """Return whether matching the open keys by an expression is quicker than decoding each row.

        Compiling the expression takes as long as decoding a hundred rows. Beyond about 7,000
        characters RE2 has no room for its automaton and takes ten times as long as decoding.
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
        """Return the withheld keys of a record, in the order of the record."""
        for key in data.keys() - self._open - self._withheld:
            is_open = self._rules.shows_key(key, *self._form)
            (self._open if is_open else self._withheld).add(key)
        return [key for key in data if key in self._withheld]


def rows_by_form(
    records: "pa.Table | pa.RecordBatch",
) -> "Iterator[tuple[FormReference, NDArray[np.intp]]]":
    """Yield the ID and key of each form that records refer to, and the numbers of its rows.

    Forms come in the order of their first rows.
    """
    import numpy as np

    columns = (one_array(records[name]) for name in ("form_id", "form_key"))
    halves = [column.dictionary_encode("encode") for column in columns]
    ids, keys = (half.dictionary.to_pylist() for half in halves)
    id_codes, key_codes = (half.indices.to_numpy() for half in halves)
    codes = id_codes * np.int64(len(keys)) + key_codes
    found, first_rows = np.unique(codes, return_index=True)
    for code in found[np.argsort(first_rows)].tolist():
        id_code, key_code = divmod(code, len(keys))
        yield (ids[id_code], keys[key_code]), np.flatnonzero(codes == code)


def _with_other_keys(keys: Iterable[str], texts: "pa.StringArray") -> "NDArray[np.intp]":
    """Return the numbers of the JSON objects that have, or may have, keys other than these.

    RE2 matches all texts with one expression and without the interpreter lock. Decoding them takes
    several times as long, and no other thread runs meanwhile. The expression covers objects whose
    values are scalars and whose keys have no escapes; all others are returned.

    Args:
        keys: The keys to match.
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
