"""The settings that are read when the code location loads. All others are read when first used.

None of them is a secret, because Dagster keeps definitions in memory and shows them.
"""

from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from orch_assets.defs import environment as settings
from orch_assets.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class LocationSettings:
    """What Dagster starts by itself, and how it divides studies into runs.

    Attributes:
        schedule: When ``daily_refresh`` runs all studies: a cron schedule and, after it, a time
            zone, such as ``0 5 * * * Europe/Berlin``. None leaves the schedule stopped.
        automation: Whether the sensors that start runs are switched on.
        studies_per_run: Number of studies in one run; None means one run for all.
        studies_file: The file with settings for single studies; None means none.
    """

    schedule: str | None = None
    automation: bool = False
    studies_per_run: int | None = None
    studies_file: Path | None = None

    @classmethod
    def from_environment(cls) -> "LocationSettings":
        """Read the settings from environment variables.

        Raises:
            SettingError: One of them can't be read.
        """
        file = settings.text("ORCH_STUDIES_FILE")
        return cls(
            schedule=settings.text("ORCH_SCHEDULE"),
            automation=settings.switch("ORCH_AUTOMATION"),
            studies_per_run=settings.number("ORCH_STUDIES_PER_RUN", least=1),
            studies_file=Path(file) if file else None,
        )

    @property
    def backfill_policy(self) -> dg.BackfillPolicy:
        """One run for all studies, or runs of ``studies_per_run``."""
        if self.studies_per_run is None:
            return dg.BackfillPolicy.single_run()
        return dg.BackfillPolicy.multi_run(self.studies_per_run)

    def cron_and_zone(self) -> tuple[str, str] | None:
        """Return the schedule's cron schedule and time zone; None without a schedule.

        Raises:
            SettingError: Dagster doesn't accept the cron schedule or the time zone.
        """
        if self.schedule is None:
            return None
        fields = self.schedule.split()
        length = 1 if fields[0].startswith("@") else 5
        cron, zone = " ".join(fields[:length]), " ".join(fields[length:]) or "UTC"
        try:
            dg.ScheduleDefinition(
                "checked", cron_schedule=cron, execution_timezone=zone, job_name="none"
            )
        except Exception as error:  # Dagster and its parsers have many types
            raise SettingError(
                "ORCH_SCHEDULE",
                f"is {self.schedule!r}; it must be five cron fields and, if it isn't UTC, a time "
                "zone, such as `0 5 * * * Europe/Berlin`.",
            ) from error
        return cron, zone
