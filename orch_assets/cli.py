"""The command ``orch-assets``: its subcommands, and how they end.

Only the subcommands that need Dagster import it, so that ``--help`` is fast and makes no requests.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence

import click

from orch_assets.commands.check import check
from orch_assets.commands.exit_codes import INTERRUPTED, NONE_COULD_RUN, SUCCEEDED, TERMINATED
from orch_assets.commands.exporting.export import export
from orch_assets.commands.failures import failures
from orch_assets.commands.init import init
from orch_assets.commands.known_studies import studies
from orch_assets.commands.maintenance.erase import erase
from orch_assets.commands.maintenance.redact import redact
from orch_assets.commands.maintenance.run_marks import mark, marks
from orch_assets.commands.maintenance.upkeep import upkeep
from orch_assets.commands.maintenance.verify import verify
from orch_assets.commands.newest_results import results
from orch_assets.commands.report import report
from orch_assets.commands.run import run
from orch_assets.commands.simulator import demo_server
from orch_assets.commands.unfinished_runs import runs
from orch_assets.errors import OrchAssetsError
from orch_assets.signals import interrupting
from orch_assets.version import VERSION


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    Args:
        arguments: Command-line arguments without the command's name. None uses those of the
            process.
    """
    with interrupting(last=arguments is None) as first_signal:
        try:
            code = _exit_code(arguments)
        except KeyboardInterrupt:  # while an error is printed
            code = INTERRUPTED
        is_terminated = code == INTERRUPTED and first_signal() == signal.SIGTERM
    code = TERMINATED if is_terminated else code
    if arguments is None:
        _end_at_once_beside_threads(code)
    return code


def _end_at_once_beside_threads(code: int) -> None:
    """End the process, if only daemon threads are left beside this one, such as a hung study's.

    The interpreter would end them wherever they next need it. Within a C++ function of Arrow, that
    aborts the process, and the exit code is lost.
    """
    others = [each for each in threading.enumerate() if each is not threading.current_thread()]
    if others and all(each.daemon for each in others):
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # closed by whoever read it
                stream.flush()
        os._exit(code)


def _exit_code(arguments: Sequence[str] | None) -> int:
    try:
        return int(cli.main(arguments, prog_name="orch-assets", standalone_mode=False) or SUCCEEDED)
    except click.ClickException as error:
        error.show()
        return NONE_COULD_RUN
    except OrchAssetsError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        return NONE_COULD_RUN
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED


@click.group()
@click.version_option(VERSION, message="orch-assets %(version)s")
@click.option(
    "--module",
    metavar="MODULE",
    help="Module with the code location, such as my_trials.definitions. Default: ORCH_DEFINITIONS, "
    "else what pyproject.toml or workspace.yaml in the working folder names, else the shipped "
    "pipelines.",
)
def cli(module: str | None) -> None:
    """Clinical-data pipelines over every study of an iMednet account.

    Settings for the API, the study filter and the stores come from environment variables and from
    .env in the working folder. Dagster keeps its state in DAGSTER_HOME.
    """


_COMMANDS = (
    run,
    studies,
    runs,
    results,
    failures,
    report,
    export,
    mark,
    marks,
    verify,
    redact,
    erase,
    upkeep,
    check,
    init,
    demo_server,
)
for _command in _COMMANDS:
    cli.add_command(_command)
