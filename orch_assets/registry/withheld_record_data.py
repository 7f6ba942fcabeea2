"""Withheld values of records: key by key of ``record_data``, where the variable is not open."""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from orch_assets.registry.dictionary import Dictionary
from orch_assets.registry.masking import replaced, rows_of, without

if TYPE_CHECKING:
    import pyarrow as pa

# The API puts these into recordData itself (spec/mednet.yaml, ExampleRecordsList); they are
# facts of the record and no variables of a form.
SYSTEM_KEYS: Final = frozenset({"dateCreated", "dateModified", "unvnum"})

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
    "extra",
    "record_data",
)

_decode: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode  # values keep their exact text
_encode: Final = msgspec.json.encode


class RecordSplit:
    """Splits records, batch by batch; what it learns of a form serves the batches that follow.

    Args:
        known: the study's dictionary.
    """

    def __init__(self, known: Dictionary) -> None:
        self._keys_of = functools.cache(functools.partial(_FormKeys, known))

    def __call__(self, table: "pa.Table") -> "tuple[pa.Table, pa.Table]":
        """Return the records without their withheld keys, and those with these alone."""
        import pyarrow as pa

        whole = table.select(_COMPANION_COLUMNS)
        texts = table["record_data"].to_pylist()
        parts: list[tuple[str, str] | None] = [None] * len(texts)
        for form, numbers in _by_form(table, texts).items():
            split = self._keys_of(*form).split([texts[number] for number in numbers])
            for number, part in zip(numbers, split, strict=True):
                parts[number] = part
        if not any(parts):
            return table, whole.slice(0, 0)
        hidden = pa.array([part and part[1] for part in parts], pa.string())
        mask = hidden.is_valid()
        shown = [part[0] if part else text for part, text in zip(parts, texts, strict=True)]
        rest = replaced(table, "record_data", pa.array(shown, pa.string()))
        companion = replaced(whole, "record_data", hidden).filter(mask)
        return without(rest, mask, ["extra"]), companion


class _FormKeys:
    """The keys in a form's records; each is looked up once, not once for every row."""

    def __init__(self, known: Dictionary, form_id: int | None, form_key: str | None) -> None:
        self._known = known
        self._form = (form_id, form_key)
        self._open: set[str] = set()
        self._withheld: set[str] = set()
        self._check_open: Any = None

    def split(self, texts: Sequence[str]) -> Sequence[tuple[str, str] | None]:
        """Return the open and the withheld part of each record's data; None where all is open."""
        if self._have_open_keys_only(texts):
            return [None] * len(texts)
        return [self._split_one(text) for text in texts]

    def _split_one(self, text: str) -> tuple[str, str] | None:
        data = _decode(text)
        names = self._withheld_of(data)
        if not names:
            return None
        withheld = {name: data.pop(name) for name in names}
        return _encode(data).decode(), _encode(withheld).decode()

    def _have_open_keys_only(self, texts: Sequence[str]) -> bool:
        """Return whether all keys are known to be open; False where that isn't known yet.

        To decode into a type that has these keys and no others takes half of what dicts do.
        """
        if self._check_open is None:
            return False
        try:
            self._check_open(f"[{','.join(texts)}]")
        except msgspec.ValidationError:
            return False
        return True

    def _withheld_of(self, data: Mapping[str, object]) -> Sequence[str]:
        """Return which of a record's keys are withheld, in their order."""
        new = data.keys() - self._open - self._withheld
        for key in new:
            (self._open if self._is_open(key) else self._withheld).add(key)
        if new:
            # Where keys are withheld, most rows have one: nothing is won by looking twice.
            self._check_open = None if self._withheld else _objects_of(self._open)
        return [key for key in data if key in self._withheld]

    def _is_open(self, key: str) -> bool:
        if key in SYSTEM_KEYS and key not in self._known:
            return True
        return self._known.is_open(key, *self._form)


def _by_form(
    table: "pa.Table", texts: Sequence[str | None]
) -> Mapping[tuple[int | None, str | None], list[int]]:
    """Return the rows that have data, by the ID and the key of their form."""
    found: dict[tuple[int | None, str | None], list[int]] = {}
    for number, (form_id, form_key) in enumerate(rows_of(table, ("form_id", "form_key"))):
        if texts[number]:
            found.setdefault((form_id, form_key), []).append(number)
    return found


def _objects_of(keys: set[str]) -> Any:
    """Return what decodes a list of objects of these keys, and refuses any other key.

    None where a key is one that such a type can't have.
    """
    fields = [
        (f"key_{number}", msgspec.Raw, msgspec.field(name=key, default=msgspec.Raw()))
        for number, key in enumerate(sorted(keys))
    ]
    try:
        row = msgspec.defstruct("OpenKeys", fields, forbid_unknown_fields=True, gc=False)
    except ValueError:  # a key with a quote or a control character
        return None
    return msgspec.json.Decoder(list[row]).decode  # type: ignore[valid-type]
