"""Frequencies of indexes: those that come back as they are."""

from typing import Any

from orch_assets.errors import UnstorableTableError
from orch_assets.marked_names import named_type

Note = str | dict[str, Any]


def frequency_note(index: Any, label: str) -> Note | None:
    """Return what :func:`with_frequency` makes an index's frequency of; None where it has none.

    Raises:
        UnstorableTableError: its frequency is one that only its program knows.
    """
    import pandas as pd

    freq = getattr(index, "freq", None)
    if freq is None:
        return None
    steps = {"n": freq.n, "normalize": freq.normalize, **freq.kwds}
    if type(freq) is pd.DateOffset and all(type(each) in {int, bool} for each in steps.values()):
        return steps
    try:
        same = pd.tseries.frequencies.to_offset(freq.freqstr) == freq
    except ValueError:
        same = False
    if not same:
        raise UnstorableTableError(
            f"{label} has a frequency of the type {named_type(type(freq))} that can't be stored; "
            "set its freq to None."
        )
    return str(freq.freqstr)


def with_frequency(index: Any, note: Note | None) -> Any:
    """Return an index with the frequency that a note is of."""
    import pandas as pd

    if note is None:
        return index
    freq = pd.DateOffset(**note) if isinstance(note, dict) else note
    return type(index)(index, freq=freq)
