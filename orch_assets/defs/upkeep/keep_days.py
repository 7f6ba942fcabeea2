"""For how many days the upkeep keeps each kind of thing."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from orch_assets.defs import environment as settings
from orch_assets.stores.maintenance.upkeep_terms import Cutoffs

# A week: no process can still be writing what is older.
_LEFTOVERS: Final = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class KeepDays:
    """The ages in days from which things may be removed.

    Attributes:
        runs: Dagster's runs, and the failure reports.
        manifests: Manifests between the first and the last one of a version.
        versions: Versions; None keeps all of them.
    """

    runs: int = 90
    manifests: int = 7
    versions: int | None = None

    @classmethod
    def from_environment(cls) -> "KeepDays":
        """Read ``ORCH_KEEP_DAYS``, ``ORCH_KEEP_MANIFEST_DAYS`` and ``ORCH_KEEP_VERSION_DAYS``.

        Raises:
            SettingError: One of them isn't a whole number of at least 1.
        """
        return cls(
            runs=settings.number("ORCH_KEEP_DAYS", least=1) or cls.runs,
            manifests=settings.number("ORCH_KEEP_MANIFEST_DAYS", least=1) or cls.manifests,
            versions=settings.number("ORCH_KEEP_VERSION_DAYS", least=1),
        )

    def cutoffs(self, now: datetime) -> Cutoffs:
        """Return the moments before which things are old."""

        def ago(days: float) -> datetime:
            return now - timedelta(days=days)

        return Cutoffs(
            manifests=ago(self.manifests),
            versions=None if self.versions is None else ago(self.versions),
            # What is stale is judged by Dagster's events.
            reports=now - max(timedelta(days=self.runs), settings.stale_after() or timedelta()),
            leftovers=now - _LEFTOVERS,
        )
