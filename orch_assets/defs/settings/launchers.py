"""Whether an instance starts runs on other machines, which don't have this one's folders."""

from typing import Final

import dagster as dg

from orch_assets.errors import SettingError

# Dagster's own package has only launchers that start runs where they are, or that are for tests.
_DAGSTER: Final = "dagster"


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
