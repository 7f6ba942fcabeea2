"""What a pipeline returns besides tables and numbers, and which values may be shown."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from orch_assets.errors import UnstorableValueError
from orch_assets.json_values import MAX_SHOWN_NAMES, is_shown_name

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.imednet.blinding.split import Split
    from orch_assets.imednet.blinding.study_dictionary import StudyDictionary
    from orch_assets.imednet.sdk import ImednetSDK
    from orch_assets.imednet.streams import BatchStream

# The only key of the ``data`` of a skipped study.
SKIPPED: Final = "skipped"
_LONGEST_REASON: Final = 200


@dataclass(frozen=True)
class SplitTable:
    """A table with a withheld part, which is stored under the same name in the restricted store.

    A pipeline may return one. A parameter annotated with this class receives both parts, each as a
    ``pyarrow.RecordBatchReader``.

    Attributes:
        table: The open part; stored in the pipeline's own store. A table, a stream of record
            batches, or a mapping from names to tables.
        withheld: Values of variables that are blinded or not known to be open, and fields that the
            API description doesn't name; of the same kind as ``table``.
        withheld_if_any: Whether to leave out a withheld part without rows. It is stored anyway if
            an earlier withheld part exists, which it replaces.
    """

    table: Any
    withheld: Any
    withheld_if_any: bool = False


class Skip(Exception):  # noqa: N818 - raised to leave a study out, and no error
    """Raised by a pipeline that has nothing to do for a study.

    The study's result is SUCCESS with ``data={"skipped": reason}``, and nothing is stored. An
    earlier result is no longer current. Pipelines that take the result are skipped too, unless
    their parameter's default is None: then they receive None. A skip is never retried.

    Args:
        reason: Why, in a few words; shown in Dagster's event log. Write no data value into it. It
            becomes one line of at most 200 characters.

    Raises:
        UnstorableValueError: The reason isn't text. A table would be written as its first rows.

    Example:
        >>> str(Skip("no PK in this study"))
        'no PK in this study'
    """

    def __init__(self, reason: str) -> None:
        if not isinstance(reason, str):
            raise UnstorableValueError("The reason of a Skip must be text: raise Skip('why').")
        text = "".join(each if each.isprintable() else " " for each in reason)
        text = " ".join(text.split())
        too_long = len(text) > _LONGEST_REASON
        super().__init__(f"{text[: _LONGEST_REASON - 1]}…" if too_long else text)

    @property
    def reason(self) -> str:
        """Why the study was left out."""
        return str(self)

    @classmethod
    def after(cls, upstream: str, reason: str) -> "Skip":
        """Return the skip of a pipeline whose upstream was skipped."""
        return cls(f"{upstream} was skipped: {reason}")


def is_skipped(data: Any) -> bool:
    """Return whether the ``data`` of a result says that its study was skipped."""
    return isinstance(data, Mapping) and isinstance(data.get(SKIPPED), str)


def skip_among(errors: Iterable[BaseException]) -> Skip | None:
    """Return the first skip if all of these errors are skips; otherwise None."""
    found: list[BaseException] = []
    todo = list(errors)
    while todo:
        error = todo.pop(0)
        # By its type: isinstance would ask the error, whose class may raise when it is read.
        if issubclass(type(error), BaseExceptionGroup):  # of a TaskGroup
            todo += cast("BaseExceptionGroup[Any]", error).exceptions
        else:
            found.append(error)
    skips = [cast("Skip", each) for each in found if issubclass(type(each), Skip)]
    return skips[0] if skips and len(skips) == len(found) else None


@dataclass(frozen=True)
class Document:
    """A figure, or bytes with a media type, that a pipeline returns to have it stored.

    Attributes:
        content: A matplotlib or plotly figure, or bytes.
        media_type: Media type of bytes: ``image/png``, ``image/svg+xml``, ``text/html`` or
            ``application/pdf``. A plotly figure is always stored as HTML. A matplotlib figure is
            stored as PNG if this is None, or else as PNG, SVG or PDF.
        show: Whether Dagster's event log, and so the UI, also holds the picture: PNG or SVG, up to
            30 KB in base64. Everybody who can open the UI then sees it, and no retention,
            redaction or erasure of the store removes it.
        thumbnail: A smaller PNG picture, which ``show`` shows in place of the document.
    """

    content: Any
    media_type: str | None = None
    show: bool = False
    thumbnail: bytes | None = None


@dataclass(frozen=True)
class Result:
    """A value that a pipeline returns together with metadata for Dagster's event.

    Attributes:
        value: Whatever the pipeline could return alone.
        metadata: Entries for the event: numbers, text or any ``dagster.MetadataValue``. They are
            shown as they are, so write no data value into them. A key that this package writes
            itself, such as ``sha256``, is an error. Without Dagster, they are left out.
    """

    value: Any
    metadata: Mapping[str, Any] = field(default_factory=dict)


def split_withheld(
    endpoint: str,
    table: "pa.Table | BatchStream",
    variables: "pa.Table | None" = None,
    intervals: "pa.Table | None" = None,
    *,
    sdk: "ImednetSDK | None" = None,
    study_key: str | None = None,
) -> SplitTable:
    """Split an iMednet table into an open and a withheld part.

    Fields that the API description doesn't name are withheld from every table, unless
    ``ORCH_EXTRA_FIELDS`` is ``open``. Values of variables are withheld according to the study's
    dictionary in iMednet, see ``imednet.blinding``. The dictionary is read now, and again after the
    last row has arrived. A value is open only if both readings, and the dictionary passed as
    ``variables``, say so.

    Args:
        endpoint: Name in the SDK: ``records``, ``sites``, …. The dictionary is read for
            ``records``, ``codings``, ``queries``, ``visits`` and ``record_revisions``.
        table: The endpoint's table for a study, or its stream. A stream becomes two streams that
            must be read at the same time, each on its own thread; study graphs do so. That of
            ``refresh`` may become two that are independent, or need not be read at all.
        variables: The same study's table ``variables``. A stored table may be out of date, so it
            never opens a value that iMednet withholds now. Let a pipeline take this table: the
            store then records it as an input. Otherwise, ``redact`` doesn't find the versions with
            values that are blinded later.
        intervals: The same study's table ``intervals``; used only for ``visits``.
        sdk: Reads the dictionary; required for a table. A stream has its own.
        study_key: The study; may be omitted inside a ``study_context``, and for a stream.

    Raises:
        TypeError: There is no ``sdk`` to read the dictionary with.
        DictionaryChangedError: After the last row, the dictionary withholds values that it had
            opened before. A stream raises the error at its end.
        RegistryError: The dictionary can't be read completely.
    """
    from orch_assets.imednet.blinding import extra_fields
    from orch_assets.imednet.blinding.fingerprint import fingerprint
    from orch_assets.imednet.blinding.split import BY_DICTIONARY, all_open, extra_splitter, splitter
    from orch_assets.imednet.blinding.split_stream import SplitStream
    from orch_assets.imednet.refresh.part_division import PartDivision
    from orch_assets.imednet.streams import BatchStream, RefreshStream

    split: Split = all_open
    confirm: Callable[[], None] = _nothing
    dictionary: StudyDictionary | None = None
    if endpoint in BY_DICTIONARY:
        dictionary = _dictionary_of(table, variables, intervals, sdk, study_key)
        schedule = dictionary.intervals if endpoint == "visits" else None
        split, confirm = splitter(endpoint, dictionary.rules, schedule), dictionary.confirm
    extra_open = extra_fields.are_open()
    if not extra_open:
        split = extra_splitter(endpoint, split)
    if_any = endpoint not in BY_DICTIONARY
    if isinstance(table, RefreshStream):
        blinding = fingerprint(endpoint, dictionary, extra_open=extra_open)
        parts = table.divided(PartDivision(blinding, split, confirm))
        return SplitTable(*parts, withheld_if_any=if_any)
    if not isinstance(table, BatchStream):
        parts = split(table)
        confirm()
        return SplitTable(*parts, withheld_if_any=if_any)
    streams = SplitStream(table, split, confirm)
    return SplitTable(streams.table, streams.withheld, withheld_if_any=if_any)


def _nothing() -> None:
    """Confirm nothing, for a table that no dictionary applies to."""


def _dictionary_of(
    table: Any, variables: Any, intervals: Any, sdk: "ImednetSDK | None", study_key: str | None
) -> "StudyDictionary":
    if sdk is not None:
        return sdk.dictionary(study_key, variables, intervals)
    read: Any = getattr(table, "dictionary", None)
    if read is None:
        raise TypeError(
            "split_withheld: give sdk=sdk, so that the study's current dictionary decides; "
            "stored variables may be out of date."
        )
    dictionary: StudyDictionary = read(variables, intervals)
    return dictionary


def showable(value: Any) -> bool:
    """Return whether a result has only numbers and booleans, and so may be shown in metadata."""
    if isinstance(value, Mapping):
        return len(value) <= MAX_SHOWN_NAMES and all(
            is_shown_name(name) and _is_number(count) for name, count in value.items()
        )
    return _is_number(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int))
