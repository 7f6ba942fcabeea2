"""The fields in which two versions of a record differ."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import msgspec

from orch_assets.imednet.blinding.record_data import REFERENCES
from orch_assets.imednet.blinding.rules import BlindingRules
from orch_assets.imednet.fields import naive_utc
from orch_assets.imednet.json_text import raw_members

Row = Mapping[str, Any]

RECORD_DATA: Final = "record_data"
EXTRA: Final = "extra"
DATE: Final = "date_modified"
DELETED: Final = "deleted"
# Columns that each row of the result has. A record that is added or vanishes gives no row for them.
CONTEXT: Final = REFERENCES
_APART: Final = {"study_key", "record_id", RECORD_DATA, EXTRA, DATE}
# The API writes the record's date into its data, too.
_DATE_KEY: Final = "dateModified"


@dataclass(frozen=True)
class RecordVersions:
    """A record that differs between two versions of ``records``.

    A part of it is None where there is no such row, and in both versions if the part is the same.

    Attributes:
        before: Its open part in the earlier version.
        after: Its open part in the later version.
        withheld_before: Its withheld part in the earlier version.
        withheld_after: Its withheld part in the later version.
    """

    before: Row | None = None
    after: Row | None = None
    withheld_before: Row | None = None
    withheld_after: Row | None = None

    @property
    def row(self) -> Row:
        """The newest row with the columns that identify the record."""
        found = self.after or self.before or self.withheld_after or self.withheld_before
        if found is None:
            raise ValueError("there is no row")
        return found

    @property
    def kind(self) -> str:
        """``added``, ``vanished`` or ``changed``."""
        if self.before is None and self.after is not None:
            return "added"
        return "vanished" if self.after is None and self.before is not None else "changed"


@dataclass(frozen=True)
class FieldChange:
    """A field in which two versions of a record differ.

    Attributes:
        attribute: The column of ``records``.
        variable: The key in ``record_data``; None for any other column.
        old: JSON text; None if there was no such value.
        new: JSON text; None if there is no such value.
        kind: ``added``, ``changed``, ``deleted``, ``restored`` or ``vanished``.
        withheld: Whether it may be shown only where withheld values are.
    """

    attribute: str
    variable: str | None
    old: str | None
    new: str | None
    kind: str
    withheld: bool = False

    def columns(self) -> dict[str, Any]:
        """Return the columns of ``record_changes`` that describe the field."""
        return {
            "attribute": self.attribute,
            "variable": self.variable,
            "old_value": self.old,
            "new_value": self.new,
            "kind": self.kind,
        }


class FieldComparison:
    """Compares versions of a study's records.

    Args:
        rules: The study's blinding rules as they are now.
        extra_is_open: Whether fields that the API's description doesn't name may be shown.
    """

    def __init__(self, rules: BlindingRules, *, extra_is_open: bool) -> None:
        self._rules = rules
        self._extra_is_open = extra_is_open

    def changes(self, record: RecordVersions) -> list[FieldChange]:
        """Return the fields in which the versions differ.

        A value that only moved between the open and the withheld part did not change.
        """
        found = [*self._attributes(record), *self._extra(record), *self._values(record)]
        before, after = record.before or {}, record.after or {}
        shown = any(not each.withheld for each in found)
        if record.kind == "changed" and not shown and before.get(DATE) != after.get(DATE):
            dates = _json(before.get(DATE)), _json(after.get(DATE))
            found.append(FieldChange(DATE, None, *dates, record.kind))
        return found

    def is_withheld(
        self, attribute: str, variable: str | None, form_id: int | None, form_key: str | None
    ) -> bool:
        """Whether a field's values must not be shown by the rules of now."""
        if attribute == EXTRA:
            return not self._extra_is_open
        return attribute == RECORD_DATA and not self._rules.shows_key(
            variable or "", form_id, form_key
        )

    def is_open_form(self, form_key: str | None) -> bool:
        """Whether reasons for changes on a form may be shown by the rules of now."""
        return self._rules.is_open_form(form_key)

    def _attributes(self, record: RecordVersions) -> Iterator[FieldChange]:
        before, after = record.before or {}, record.after or {}
        if record.kind != "changed":
            ids = _json(before.get("record_id")), _json(after.get("record_id"))
            yield FieldChange("record_id", None, *ids, record.kind)
        skipped = _APART if record.kind == "changed" else {*_APART, *CONTEXT}
        for name in dict.fromkeys([*before, *after]):
            old, new = before.get(name), after.get(name)
            if name not in skipped and old != new:
                kind = _flag_kind(old, new) if name == DELETED else "changed"
                kind = record.kind if record.kind != "changed" else kind
                yield FieldChange(name, None, _json(old), _json(new), kind)

    def _extra(self, record: RecordVersions) -> Iterator[FieldChange]:
        for _, old, new, was_withheld in _different(record, _extra_of):
            withheld = was_withheld or not self._extra_is_open
            yield FieldChange(EXTRA, None, old, new, record.kind, withheld)

    def _values(self, record: RecordVersions) -> Iterator[FieldChange]:
        form = record.row.get("form_id"), record.row.get("form_key")
        for key, old, new, was_withheld in _different(record, _members):
            if self._repeats_date(record, key, old, new):
                continue
            name = key.encode("utf-8", "backslashreplace").decode()
            withheld = was_withheld or self.is_withheld(RECORD_DATA, key, *form)
            yield FieldChange(RECORD_DATA, name, old, new, record.kind, withheld)

    def _repeats_date(
        self, record: RecordVersions, key: str, old: str | None, new: str | None
    ) -> bool:
        """Whether a value is the record's own date, which the API adds to its data."""
        if key != _DATE_KEY or key in self._rules:
            return False
        sides = ((old, record.before), (new, record.after))
        return all(text is None or _is_date(text, row) for text, row in sides)


def _different(
    record: RecordVersions, fields: Callable[[Row | None], Mapping[str, msgspec.Raw]]
) -> Iterator[tuple[str, str | None, str | None, bool]]:
    """Yield each field that differs: its key, both values, and whether one of them is withheld.

    The fields of both parts are compared as one row: what moved between them is equal.
    """
    before, after = fields(record.before), fields(record.after)
    held_before, held_after = fields(record.withheld_before), fields(record.withheld_after)
    old, new = {**held_before, **before}, {**held_after, **after}
    if old == new:
        return
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key):
            withheld = (key in held_before and key not in before) or (
                key in held_after and key not in after
            )
            yield key, _text(old.get(key)), _text(new.get(key)), withheld


def _extra_of(row: Row | None) -> Mapping[str, msgspec.Raw]:
    text = row.get(EXTRA) if row else None
    return {} if text is None else {EXTRA: msgspec.Raw(text.encode())}


def _members(row: Row | None) -> Mapping[str, msgspec.Raw]:
    text = row.get(RECORD_DATA) if row else None
    return raw_members(text) if text else {}


def _text(value: msgspec.Raw | None) -> str | None:
    return None if value is None else bytes(value).decode()


def _is_date(text: str, row: Row | None) -> bool:
    moment = row.get(DATE) if row else None
    try:
        value = naive_utc(json.loads(text))
    except (ValueError, TypeError):
        return False
    return value is not None and moment is not None and value == moment.replace(tzinfo=None)


def _flag_kind(old: Any, new: Any) -> str:
    if new:
        return "deleted"
    return "restored" if old else "changed"


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, default=_moment)


def _moment(value: date) -> str:
    return value.isoformat()
