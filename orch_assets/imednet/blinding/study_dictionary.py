"""The dictionary that decides what of a study is shown: the registry's own, at the moment.

A stored dictionary may be out of date: a variable may have been blinded since. So the registry is
asked, before rows are split and again when the last one has arrived, and a value is shown only
where both answers, and the dictionary that was given, say that it may be.

Within a run the last answer about a study serves as the first one for its next table, if it is
fresh, and so does what the pipeline ``variables`` read: that saves a request for each table. The
answer after the rows is always a new one.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import DictionaryChangedError
from orch_assets.imednet.blinding.masking import mask_of, replaced, rows_of
from orch_assets.imednet.blinding.rules import SYSTEM_KEYS, BlindingRules
from orch_assets.study import current_context

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.imednet.endpoints import TableEndpoint
    from orch_assets.imednet.models import Interval, Variable

_FRESH_SECONDS: Final = 60.0

_SYSTEM_NAMES: Final = {key.casefold() for key in SYSTEM_KEYS}
_VARIABLE: Final = ("variable_name", "blinded", "form_id", "form_key")
_WINDOW: Final = ("interval_id", "window_calculation_date")


@dataclass(frozen=True)
class _Answer:
    run: str | None
    at: float
    table: "pa.Table"

    @cached_property
    def open_variables(self) -> frozenset[str]:
        """Of a table ``variables``: those that are open on all forms."""
        known = BlindingRules(self.table)
        names = self.table["variable_name"].to_pylist()
        return frozenset(name for name in names if name and known.is_open_everywhere(name))


class DictionaryReader:
    """Reads the tables ``variables`` and ``intervals`` of studies; for all threads.

    Args:
        variables: the endpoint.
        intervals: the endpoint.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        variables: "TableEndpoint[Variable]",
        intervals: "TableEndpoint[Interval]",
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints: dict[str, TableEndpoint[Any]] = {
            "variables": variables,
            "intervals": intervals,
        }
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, str], _Answer] = {}
        for name, endpoint in self._endpoints.items():
            endpoint.on_read = partial(self._note, name)

    def recent(self, name: str, study_key: str) -> "pa.Table":
        """Return a table as it was read a moment ago in this run, else as it is now."""
        answer = self._of_this_run(name, study_key)
        return self.now(name, study_key) if answer is None else answer.table

    def open_variables(self, study_key: str) -> frozenset[str]:
        """Return the variables that are open everywhere, as read a moment ago; asks for nothing."""
        answer = self._of_this_run("variables", study_key)
        return frozenset() if answer is None else answer.open_variables

    def _of_this_run(self, name: str, study_key: str) -> _Answer | None:
        with self._lock:
            answer = self._answers.get((name, study_key))
        run = _current_run()
        if answer is None or run is None or answer.run != run or self._is_old(answer):
            return None
        return answer

    def now(self, name: str, study_key: str) -> "pa.Table":
        """Return a table as it is now.

        Raises:
            RegistryError: the table can't be had whole.
        """
        table = self._endpoints[name].table(study_key)
        self._note(name, study_key, table)
        return table

    def _note(self, name: str, study_key: str, table: "pa.Table") -> None:
        answer = _Answer(_current_run(), self._clock(), table)
        with self._lock:
            old = [key for key, known in self._answers.items() if self._is_old(known)]
            for key in old:
                del self._answers[key]
            self._answers[name, study_key] = answer

    def _is_old(self, answer: _Answer) -> bool:
        return self._clock() - answer.at > _FRESH_SECONDS


def _current_run() -> str | None:
    context = current_context()
    return context.provenance.get("run") if context else None


class StudyDictionary:
    """A study's dictionary while one of its tables is read and split.

    Args:
        reader: asks the registry.
        study_key: the study.
        variables: a dictionary that must agree, such as the stored table ``variables``; None for
            the registry's alone.
        intervals: the same for the table ``intervals``.

    Attributes:
        variables: the table ``variables`` that was given, else the registry's; ``blinded`` is
            false only where the given one and the registry's agree that the variable is open, and
            what the registry alone withholds is a row of it too.

    Raises:
        RegistryError: the registry's dictionary can't be had whole.
    """

    def __init__(
        self,
        reader: DictionaryReader,
        study_key: str,
        variables: "pa.Table | None" = None,
        intervals: "pa.Table | None" = None,
    ) -> None:
        self._reader = reader
        self._study_key = study_key
        self._given_intervals = intervals
        self._before = reader.recent("variables", study_key)
        self.variables = self._before if variables is None else agreed(variables, self._before)

    @cached_property
    def intervals(self) -> "pa.Table":
        """From which question each interval counts its window; given and the registry's rows."""
        import pyarrow as pa

        tables = [self._given_intervals, self._reader.recent("intervals", self._study_key)]
        return pa.concat_tables([each.select(_WINDOW) for each in tables if each is not None])

    def confirm(self) -> None:
        """Ask the registry again; to be called when the last row has arrived.

        Raises:
            DictionaryChangedError: something is withheld now that was open before.
            RegistryError: the registry's dictionary can't be had whole.
        """
        now = self._reader.now("variables", self._study_key)
        confirmed = BlindingRules(self._before).is_within(BlindingRules(now))
        if "intervals" in self.__dict__:  # they were asked for
            known = BlindingRules(self.variables)
            after = hidden_intervals(self._reader.now("intervals", self._study_key), known)
            confirmed = confirmed and after <= hidden_intervals(self.intervals, known)
        if not confirmed:
            raise DictionaryChangedError(self._study_key)


def hidden_intervals(intervals: "pa.Table", known: BlindingRules) -> set[int]:
    """Return the intervals whose windows are counted from an answer that is not open."""
    return {
        interval_id
        for interval_id, question in rows_of(intervals, _WINDOW)
        if question and not known.is_open_everywhere(question)
    }


def agreed(given: "pa.Table", current: "pa.Table") -> "pa.Table":
    """Return the given table ``variables`` with nothing open that the current one withholds."""
    import pyarrow as pa

    ours, theirs = BlindingRules(given), BlindingRules(current)
    rows = list(rows_of(given, _VARIABLE))
    flags = [
        True if flag is False and _is_narrowed(ours, theirs, name, *form) else flag
        for name, flag, *form in rows
    ]
    if flags != [flag for _, flag, *_ in rows]:
        given = replaced(given, "blinded", pa.array(flags, pa.bool_()))
    closed = {
        (row[0], *row[2:]) for row, flag in zip(rows, flags, strict=True) if flag is not False
    }
    others = mask_of(
        (name, *form) not in closed and (flag is not False or _is_new_system_key(name, ours))
        for name, flag, *form in rows_of(current, _VARIABLE)
    )
    if not others.true_count:
        return given
    further = current.filter(others)
    withheld = pa.array([True] * further.num_rows, pa.bool_())
    return pa.concat_tables(
        [given, replaced(further, "blinded", withheld)], promote_options="default"
    )


def _is_narrowed(
    ours: BlindingRules,
    theirs: BlindingRules,
    name: str | None,
    form_id: int | None,
    form_key: str | None,
) -> bool:
    """Whether a variable is open here and not there, by any half of its form's name."""
    halves = [(form_id, None), (None, form_key)]
    return any(ours.is_open(name, *half) and not theirs.is_open(name, *half) for half in halves)


def _is_new_system_key(name: str | None, ours: BlindingRules) -> bool:
    """Whether what the API itself adds to records has become a variable that we don't know."""
    return name is not None and name.casefold() in _SYSTEM_NAMES and name not in ours
