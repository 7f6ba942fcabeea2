"""New studies that wait for their first run, and what ``study_registry_sensor`` remembers.

The sensor adds more studies in a tick than it requests first runs for, because creating a run takes
long. A study waits as long as no run was planned for it: that is read from the event log, and new
studies are the last partitions. So no restart, failed tick or lost cursor loses a study, and one
that someone else runs meanwhile isn't run twice. The cursor only says where to look.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Final

import dagster as dg

from orch_assets.defs.partitions import STUDIES_NAME

REGISTRY_SENSOR: Final = "study_registry_sensor"

# Every run writes at least one of these events for each of its studies.
_RUN_EVENTS: Final = (
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
)
# The sensor ticks every five minutes. If its last tick that succeeded is older, it was stopped or
# keeps failing.
_RECENT_SECONDS: Final = 1800.0
_BATCH: Final = 250


@dataclass(frozen=True)
class SensorMemory:
    """The cursor of ``study_registry_sensor``.

    Attributes:
        absences: Known studies missing from the registry, with the number of consecutive ticks.
        begun: The last partition before the first study that waits; None if all must be checked.
        seen: The last partition at the end of the tick; None without one.
        since: ID of an event. A run planned later is a study's first since it was added.
        at: When the tick was evaluated, as a timestamp.
    """

    absences: Mapping[str, int] = field(default_factory=dict)
    begun: str | None = None
    seen: str | None = None
    since: int = 0
    at: float = 0.0

    @classmethod
    def read(cls, cursor: str | None) -> "SensorMemory":
        """Return what a cursor holds; an earlier release stored only the absences."""
        stored = json.loads(cursor) if cursor else {}
        return cls(**stored) if "begun" in stored else cls(absences=stored)

    def write(self) -> str:
        """Return the cursor."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class FirstRuns:
    """The first runs that a tick requests.

    Attributes:
        batch: The studies, in partition order.
        more: Whether other studies wait.
        begun: See :class:`SensorMemory`.
        since: See :class:`SensorMemory`.
    """

    batch: list[str]
    more: bool
    begun: str | None
    since: int


def plan_first_runs(
    waiting: Iterable[str],
    partitions: Sequence[str],
    *,
    since: int,
    added: Collection[str],
    left_out: Collection[str],
    limit: int,
    newest_event: int,
) -> FirstRuns:
    """Return the first runs to request in a tick.

    Args:
        waiting: See :func:`waiting_studies`; read only as far as necessary.
        partitions: The partitions that remain after the tick.
        since: The previous tick's; see :class:`SensorMemory`.
        added: The studies that this tick added.
        left_out: Studies that this tick must not run.
        limit: The largest number of studies to request.
        newest_event: ID of the newest event before the studies were added.
    """
    first, more = None, False
    batch: list[str] = []
    for study_key in waiting:
        first = first or study_key
        if study_key in left_out:
            more = True
        elif len(batch) < limit:
            batch.append(study_key)
        else:
            more = True
            break
    before = partitions if first is None else partitions[: partitions.index(first)]
    return FirstRuns(
        batch=batch,
        more=more,
        begun=before[-1] if before else None,
        since=newest_event if first is None or first in added else since,
    )


def waiting_studies(
    instance: dg.DagsterInstance,
    keys: Iterable[dg.AssetKey],
    study_keys: Iterable[str],
    *,
    since: int,
    added: Collection[str],
) -> Iterator[str]:
    """Yield the studies that no run of these assets was planned for.

    Args:
        instance: The instance.
        keys: The assets of the study graphs.
        study_keys: The studies to check.
        since: Only events after this one count.
        added: Studies that wait in any case, because they were added just now.
    """
    assets, remaining, new = sorted(keys), iter(study_keys), set(added)
    while batch := list(islice(remaining, _BATCH)):
        unplanned = set(batch) - new
        for asset in assets:
            unplanned = without_run(instance, asset, unplanned, since=since)
        yield from (key for key in batch if key in unplanned or key in new)


def without_run(
    instance: dg.DagsterInstance, key: dg.AssetKey, study_keys: set[str], *, since: int = 0
) -> set[str]:
    """Return the studies that no run of an asset was planned for after an event."""
    for event_type in _RUN_EVENTS:
        if study_keys:
            newest = instance.get_latest_storage_id_by_partition(key, event_type, study_keys)
            study_keys = study_keys - {each for each, event in newest.items() if event > since}
    return study_keys


def after(partitions: Sequence[str], study_key: str | None) -> Sequence[str]:
    """Return the partitions after a study; all if it is None or isn't a partition."""
    try:
        return partitions[partitions.index(study_key) + 1 :] if study_key else partitions
    except ValueError:
        return partitions


def studies_to_check(known: Sequence[str], memory: SensorMemory) -> tuple[Sequence[str], int]:
    """Return the known studies that may wait, and the event after which a run of theirs counts.

    If ``begun`` was retired by hand, all studies are checked, and any run counts, however old. The
    same holds if it was added again since: what was behind it is in front of it now.
    """
    begun, seen = memory.begun, memory.seen
    moved = begun not in known or (seen in known and begun in after(known, seen))
    return (known, 0) if begun and moved else (after(known, begun), memory.since)


def left_to_registry_sensor(instance: dg.DagsterInstance) -> set[str]:
    """Return the studies whose first run ``study_registry_sensor`` requests, if it is running."""
    for state in instance.all_instigator_state():
        if state.instigator_name != REGISTRY_SENSOR:
            continue
        memory = SensorMemory.read(getattr(state.instigator_data, "cursor", None))
        if datetime.now(UTC).timestamp() - memory.at <= _RECENT_SECONDS:
            return set(after(instance.get_dynamic_partitions(STUDIES_NAME), memory.begun))
    return set()
