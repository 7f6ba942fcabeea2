"""The data dictionary that decides which values of a study are shown: iMednet's current one.

A stored dictionary may be out of date: a variable may have been blinded since. So the dictionary is
read before rows are split, and again when the last row has arrived. A value is shown only if both
readings, and the dictionary that the caller has, say that it is open.

Within a run, a recent reading for a study is reused as the first one for its next table, and so is
what the pipeline ``variables`` read. That saves one request for each table. The reading after the
rows is always a new one.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import DictionaryChangedError
from orch_assets.imednet.blinding.masking import mask_of, replaced, rows_of
from orch_assets.imednet.blinding.rules import SYSTEM_KEYS, BlindingRules
from orch_assets.lazy import cached_property
from orch_assets.study import current_run

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.imednet.endpoints import TableEndpoint
    from orch_assets.imednet.models import Interval, Variable

_RECENT_SECONDS: Final = 60.0

_SYSTEM_NAMES: Final = {key.casefold() for key in SYSTEM_KEYS}
_VARIABLE: Final = ("variable_name", "blinded", "form_id", "form_key")
_WINDOW: Final = ("interval_id", "window_calculation_date")


@dataclass(frozen=True)
class _Reading:
    run: str | None
    read_at: float
    table: "pa.Table"

    @cached_property
    def open_variables(self) -> frozenset[str]:
        """The names in a table ``variables`` that are open on all forms."""
        rules = BlindingRules(self.table)
        names = self.table["variable_name"].to_pylist()
        return frozenset(name for name in names if name and rules.is_open_everywhere(name))


@dataclass(frozen=True)
class _KnownRules:
    flags: "pa.Table"
    rules: BlindingRules


class DictionaryReader:
    """Reads the tables ``variables`` and ``intervals`` of studies. Thread-safe.

    Args:
        variables: The endpoint ``variables``.
        intervals: The endpoint ``intervals``.
        clock: Returns monotonic seconds.
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
        self._readings: dict[tuple[str, str], _Reading] = {}
        self._rules: dict[str, _KnownRules] = {}
        for name, endpoint in self._endpoints.items():
            endpoint.on_read = partial(self._store, name)

    def recent(self, name: str, study_key: str) -> "pa.Table":
        """Return a table as it was read recently in this run; otherwise read it now."""
        reading = self._recent_reading(name, study_key)
        return self.now(name, study_key) if reading is None else reading.table

    def open_variables(self, study_key: str) -> frozenset[str]:
        """Return the variables open on all forms, by a recent reading; makes no request."""
        reading = self._recent_reading("variables", study_key)
        return frozenset() if reading is None else reading.open_variables

    def _recent_reading(self, name: str, study_key: str) -> _Reading | None:
        with self._lock:
            reading = self._readings.get((name, study_key))
        run = current_run()
        if reading is None or run is None or reading.run != run or self._is_old(reading):
            return None
        return reading

    def rules(self, study_key: str, variables: "pa.Table") -> BlindingRules:
        """Return the rules by a table ``variables``: the same object for tables that say the same.

        All tables of a study are split by the same dictionary, which seldom changes.
        """
        flags = variables.select(_VARIABLE)
        with self._lock:
            known = self._rules.get(study_key)
        if known is None or not known.flags.equals(flags):
            known = _KnownRules(flags, BlindingRules(variables))
            with self._lock:
                self._rules[study_key] = known
        return known.rules

    def now(self, name: str, study_key: str) -> "pa.Table":
        """Read a table now.

        Raises:
            RegistryError: The table could not be read completely.
        """
        table = self._endpoints[name].table(study_key)
        self._store(name, study_key, table)
        return table

    def _store(self, name: str, study_key: str, table: "pa.Table") -> None:
        reading = _Reading(current_run(), self._clock(), table)
        with self._lock:
            for key in [key for key, each in self._readings.items() if self._is_old(each)]:
                del self._readings[key]
                self._rules.pop(key[1], None)
            self._readings[name, study_key] = reading

    def _is_old(self, reading: _Reading) -> bool:
        return self._clock() - reading.read_at > _RECENT_SECONDS


