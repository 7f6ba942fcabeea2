"""What a pipeline returns, and what of it may be shown."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orch_assets.json_values import MAX_SHOWN_NAMES, is_shown_name

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.imednet.blinding.split import Split
    from orch_assets.imednet.blinding.study_dictionary import StudyDictionary
    from orch_assets.imednet.sdk import ImednetSDK
    from orch_assets.imednet.streams import BatchStream


@dataclass(frozen=True)
class SplitTable:
    """A table whose withheld part is kept apart, under the same name in the restricted store.

    What a pipeline may return; and what it gets for a parameter that is annotated so: both parts,
    as ``pyarrow.RecordBatchReader``.

    Attributes:
        table: what everybody may read; goes to the pipeline's own store. A table, a stream of
            record batches, or a mapping from names to tables.
        withheld: values of variables that are blinded, or not known to be open, and fields that
            the API description doesn't name; of the same kind.
        withheld_if_any: whether a withheld part without rows is left out. It is stored all the
            same where an earlier one is, which it replaces.
    """

    table: Any
    withheld: Any
    withheld_if_any: bool = False


def split_withheld(
    endpoint: str,
    table: "pa.Table | BatchStream",
    variables: "pa.Table | None" = None,
    intervals: "pa.Table | None" = None,
    *,
    sdk: "ImednetSDK | None" = None,
    study_key: str | None = None,
) -> SplitTable:
    """Split a table of the registry into what is open and what is withheld.

    Fields that the API description doesn't name are withheld of every table, unless
    ``ORCH_EXTRA_FIELDS`` is ``open``. Values of variables are withheld by the study's dictionary,
    see ``registry.withholding``: by the registry's own, as it is now. It is read here, and again
    when the last row has arrived. A value is open where both, and the dictionary that is given,
    say so.

    Args:
        endpoint: as the SDK calls it: ``records``, ``sites``, …; for the first of them, and
            ``codings``, ``queries``, ``visits`` and ``record_revisions``, the dictionary is read.
        table: that endpoint's table for a study, or its stream. A stream becomes two, which are
            read at the same time, each on a thread of its own; study graphs do.
        variables: the same study's table ``variables``. Stored, it may be out of date: it opens
            nothing that the registry withholds now. A pipeline that takes it is known to the
            store as made by it, so that versions can be found that hold what was blinded since.
        intervals: the same study's table ``intervals``; of use for ``visits`` alone.
        sdk: reads the dictionary; wanted for a table. A stream knows its own.
        study_key: the study; may be left out inside a ``study_context``, and with a stream.

    Raises:
        TypeError: nobody can read the dictionary: there is no ``sdk``.
        DictionaryChangedError: it withholds, after the last row, what it had opened before; a
            stream raises it at its end.
        RegistryError: the dictionary can't be had whole.
    """
    from orch_assets.imednet.blinding import extra_fields
    from orch_assets.imednet.blinding.split import BY_DICTIONARY, all_open, extra_splitter, splitter
    from orch_assets.imednet.blinding.split_stream import SplitStream
    from orch_assets.imednet.streams import BatchStream

    split: Split = all_open
    confirm: Callable[[], None] = _nothing
    if endpoint in BY_DICTIONARY:
        dictionary = _dictionary_of(table, variables, intervals, sdk, study_key)
        schedule = dictionary.intervals if endpoint == "visits" else None
        split, confirm = splitter(endpoint, dictionary.variables, schedule), dictionary.confirm
    if not extra_fields.are_open():
        split = extra_splitter(endpoint, split)
    if_any = endpoint not in BY_DICTIONARY
    if not isinstance(table, BatchStream):
        parts = split(table)
        confirm()
        return SplitTable(*parts, withheld_if_any=if_any)
    streams = SplitStream(table, split, confirm)
    return SplitTable(streams.table, streams.withheld, withheld_if_any=if_any)


def _nothing() -> None:
    """Confirm a table that no dictionary has a say in."""


def _dictionary_of(
    table: Any, variables: Any, intervals: Any, sdk: "ImednetSDK | None", study_key: str | None
) -> "StudyDictionary":
    if sdk is not None:
        return sdk.dictionary(study_key, variables, intervals)
    read: Any = getattr(table, "dictionary", None)
    if read is None:
        raise TypeError(
            "split_withheld: give sdk=sdk, so that the registry's dictionary of this moment "
            "decides; variables that are stored may be out of date."
        )
    dictionary: StudyDictionary = read(variables, intervals)
    return dictionary


def showable(value: Any) -> bool:
    """Whether a result is numbers and booleans only, and so may stand in an event's metadata."""
    if isinstance(value, Mapping):
        return len(value) <= MAX_SHOWN_NAMES and all(
            is_shown_name(name) and _is_number(count) for name, count in value.items()
        )
    return _is_number(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int))
