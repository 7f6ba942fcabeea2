"""The settings that are read when the code location loads. All others are read when first used.

None of them is a secret, because Dagster keeps definitions in memory and shows them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dagster as dg

from orch_assets.defs import environment as settings
from orch_assets.errors import SettingError
from orch_assets.exports.export_format import FORMATS
from orch_assets.orchestration.defining.similar_names import closest_key, did_you_mean

_SCHEDULE: Final = "ORCH_SCHEDULE"
_UPKEEP: Final = "ORCH_UPKEEP"
_EXPORTS: Final = "ORCH_EXPORTS"
_FORM: Final = "Give five cron fields and, if it isn't UTC, a time zone: `0 5 * * * Europe/Berlin`."


@dataclass(frozen=True, kw_only=True)
class LocationSettings:
    """What Dagster starts by itself, and how it divides studies into runs.

    Attributes:
        schedule: When ``daily_refresh`` runs all studies: a cron schedule and, after it, a time
            zone, such as ``0 5 * * * Europe/Berlin``. None leaves the schedule stopped.
        upkeep: When the schedule ``daily_upkeep`` removes what is old, likewise.
        automation: Whether the sensors that start runs are switched on.
        studies_per_run: Number of studies in one run; None means one run for all.
        studies_file: The file with settings for single studies; None means none.
        exports: Formats in which form tables are exported, an asset for each.
    """

    schedule: str | None = None
    upkeep: str | None = None
    automation: bool = False
    studies_per_run: int | None = None
    studies_file: Path | None = None
    exports: Sequence[str] = ()

    @classmethod
    def from_environment(cls) -> "LocationSettings":
        """Read the settings from environment variables.

        Raises:
            SettingError: One of them can't be read.
        """
        file = settings.text("ORCH_STUDIES_FILE")
        return cls(
            schedule=settings.text(_SCHEDULE),
            upkeep=settings.text(_UPKEEP),
            automation=settings.switch("ORCH_AUTOMATION"),
            studies_per_run=settings.number("ORCH_STUDIES_PER_RUN", least=1),
            studies_file=Path(file) if file else None,
            exports=tuple((settings.text(_EXPORTS) or "").replace(",", " ").split()),
        )

    def __post_init__(self) -> None:
        """Check the schedule, the number and the formats.

        Raises:
            SettingError: One of them is wrong.
        """
        if self.studies_per_run is not None and self.studies_per_run < 1:
            raise SettingError(
                "studies_per_run", f"must be at least 1, not {self.studies_per_run}."
            )
        for name in self.exports:
            if name not in FORMATS:
                hint = did_you_mean(closest_key(name, FORMATS))
                raise SettingError(
                    _EXPORTS,
                    f"names {name!r}, which is not a format.{hint} Use {', '.join(FORMATS)}.",
                )
        self.cron_and_zone()
        self.upkeep_cron_and_zone()

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
        return _cron_and_zone(_SCHEDULE, self.schedule)

    def upkeep_cron_and_zone(self) -> tuple[str, str] | None:
        """Return likewise when ``daily_upkeep`` runs.

        Raises:
            SettingError: Dagster doesn't accept the cron schedule or the time zone.
        """
        return _cron_and_zone(_UPKEEP, self.upkeep)


def _cron_and_zone(name: str, setting: str | None) -> tuple[str, str] | None:
    if setting is None:
        return None
    fields = setting.split()
    length = 1 if fields[:1] and fields[0].startswith("@") else 5
    cron, zone = " ".join(fields[:length]), " ".join(fields[length:]) or "UTC"
    if not _is_accepted(cron, "UTC"):
        raise SettingError(name, f"is {setting!r}, which is no cron schedule. {_FORM}")
    if not _is_accepted(cron, zone):
        raise SettingError(name, f"is {setting!r}; {zone!r} is no known time zone. {_FORM}")
    return cron, zone


def _is_accepted(cron: str, zone: str) -> bool:
    """Return whether Dagster accepts a cron schedule in a time zone."""
    try:
        dg.ScheduleDefinition("s", cron_schedule=cron, execution_timezone=zone, job_name="j")
    except Exception:  # noqa: BLE001 - Dagster and its parsers raise many types
        return False
    return True
