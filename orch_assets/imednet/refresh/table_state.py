"""What a stored part of a table says about the reading that it comes from."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from orch_assets.imednet.refresh.row_digest import digest_of

if TYPE_CHECKING:
    import pyarrow as pa

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_EARLIEST = datetime.min.replace(tzinfo=UTC)


class TableState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state of one part of a table: all, open or withheld. It holds no data values.

    Attributes:
        endpoint: The endpoint's name in the SDK, with the options that it was read with.
        rule: The number of the rule that the table was refreshed by.
        registry: The registry's name.
        study: A digest of the study's row in the account.
        pair: The same for both parts of one refresh, and for nothing else.
        blinding: What the table was split by; see ``imednet.blinding.fingerprint``.
        shape: A digest of this part's schema.
        rows: The rows of the whole table.
        withheld: Whether rows are in a withheld part.
        watermark: The newest date of a row, by the registry, and no later than the registry's own
            time when the reading began. None if there is no such date, or the time is unknown.
        since: The date from which rows are in ``tail``; None if all rows are.
        tail: A digest of this part's newest rows; None if they are too many.
        read_whole_at: When all rows were last read, by this computer's clock.
    """

    endpoint: str
    rule: int
    registry: str
    study: str
    pair: str
    blinding: str
    shape: str
    rows: Annotated[int, msgspec.Meta(ge=0)]
    withheld: bool
    watermark: _Moment | None
    since: _Moment | None
    tail: str | None
    read_whole_at: _Moment

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "TableState | None":
        """Return a stored state; None if it isn't exactly what this release writes."""
        try:
            return msgspec.convert(dict(stored), cls)
        except msgspec.ValidationError:
            return None

    def without_rows(self, schema: "pa.Schema") -> "TableState":
        """Return the state of another part of the same refresh: one with no rows.

        Args:
            schema: The part's schema.
        """
        tail = None if self.tail is None else digest_of(schema.empty_table().columns)
        return msgspec.structs.replace(self, shape=shape_of(schema), tail=tail)

    def as_json(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


@dataclass(frozen=True)
class NewestRows:
    """The newest rows of a table, as they are before they are split.

    Attributes:
        watermark: The newest date; see ``TableState``.
        since: The date from which the rows are; None if they are all rows of the table.
        rows: The rows; None if they are too many.
    """

    watermark: datetime | None
    since: datetime | None
    rows: "pa.Table | None"


def account_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a stored state says of the account: ``registry`` and ``study``; empty if not."""
    return {name: stored[name] for name in ("registry", "study") if name in stored}


def are_of_two_accounts(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether two stored states are of two accounts; False if one doesn't say."""
    accounts = account_of(before), account_of(after)
    return all(accounts) and accounts[0] != accounts[1]


def shape_of(schema: "pa.Schema") -> str:
    """Return a digest of a schema's names and types."""
    fields = [(field.name, str(field.type)) for field in schema]
    return hashlib.sha256(repr(fields).encode()).hexdigest()


def before(moment: datetime, duration: timedelta) -> datetime:
    """Return an earlier moment, in whole seconds, which is all that the API's filters know."""
    if moment - _EARLIEST < duration:
        return _EARLIEST
    return (moment - duration).replace(microsecond=0)
