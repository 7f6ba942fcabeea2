"""``orch-assets verify URI``: reads every stored version and reports what is wrong."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from orch_assets.commands.exit_codes import FAILED, NONE_COULD_RUN, SUCCEEDED

if TYPE_CHECKING:
    from orch_assets.stores import Problem
    from orch_assets.stores.store import PipelineStore


@click.command()
@click.argument("uri")
def verify(uri: str) -> int:
    """Verify every version of every artifact at URI.

    Reads all of them and reports what is wrong. URI is a folder, s3://bucket/prefix or
    gs://bucket/prefix. If ORCH_STORE or ORCH_RESTRICTED_STORE names the bucket, that store's
    settings are used. The exit code is 1 if anything is wrong. Files that a killed process left
    behind, and versions with values that have been blinded since, are listed but are not errors.
    """
    from orch_assets.stores.store_settings import store_at

    store = store_at(uri, lambda variable: os.environ.get(variable, "").strip() or None)
    problems, objects = _read(store)
    blinded_since = store.blinded_since()
    for problem in problems:
        click.echo(f"{'leftover: ' if problem.leftover else ''}{problem}")
    for version in blinded_since:
        click.echo(f"blinded since: {version}")
    if not objects:
        click.echo(f"No artifact is stored at {uri}. Check the address.", err=True)
        return NONE_COULD_RUN
    leftovers = sum(problem.leftover for problem in problems)
    counts = [_count(objects, "object"), _count(len(problems) - leftovers, "fault")]
    counts += [_count(leftovers, "leftover")] if leftovers else []
    counts += [f"{_count(len(blinded_since), 'version')} blinded since"] if blinded_since else []
    click.echo(f"{', '.join(counts)}.")
    return FAILED if len(problems) > leftovers else SUCCEEDED


def _read(store: "PipelineStore") -> "tuple[Sequence[Problem], int]":
    from orch_assets.terminal import verification_bar

    totals = [0]
    with verification_bar() as show:

        def progress(done: int, total: int) -> None:
            totals[0] = total
            show(done, total)

        return store.verify(progress=progress), totals[0]


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
