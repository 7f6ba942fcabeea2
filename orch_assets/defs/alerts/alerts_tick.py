"""A tick of ``study_alerts_sensor``: tells what is wrong, once, and when it is over."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any, Final

import dagster as dg

from orch_assets.alerts.alert_settings import AlertSettings
from orch_assets.alerts.announced import (
    Announced,
    Update,
    with_causes,
    with_check,
    with_missing,
    with_registry,
    with_stale,
)
from orch_assets.alerts.message import AlertMessage, counted
from orch_assets.alerts.outbox import Outbox
from orch_assets.alerts.receivers import receivers_of
from orch_assets.defs import environment
from orch_assets.defs.alerts.freshness_tick import stale_pairs
from orch_assets.defs.alerts.observed_failures import (
    RUN_ENDED,
    failures_of,
    newest_checks,
    registry_state,
    successes_since,
)
from orch_assets.defs.checks import blinding_check, drift_check
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.defs.runs.run_states import ended_runs, unfinished_work
from orch_assets.lazy import cached_property

# Open causes are looked at again this often, even if no run has ended.
_LOOK_AGAIN_SECONDS: Final = 600.0
Step = Callable[[Announced], Update]

_CHECKS: Final = (drift_check.CHECK_NAME, blinding_check.CHECK_NAME)


@dataclass(frozen=True)
class AlertsMemory:
    """The cursor of ``study_alerts_sensor``.

    Attributes:
        up_to: When the last run ended, as a timestamp.
        seen: Runs that ended shortly before that, and were looked at.
        looked_at: When open causes were last looked at, as a timestamp.
        announced: What receivers were told of.
        outbox: Alerts that wait for delivery.
    """

    up_to: float
    seen: tuple[str, ...] = ()
    looked_at: float = 0.0
    announced: Announced = field(default_factory=Announced)
    outbox: Outbox = field(default_factory=Outbox)

    @classmethod
    def read(cls, cursor: str) -> "AlertsMemory":
        """Return what a cursor holds."""
        stored = json.loads(cursor)
        return cls(
            stored["up_to"],
            tuple(stored["seen"]),
            stored["looked_at"],
            Announced.from_json(stored["announced"]),
            Outbox.from_json(stored["outbox"]),
        )

    def write(self) -> str:
        """Return the cursor."""
        stored = {
            "up_to": self.up_to,
            "seen": self.seen,
            "looked_at": self.looked_at,
            "announced": self.announced.as_json(),
            "outbox": self.outbox.as_json(),
        }
        return json.dumps(stored, ensure_ascii=False)


def tell_changes(
    instance: dg.DagsterInstance,
    keys: frozenset[dg.AssetKey],
    cursor: str | None,
    clock: Callable[[], float] = time.time,
) -> dg.SensorResult:
    """Return the result of a tick, which has delivered what is due.

    Args:
        instance: The instance.
        keys: Assets of the study graphs.
        cursor: The sensor's.
        clock: Returns the current timestamp.

    Raises:
        SettingError: A setting of alerts is wrong.
    """
    settings = AlertSettings.read()
    if settings.is_off:
        reason = "Neither ORCH_ALERT_WEBHOOK nor ORCH_ALERT_EMAIL is set."
        return dg.SensorResult(skip_reason=reason, cursor="")
    look = _Look(instance, keys, clock())
    # What happened before alerts were switched on is no news.
    memory, messages = look.result(AlertsMemory.read(cursor) if cursor else look.first())
    receivers = receivers_of(settings)
    outbox = memory.outbox.with_messages(messages, receivers).delivered(receivers, clock)
    # Stored after the delivery: if this process dies in between, an alert is delivered again. The
    # other order would lose it.
    stored = replace(memory, outbox=outbox).write()
    return dg.SensorResult(skip_reason=_said(messages, outbox), cursor=stored)


def _said(messages: Sequence[AlertMessage], outbox: Outbox) -> str:
    waiting = counted(len(outbox.waiting), "alert waits", "alerts wait")
    return " ".join([f"New alerts: {len(messages)}. {waiting}.", *outbox.problems])


class _Look:
    """One look at an instance."""

    def __init__(
        self, instance: dg.DagsterInstance, keys: frozenset[dg.AssetKey], now: float
    ) -> None:
        self.instance, self.keys, self.now = instance, keys, now
        self.at = datetime.fromtimestamp(now, tz=UTC)

    def first(self) -> AlertsMemory:
        """Return the memory of a sensor that has just been switched on."""
        ended = ended_runs(self.instance, self.keys, self.now, self.now)
        return AlertsMemory(ended.up_to, tuple(ended.seen), self.now)

    def result(self, memory: AlertsMemory) -> tuple[AlertsMemory, list[AlertMessage]]:
        """Return the alerts that are due, and what the next tick must know."""
        ended = ended_runs(self.instance, self.keys, memory.up_to, self.now)
        seen = set(memory.seen)
        new = [run_id for run_id in ended.run_ids if run_id not in seen]
        is_again = self.now - memory.looked_at >= _LOOK_AGAIN_SECONDS
        steps: list[Step] = [self._stale, self._registry]
        if new or (memory.announced.causes and is_again):
            memory = replace(memory, looked_at=self.now)
            steps = [partial(self._causes, new=new), partial(self._checks, new=new), *steps]
        announced, messages = memory.announced, list[AlertMessage]()
        for step in steps:
            update = step(announced)
            announced = update.announced
            messages += update.messages
        memory = replace(memory, up_to=ended.up_to, seen=tuple(ended.seen), announced=announced)
        return memory, messages

    @cached_property
    def _studies(self) -> Sequence[str]:
        return self.instance.get_dynamic_partitions(STUDIES_NAME)

    @cached_property
    def _states(self) -> Sequence[Any]:
        return self.instance.all_instigator_state()

    def _causes(self, announced: Announced, *, new: Sequence[str]) -> Update:
        known = chain.from_iterable(each.runs for each in announced.causes.values())
        runs = [*dict.fromkeys([*known, *new])]
        failures = failures_of(self.instance, runs, self.keys)
        ended_early = [k for k, each in announced.causes.items() if each.kind == RUN_ENDED]
        # While a run goes on, it isn't known which of these studies it will mend.
        is_decided = not (ended_early and unfinished_work(self.instance, self.keys))
        return with_causes(
            announced,
            failures,
            successes_since(self.instance, chain.from_iterable(failures.values())),
            self._studies,
            self.at,
            undecided=[] if is_decided else ended_early,
        )

    def _checks(self, announced: Announced, *, new: Sequence[str]) -> Update:
        messages: list[AlertMessage] = []
        variables = dg.AssetKey(drift_check.VARIABLES)
        for name in _CHECKS if variables in self.keys else ():
            check = dg.AssetCheckKey(variables, name)
            failed, passed = newest_checks(self.instance, check, new)
            update = with_check(announced, name, failed, passed, self.at)
            announced = update.announced
            messages += update.messages
        return Update(announced, tuple(messages))

    def _stale(self, announced: Announced) -> Update:
        stale_after = environment.stale_after()
        if stale_after is None:  # nobody looks any more, so nothing has recovered
            return Update(replace(announced, stale=frozenset()))
        stale = stale_pairs(self._states)
        if stale is None or stale == announced.stale:
            return Update(announced)
        tables = [key.to_user_string() for key in self.keys]
        return with_stale(announced, stale, self._studies, tables, stale_after, self.at)

    def _registry(self, announced: Announced) -> Update:
        state = registry_state(self.instance, self._states)
        if state is None:
            return Update(announced)
        failure, missing = state
        update = with_registry(announced, failure, self.at)
        if frozenset(missing) == announced.missing:
            return update
        more = with_missing(update.announced, missing, self._studies, self.at)
        return Update(more.announced, (*update.messages, *more.messages))
