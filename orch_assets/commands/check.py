"""``orch-assets check``: checks whether a run could start, without running anything."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from orch_assets.commands.exit_codes import NONE_COULD_RUN, SUCCEEDED


@click.command()
def check() -> int:
    """Check settings, pipelines, stores and API keys.

    Runs nothing. Writes one small object (`.orch/_probe`) to each store and reads it back. The exit
    code is 2 if a run could not start.
    """
    from orch_assets.commands.location import read_settings

    read_settings()
    failures = [_fails(name, step) for name, step in _steps()]
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


def _home() -> str:
    from orch_assets.defs.environment import text
    from orch_assets.defs.runs.home import home_instance

    with home_instance():
        return str(text("DAGSTER_HOME"))


def _pipelines() -> str:
    from orch_assets.commands.location import code_location
    from orch_assets.errors import PipelineDefinitionError

    found = code_location()
    if found.broken:
        raise PipelineDefinitionError("; ".join(dict.fromkeys(found.broken.values())))
    return f"{len(found.graph_keys)} of {found.target.module} can run"


def _stores() -> str:
    from orch_assets.defs.runs.readiness import try_stores

    with _resources() as (_, resources):
        try_stores(resources._asdict())
    return "can be written and read"


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


@contextmanager
def _resources() -> Iterator[tuple[Any, Any]]:
    from orch_assets.commands.location import location_resources
    from orch_assets.defs.runs.home import home_instance

    with home_instance() as instance, location_resources(instance) as resources:
        yield instance, resources
