"""Whether an instance starts runs on other machines, and what can't be done then."""

from importlib import import_module
from typing import Any, Final

import dagster as dg

from orch_assets.errors import OrchestratorError, SettingError

# Dagster's own package has only launchers that start runs where they are, or that are for tests.
_DAGSTER: Final = "dagster"
# This package's own, which knows the runs that it has started.
_OWN: Final = "orch_assets.defs.cluster.celery_launcher"


def remote_launcher(instance: dg.DagsterInstance) -> str | None:
    """Return the class name of a launcher that may start runs elsewhere; None if there is none.

    That is every launcher outside of Dagster's own package: Celery, Docker, Kubernetes, ECS, or a
    user's own. The launcher itself isn't created, because that may need what only the daemon and
    the webserver have, such as a cluster.
    """
    if instance.is_ephemeral:
        return None
    launcher = instance.get_ref().run_launcher_data
    if launcher is None or launcher.module_name.partition(".")[0] == _DAGSTER:
        return None
    return launcher.class_name


def refuse_run_of_command(instance: dg.DagsterInstance) -> None:
    """Check that the daemon would leave a run alone that a command executes in its own process.

    It asks the launcher whether a run's container, pod or task is there, also about runs that the
    launcher has never seen. Such a run would end as failed within a minute, while it goes on.

    Raises:
        OrchestratorError: The launcher answers for runs that it hasn't started.
    """
    if remote_launcher(instance) is None:
        return
    launcher: Any = instance.get_ref().run_launcher_data
    if not _answers_for_all_runs(launcher.module_name, launcher.class_name):
        return
    name = launcher.class_name
    raise OrchestratorError(
        f"`orch-assets run` executes runs in its own process, but {name} takes each run that "
        "it hasn't started for dead. Nothing was run. Launch the job study_pipelines in the UI, or "
        "let its schedule or the study sensor do so."
    )


def _answers_for_all_runs(module_name: str, class_name: str) -> bool:
    """Return whether a launcher's class says so; True if it can't be imported here."""
    try:
        class_ = getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError):
        return True
    if any(each.__module__ == _OWN for each in class_.__mro__):
        return False
    try:
        return bool(object.__new__(class_).supports_check_run_worker_health)
    except AttributeError:  # it depends on the configuration
        return True


def no_store_set(launcher: str) -> SettingError:
    """Return the error that a store is neither set in the environment nor in code."""
    return SettingError(
        "ORCH_STORE",
        f"is not set, but {launcher} starts runs on other machines: each would write to a folder "
        "of its own in DAGSTER_HOME. Give s3://bucket/prefix, gs://bucket/prefix, or a folder that "
        "is the same on every machine.",
    )


def folder_warning(name: str, launcher: str) -> str:
    """Return what to say of a store that is a folder.

    Args:
        name: The setting or resource that names the folder.
        launcher: The class of the run launcher.
    """
    return (
        f"{name} is a folder, and {launcher} starts runs on other machines: it must be the same "
        "folder on every machine, such as a shared volume. Otherwise, use a bucket."
    )
