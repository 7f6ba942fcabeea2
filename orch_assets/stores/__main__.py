"""``python -m orch_assets.stores verify URI``: read all that is stored, and name what is wrong.

A bucket that ORCH_STORE or ORCH_RESTRICTED_STORE names is opened by that store's settings
(ORCH_STORE_ENDPOINT, ORCH_STORE_ROLE_ARN, …).
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from orch_assets.errors import MissingExtraError, SettingError, StoreError
from orch_assets.stores.maintenance.verification import Problem
from orch_assets.stores.store_settings import store_at

if TYPE_CHECKING:
    from orch_assets.stores.store import PipelineStore


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 where all is sound, 1 where something is wrong, 2 where that can't be told.

    What a killed publication left behind is told, and is nothing wrong. So are versions that may
    hold values of variables that were blinded since: they are what was published.
    """
    parser = argparse.ArgumentParser(prog="python -m orch_assets.stores", description=__doc__)
    commands = parser.add_subparsers(required=True)
    verify = commands.add_parser("verify", help="Read every version of every artifact.")
    verify.add_argument("uri", help="A folder, s3://bucket/prefix or gs://bucket/prefix.")
    given = parser.parse_args(arguments)
    try:
        store = store_at(given.uri, _text)
        faults, objects = _verify(store)
        blinded_since = store.blinded_since()
    except (StoreError, SettingError, MissingExtraError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for fault in faults:
        sys.stdout.write(f"{'leftover: ' if fault.leftover else ''}{fault}\n")
    for each in blinded_since:
        sys.stdout.write(f"blinded since: {each}\n")
    if not objects:
        sys.stderr.write(f"No artifact is stored at {given.uri}. Check the address.\n")
        return 2
    leftovers = sum(fault.leftover for fault in faults)
    real = len(faults) - leftovers
    told = [_count(objects, "object"), _count(real, "fault")]
    told += [_count(leftovers, "leftover")] if leftovers else []
    told += [f"{_count(len(blinded_since), 'version')} blinded since"] if blinded_since else []
    sys.stdout.write(f"{', '.join(told)}.\n")
    return 1 if real else 0


def _text(variable: str) -> str | None:
    return os.environ.get(variable, "").strip() or None


def _verify(store: "PipelineStore") -> tuple[list[Problem], int]:
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


if __name__ == "__main__":
    sys.exit(main())
