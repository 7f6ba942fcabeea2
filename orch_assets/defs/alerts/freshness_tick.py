"""A tick of ``study_freshness_sensor``: notes which studies became stale, or fresh again.

Dagster's freshness policies know an asset, not its partitions. A partitioned asset check would be
planned by each run, for each study. So a change is an observation: one of the study's partition,
and one of the table, which lists all its stale studies. While nothing changes, nothing is logged.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

import dagster as dg

from orch_assets.alerts.announced import Pair, pairs_as_json, pairs_from_json
from orch_assets.defs import environment
from orch_assets.defs.alerts.alert_sensors import FRESHNESS_SENSOR
from orch_assets.defs.alerts.stale_studies import last_successes, stale_studies
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.defs.runs.run_states import newest_state
from orch_assets.orchestration.durations import age_hours, as_text

FRESHNESS: Final = "freshness"

# Storing an observation takes the daemon 20 ms. The others follow at the next ticks.
_EVENTS_PER_TICK: Final = 500
_SHOWN_STUDIES: Final = 200


@dataclass(frozen=True)
class FreshnessMemory:
    """The cursor of ``study_freshness_sensor``.

    Attributes:
        stale: The stale studies and tables at the last tick.
        logged: Those whose newest observation says so.
    """

    stale: frozenset[Pair] = frozenset()
    logged: frozenset[Pair] = frozenset()

    @classmethod
    def read(cls, cursor: str | None) -> "FreshnessMemory":
        """Return what a cursor holds."""
        stored = json.loads(cursor) if cursor else {}
        stale = pairs_from_json(stored.get("stale", ()))
        return cls(stale, pairs_from_json(stored["logged"]) if "logged" in stored else stale)

    def write(self) -> str:
        """Return the cursor."""
        stored = {"stale": pairs_as_json(self.stale)}
        if self.logged != self.stale:
            stored["logged"] = pairs_as_json(self.logged)
        return json.dumps(stored)


def note_changes(
    instance: dg.DagsterInstance,
    tables: Sequence[str],
    cursor: str | None,
    now: datetime | None = None,
) -> dg.SensorResult:
    """Return the result of a tick: an observation for each change.

    Args:
        instance: The instance.
        tables: Names of the tables.
        cursor: The sensor's.
        now: The current time; None reads the clock.

    Raises:
        SettingError: ``ORCH_STALE_AFTER`` is no length of time.
    """
    stale_after = environment.stale_after()
    if stale_after is None:
        return dg.SensorResult(skip_reason=f"{environment.STALE_AFTER} isn't set.", cursor="")
    evaluation = _Evaluation(instance, tables, stale_after, now or datetime.now(UTC))
    events, memory = evaluation.result(FreshnessMemory.read(cursor))
    studies = len({study for study, _ in memory.stale})
    return dg.SensorResult(
        skip_reason=f"Stale studies: {studies}. Observations logged: {len(events)}.",
        asset_events=events,
        cursor=memory.write(),
    )


class _Evaluation:
    """One evaluation of the sensor."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        tables: Sequence[str],
        stale_after: timedelta,
        now: datetime,
    ) -> None:
        self.instance, self.tables, self.stale_after, self.now = instance, tables, stale_after, now
        self.studies = instance.get_dynamic_partitions(STUDIES_NAME)

    def result(self, memory: FreshnessMemory) -> tuple[list[dg.AssetObservation], FreshnessMemory]:
        """Return the observations to log, and what the next tick must know."""
        by_table = {
            table: stale_studies(
                self.instance, dg.AssetKey(table), self.studies, self.stale_after, self.now
            )
            for table in self.tables
        }
        stale = frozenset((study, table) for table, keys in by_table.items() for study in keys)
        known = set(self.studies)
        # Of a retired study or a table that is gone, nothing is logged.
        before = {pair for pair in memory.logged if pair[0] in known and pair[1] in by_table}
        changed = sorted((stale ^ before), key=lambda pair: (pair[1], pair[0]))
        batch = [*islice(changed, _EVENTS_PER_TICK)]
        events = [*self._of_studies(batch, stale), *self._of_tables(batch, by_table)]
        logged = frozenset(before ^ set(batch))
        return events, FreshnessMemory(stale, logged)

    def _of_studies(
        self, changed: Sequence[Pair], stale: frozenset[Pair]
    ) -> Iterator[dg.AssetObservation]:
        for study, table in changed:
            state = "stale" if (study, table) in stale else "fresh"
            yield dg.AssetObservation(
                dg.AssetKey(table),
                partition=study,
                description=f"{study} is {state} in {table}.",
                metadata={FRESHNESS: state, "stale_after": as_text(self.stale_after)},
            )

    def _of_tables(
        self, changed: Sequence[Pair], by_table: Mapping[str, Sequence[str]]
    ) -> Iterator[dg.AssetObservation]:
        for table in sorted({table for _, table in changed}):
            stale = by_table[table]
            shown = stale[:_SHOWN_STUDIES]
            successes = last_successes(self.instance, dg.AssetKey(table), shown)
            yield dg.AssetObservation(
                dg.AssetKey(table),
                description=f"{len(stale)} of {len(self.studies)} studies are stale in {table}.",
                metadata={
                    "stale_studies": len(stale),
                    "stale_after": as_text(self.stale_after),
                    "list": dg.MetadataValue.md(self._as_markdown(shown, successes, len(stale))),
                },
            )

    def _as_markdown(
        self, shown: Sequence[str], successes: Mapping[str, datetime], number: int
    ) -> str:
        lines = ["| study | last success | hours ago |", "|---|---|---:|"]
        for study in shown:
            at = successes.get(study)
            cells = (
                (f"{at:%Y-%m-%d %H:%M} UTC", f"{age_hours(at, self.now):,.1f}")
                if at
                else ("never", "")
            )
            lines.append(f"| {study} | {' | '.join(cells)} |")
        if number > len(shown):
            lines.append(f"\n{number - len(shown)} more.")
        return "\n".join(lines)


def stale_pairs(states: Iterable[Any]) -> frozenset[Pair] | None:
    """Return the stale studies and tables that ``study_freshness_sensor`` found.

    Args:
        states: The instance's sensors and schedules.

    Returns:
        None if the sensor hasn't looked yet.
    """
    state = newest_state(states, FRESHNESS_SENSOR)
    cursor = getattr(state.instigator_data, "cursor", None) if state else None
    return FreshnessMemory.read(cursor).stale if cursor else None
