"""Where the processes of an account share its request limit: by setting, else by the instance."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orch_assets.defs import environment as settings
from orch_assets.defs.settings.launchers import remote_launcher
from orch_assets.errors import SettingError

if TYPE_CHECKING:
    import dagster as dg

    from orch_assets.imednet.request_limits.slot_places import SlotPlace

SETTING: Final = "ORCH_REQUEST_LIMITER"

_FOR_MACHINES: Final = "redis://… or postgresql://…"


def request_slots(setting: str | None, instance: "dg.DagsterInstance | None") -> "SlotPlace | None":
    """Return where the account's slots lie; None for a limit of each process alone.

    Args:
        setting: What ``ORCH_REQUEST_LIMITER`` says; None chooses Postgres if the instance is in
            Postgres, else the files in ``DAGSTER_HOME``.
        instance: Dagster's instance, if there is one.

    Raises:
        SettingError: The setting can't be read, or doesn't suit the instance.
    """
    from orch_assets.imednet.request_limits import FileSlots, PostgresSlots, RedisSlots
    from orch_assets.imednet.request_limits.slot_places import DEFAULT_PROCESSES

    processes = _processes(instance) or DEFAULT_PROCESSES
    home, database = settings.text("DAGSTER_HOME"), _database(instance)
    is_chosen = setting is not None
    if setting is None:
        setting = "postgres" if database else "files" if home else "none"
    scheme = setting.partition("://")[0]
    if setting == "none":
        return None
    if setting == "files":
        if is_chosen:
            _refuse_other_machines(instance)
        return FileSlots(Path(_needed(home, "files", "DAGSTER_HOME")), processes)
    if setting == "postgres":
        return PostgresSlots(_needed(database, "postgres", "an instance in Postgres"), processes)
    if scheme in {"redis", "rediss"} and scheme != setting:
        return RedisSlots(setting, processes)
    if re.fullmatch(r"postgres(ql)?(\+psycopg2)?", scheme) and scheme != setting:
        return PostgresSlots(setting, processes)
    raise SettingError(  # without the text, which may have a password
        SETTING, "must be redis://…, rediss://…, postgresql://…, postgres, files or none."
    )


def refuse_unfit(place: "SlotPlace | None") -> None:
    """Try a place that somebody has chosen.

    Raises:
        SettingError: It can never hold slots. One that can't be reached now is no error.
    """
    from orch_assets.imednet.request_limits.slot_places import problem_of

    problem = problem_of(place) if place is not None else None
    if problem is not None and problem.is_unfit:
        raise SettingError(SETTING, problem.text)


def slot_warnings(place: "SlotPlace | None", instance: "dg.DagsterInstance | None") -> list[str]:
    """Return what to say of a place that nobody has chosen, if runs are on other machines."""
    from orch_assets.imednet.request_limits import FileSlots

    launcher = remote_launcher(instance) if instance else None
    if launcher is None or not isinstance(place, FileSlots):
        return []
    text = (
        f"{launcher} starts runs on other machines, but only the processes of one machine share "
        "the request limit, by files in DAGSTER_HOME: each machine may send as many requests as "
        f"the account allows in all. Set {SETTING} to {_FOR_MACHINES}."
    )
    return [text]


def describe(place: "SlotPlace | None", instance: "dg.DagsterInstance | None" = None) -> str:
    """Return which request limit is in force, after trying where it lies.

    Raises:
        SettingError: It can't be used.
    """
    from orch_assets.imednet.request_limits.slot_places import problem_of

    if place is None:
        return "of each process alone"
    problem = problem_of(place)
    if problem is not None:
        raise SettingError(SETTING, f"({place}) {problem.text}")
    return "; ".join([f"one for all processes, by {place}", *slot_warnings(place, instance)])


def _refuse_other_machines(instance: "dg.DagsterInstance | None") -> None:
    launcher = remote_launcher(instance) if instance else None
    if launcher is not None:
        raise SettingError(
            SETTING,
            f"is files, but {launcher} starts runs on other machines, which don't see the files of "
            f"this one. Give {_FOR_MACHINES}.",
        )


def _needed(value: str | None, setting: str, what: str) -> str:
    if value is None:
        raise SettingError(SETTING, f"is {setting}, which needs {what}.")
    return value


def _database(instance: Any) -> str | None:
    """Return the URL of the instance's Postgres; None if it isn't in Postgres."""
    url = getattr(instance.event_log_storage, "postgres_url", None) if instance else None
    return url if isinstance(url, str) else None


def _processes(instance: "dg.DagsterInstance | None") -> int | None:
    """Return how many runs may execute at once; None if nothing says so."""
    queue = instance.get_concurrency_config().run_queue_config if instance else None
    most = queue.max_concurrent_runs if queue else 0
    return most if most > 0 else None  # -1 is unlimited
