"""``orch-assets check``: checks whether a run could start, without running anything."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import click

from orch_assets.commands.exit_codes import NONE_COULD_RUN, SUCCEEDED


@click.command()
@click.option("--alerts", is_flag=True, help="Send a test message to each receiver of alerts.")
def check(*, alerts: bool) -> int:
    """Check settings, pipelines, stores, API keys and alerts.

    Runs nothing. Writes one small object (`.orch/_probe`) to each store and reads it back. The exit
    code is 2 if a run could not start, or alerts could not be sent.
    """
    from orch_assets.commands.location import read_settings

    read_settings()
    steps = [*_steps(), *(_test_messages() if alerts else ())]
    failures = [_fails(name, step) for name, step in steps]
    return NONE_COULD_RUN if any(failures) else SUCCEEDED


def _fails(name: str, step: Callable[[], str]) -> bool:
    """Run a step and print its outcome; return whether it failed."""
    from orch_assets.errors import OrchAssetsError

    try:
        click.echo(f"ok     {name}: {step()}")
    except OrchAssetsError as error:
        click.echo(f"wrong  {name}: {type(error).__name__}: {error}")
        return True
    return False


def _steps() -> Iterator[tuple[str, Callable[[], str]]]:
    yield "Dagster home", _home
    yield "pipelines", _pipelines
    yield "stores", _stores
    yield "registry", _registry
    yield "request limit", _request_limit
    yield "alerts", _alerts


def _home() -> str:
    from orch_assets.defs.environment import text
    from orch_assets.defs.runs.home import home_instance

    with home_instance():
        return str(text("DAGSTER_HOME"))


def _pipelines() -> str:
    from orch_assets.commands.location import code_location
    from orch_assets.defs.runs.readiness import read_settings_of_pipelines
    from orch_assets.errors import PipelineDefinitionError

    found = code_location()
    if found.broken:
        raise PipelineDefinitionError("; ".join(dict.fromkeys(found.broken.values())))
    read_settings_of_pipelines()
    return f"{len(found.graph_keys)} of {found.target.module} can run"


def _stores() -> str:
    from orch_assets.defs.runs.readiness import store_warnings, try_stores

    with _resources() as (instance, resources):
        try_stores(resources._asdict())
        warnings = store_warnings(resources._asdict(), instance)
    return "; ".join(["can be written and read", *warnings])


def _registry() -> str:
    from orch_assets.defs.runs.readiness import try_keys
    from orch_assets.defs.study_sensor import look_at_registry

    with _resources() as (instance, resources):
        registry = resources.registry
        try_keys(registry)
        change = look_at_registry(instance, registry, resources.orchestration, absences={})
        count = len(change.selection.selected)
        studies = "1 study is" if count == 1 else f"{count} studies are"
        return f"{registry.label}; {studies} selected"


def _request_limit() -> str:
    from orch_assets.defs.settings.request_slots import describe

    with _resources() as (instance, resources):
        return describe(resources.registry.request_slots(), instance)


def _alerts() -> str:
    from orch_assets.alerts.alert_settings import AlertSettings
    from orch_assets.defs.environment import STALE_AFTER, stale_after
    from orch_assets.orchestration.durations import as_text

    settings, after = AlertSettings.read(), stale_after()
    if after is None:
        return f"{settings}; {STALE_AFTER} isn't set"
    return f"{settings}; a study is stale after {as_text(after)}"


def _test_messages() -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield a delivery for each receiver; without settings, one that fails."""
    from orch_assets.alerts.alert_settings import EMAIL, WEBHOOK, AlertSettings
    from orch_assets.alerts.receivers import receivers_of
    from orch_assets.errors import SettingError

    def nobody() -> str:
        raise SettingError(f"{WEBHOOK} or {EMAIL}", "must be set to send a test message.")

    try:
        receivers = receivers_of(AlertSettings.read())
    except SettingError:
        return  # the step before has said so
    if not receivers:
        yield "test message", nobody
    for name, receiver in receivers.items():
        yield f"test message, {name}", partial(_deliver, receiver)


def _deliver(receiver: Callable[..., None]) -> str:
    from datetime import UTC, datetime

    from orch_assets.alerts.message import AlertKind, AlertMessage

    lines = ["Someone ran `orch-assets check --alerts`. Nothing is wrong."]
    receiver(AlertMessage.make(AlertKind.TEST, "This is a test", lines, datetime.now(UTC)))
    return "was taken"


@contextmanager
def _resources() -> Iterator[tuple[Any, Any]]:
    from orch_assets.commands.location import location_resources
    from orch_assets.defs.runs.home import home_instance

    with home_instance() as instance, location_resources(instance) as resources:
        yield instance, resources