class StudyDictionary:
    """A study's dictionary while one of its tables is read and split.

    Args:
        reader: Reads the current dictionary.
        study_key: The study.
        variables: A dictionary that must agree with the current one, such as the stored table
            ``variables``; None to use the current one alone.
        intervals: The same for the table ``intervals``.

    Attributes:
        variables: The argument ``variables``, or the current table if that is None. ``blinded`` is
            false only where both tables say that the variable is open; rows that only the current
            table has, and withholds, are added.

    Raises:
        RegistryError: The current dictionary could not be read completely.
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
        self._stored_intervals = intervals
        self._before = reader.recent("variables", study_key)
        self.variables = self._before if variables is None else agreed(variables, self._before)

    @cached_property
    def rules(self) -> BlindingRules:
        """The rules by ``variables``."""
        return self._reader.rules(self._study_key, self.variables)

    @cached_property
    def intervals(self) -> "pa.Table":
        """The question from which each interval counts its window, by stored and current rows."""
        import pyarrow as pa

        tables = [self._stored_intervals, self._reader.recent("intervals", self._study_key)]
        return pa.concat_tables([each.select(_WINDOW) for each in tables if each is not None])

    def confirm(self) -> None:
        """Read the dictionary again and compare. Call this when the last row has arrived.

        Raises:
            DictionaryChangedError: Something that was open before is withheld now.
            RegistryError: The current dictionary could not be read completely.
        """
        before = self._reader.rules(self._study_key, self._before)
        now = self._reader.now("variables", self._study_key)
        confirmed = before.is_within(self._reader.rules(self._study_key, now))
        if "intervals" in self.__dict__:  # only if they were used
            after = hidden_intervals(self._reader.now("intervals", self._study_key), self.rules)
            confirmed = confirmed and after <= hidden_intervals(self.intervals, self.rules)
        if not confirmed:
            raise DictionaryChangedError(self._study_key)


def hidden_intervals(intervals: "pa.Table", rules: BlindingRules) -> set[int]:
    """Return the IDs of intervals whose windows are counted from an answer that is not open."""
    return {
        interval_id
        for interval_id, question in rows_of(intervals, _WINDOW)
        if question and not rules.is_open_everywhere(question)
    }


def agreed(stored: "pa.Table", current: "pa.Table") -> "pa.Table":
    """Return the stored table ``variables`` with nothing open that the current one withholds."""
    import pyarrow as pa

    if stored.select(_VARIABLE).equals(current.select(_VARIABLE)):
        return stored
    ours, theirs = BlindingRules(stored), BlindingRules(current)
    rows = list(rows_of(stored, _VARIABLE))
    flags = [
        True if flag is False and _is_narrowed(ours, theirs, name, *form) else flag
        for name, flag, *form in rows
    ]
    if flags != [flag for _, flag, *_ in rows]:
        stored = replaced(stored, "blinded", pa.array(flags, pa.bool_()))
    # A variable without a name is withheld, whatever its flag says.
    closed = {
        (name, *form)
        for (name, _, *form), flag in zip(rows, flags, strict=True)
        if flag is not False or not name
    }
    others = mask_of(
        (name, *form) not in closed
        and (flag is not False or not name or _is_new_system_key(name, ours))
        for name, flag, *form in rows_of(current, _VARIABLE)
    )
    if not others.true_count:
        return stored
    added = current.filter(others)
    withheld = pa.array([True] * added.num_rows, pa.bool_())
    return pa.concat_tables(
        [stored, replaced(added, "blinded", withheld)], promote_options="default"
    )


def _is_narrowed(
    ours: BlindingRules,
    theirs: BlindingRules,
    name: str | None,
    form_id: int | None,
    form_key: str | None,
) -> bool:
    """Whether a variable is open by our rules but not by theirs, by its form's ID or key."""
    id_or_key = [(form_id, None), (None, form_key)]
    return any(ours.is_open(name, *form) and not theirs.is_open(name, *form) for form in id_or_key)


def _is_new_system_key(name: str | None, ours: BlindingRules) -> bool:
    """Whether a key that the API itself adds has become a variable, unknown to our rules."""
    return name is not None and name.casefold() in _SYSTEM_NAMES and name not in ours
