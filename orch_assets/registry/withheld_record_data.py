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
        parts = [
            self._keys_of(form_id, form_key).split(text) if text else None
            for text, form_id, form_key in rows_of(table, ("record_data", "form_id", "form_key"))
        ]
        if not any(parts):
            return table, whole.slice(0, 0)
        hidden = pa.array([part and part[1] for part in parts], pa.string())
        mask = hidden.is_valid()
        texts = table["record_data"].to_pylist()
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

    def split(self, text: str) -> tuple[str, str] | None:
        """Return the open and the withheld part of a record's data; None: nothing is withheld."""
        if self._has_open_keys_only(text):
            return None
        data = _decode(text)
        names = self._withheld_of(data)
        if not names:
            return None
        withheld = {name: data.pop(name) for name in names}
        return _encode(data).decode(), _encode(withheld).decode()

    def _has_open_keys_only(self, text: str) -> bool:
        """Return whether all keys are known to be open; False where that isn't known yet.

        To decode into a type that has these keys and no others takes half of what a dict does.
        """
        if self._check_open is None:
            return False
        try:
            self._check_open(text)
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
            self._check_open = None if self._withheld else _only(self._open)
        return [key for key in data if key in self._withheld]

    def _is_open(self, key: str) -> bool:
        if key in SYSTEM_KEYS and key not in self._known:
            return True
        return self._known.is_open(key, *self._form)


def _only(keys: set[str]) -> Any:
    """Return what decodes objects of these keys and refuses any other; None: no key may be so."""
    fields = [
        (f"key_{number}", msgspec.Raw, msgspec.field(name=key, default=msgspec.Raw()))
        for number, key in enumerate(sorted(keys))
    ]
    try:
        row = msgspec.defstruct("OpenKeys", fields, forbid_unknown_fields=True, gc=False)
    except ValueError:  # a key with a quote or a control character
        return None
    return msgspec.json.Decoder(row).decode
