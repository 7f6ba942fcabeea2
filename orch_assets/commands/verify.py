"""``orch-assets verify URI``: read all that is stored, and name what is wrong."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from orch_assets.stores import Problem
    from orch_assets.stores.store import PipelineStore


@click.command()
@click.argument("uri")
def verify(uri: str) -> int:
    """Read every version of every artifact at URI, and name what is wrong.

    URI is a folder, s3://bucket/prefix or gs://bucket/prefix. A bucket that ORCH_STORE or
    ORCH_RESTRICTED_STORE names is opened with that store's settings. Ends with 1 if anything is
    wrong. What a killed process left behind, and versions with values that are withheld by now, are
    listed and are no error.
    """
    from orch_assets.stores.store_settings import store_at

    store = store_at(uri, lambda variable: os.environ.get(variable, "").strip() or None)
    faults, objects = _read(store)
    blinded_since = store.blinded_since()
    for fault in faults:
        click.echo(f"{'leftover: ' if fault.leftover else ''}{fault}")
    for each in blinded_since:
        click.echo(f"blinded since: {each}")
    if not objects:
        click.echo(f"No artifact is stored at {uri}. Check the address.", err=True)
        return 2
    leftovers = sum(fault.leftover for fault in faults)
    counts = [_count(objects, "object"), _count(len(faults) - leftovers, "fault")]
    counts += [_count(leftovers, "leftover")] if leftovers else []
    counts += [f"{_count(len(blinded_since), 'version')} blinded since"] if blinded_since else []
    click.echo(f"{', '.join(counts)}.")
    return 1 if len(faults) > leftovers else 0


def _read(store: "PipelineStore") -> "tuple[Sequence[Problem], int]":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("Verifying"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("Verifying", total=None)
        faults = store.verify(
            progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
        return faults, int(bar.tasks[0].total or 0)


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
