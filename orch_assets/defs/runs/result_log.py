"""Logs the successes of a run, several at a time, each with its check."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import dagster as dg

from orch_assets.defs.checks.reconciliation_check import latest_target, passed
from orch_assets.defs.dagster_internals import (
    AssetCheckEvaluationTargetMaterializationData as Target,
)
from orch_assets.defs.dagster_internals import (
    can_store_batches,
    log_entry,
    notify_listeners,
    store_batch,
    stored_ids,
)
from orch_assets.run_guard import storing

# More in one transaction would keep other processes from writing for too long.
_BATCH: Final = 200


class ResultLog:
    """The successes of a run that have ended, and not been logged yet.

    Dagster stores an event in several transactions, which cost more than the event. So the events
    of a second are stored together. A killed process loses at most these: their studies run again.

    Args:
        context: The run.
        reconciled: Assets whose materializations are checked.
    """

    def __init__(self, context: dg.AssetExecutionContext, reconciled: set[dg.AssetKey]) -> None:
        self._context = context
        self._reconciled = reconciled
        self._storage: Any = context.instance.event_log_storage
        self._pending: list[dg.AssetMaterialization] = []
        self._checks: list[dg.AssetCheckEvaluation] = []

    def add(self, event: dg.AssetMaterialization) -> None:
        """Add a success, for the next :meth:`flush`.

        Raises:
            Exception: Its metadata can't be stored. The others of its batch couldn't be, either.
        """
        dg.serialize_value(event)
        self._pending.append(event)

    def add_check(self, evaluation: dg.AssetCheckEvaluation) -> None:
        """Add the evaluation of a check, for the next :meth:`flush`; raises as :meth:`add`."""
        dg.serialize_value(evaluation)
        self._checks.append(evaluation)

    def flush(self) -> None:
        """Log what was added, and the checks of it.

        After an error or an interrupt, the next call continues where this one stopped.
        """
        while events := self._pending[:_BATCH]:
            targets = self._log(events)
            self._checks += [
                check
                for event, target in zip(events, targets, strict=True)
                if event.asset_key in self._reconciled and (check := passed(event, target))
            ]
            del self._pending[: len(events)]
        while checks := self._checks[:_BATCH]:
            self._log(checks)
            del self._checks[: len(checks)]

    def _log(
        self, events: Sequence[dg.AssetMaterialization | dg.AssetCheckEvaluation]
    ) -> Sequence[Target | None]:
        """Log events; return how a check names each of them."""
        if not can_store_batches(self._storage):
            return [*self._log_each(events)]
        entries = [log_entry(self._context, event) for event in events]
        tried = False

        def store() -> Sequence[int]:
            nonlocal tried
            known = stored_ids(self._storage, entries) if tried else ()
            tried = True
            return known or store_batch(self._storage, entries)

        ids = storing(store)
        notify_listeners(self._context.instance, entries)
        return [
            Target(storage_id=storage_id, run_id=entry.run_id, timestamp=entry.timestamp)
            for entry, storage_id in zip(entries, ids, strict=True)
        ]

    def _log_each(
        self, events: Sequence[dg.AssetMaterialization | dg.AssetCheckEvaluation]
    ) -> Iterator[Target | None]:
        for event in events:
            self._context.log_event(event)
            if isinstance(event, dg.AssetMaterialization) and event.asset_key in self._reconciled:
                yield latest_target(self._context.instance, event.asset_key, str(event.partition))
            else:
                yield None
