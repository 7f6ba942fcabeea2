"""What holds for every test."""

import gc
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from orch_assets_tests.support.forking import Forks

# Projects of users have tests of their own.
collect_ignore = ["kept_projects"]

# A minute or more each, as a file is run by one worker.
_LONGEST = (
    "test_s3_contract.py",
    "test_gcs_contract.py",
    "test_ended_early.py",
    "test_interrupting.py",
    "test_command_line.py",
    "test_killed_runs.py",
    "test_killed_in_buckets.py",
    "test_documents.py",
    "test_reading_tables.py",
)

# A shell's background job ignores Ctrl-C, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Stores and SQLite flush each file to the disk, which takes longer than the tests' own work: their
# files are in memory where there is room, unless TMPDIR says where.
_MEMORY = Path("/dev/shm")
_ROOM = 3 << 30
if "TMPDIR" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM:
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that none of them is alone at the end."""
    places = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_collection_finish() -> None:
    """Take a million objects of modules and tests out of the garbage collector's way.

    Each full collection would look at them, for half a second or more, in any thread and in the
    middle of any timeout.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Answer ``--numprocesses auto``: two workers more than there are processors.

    Half of a worker's time passes while processes start and stop, requests are repeated and
    timeouts end.
    """
    return len(os.sched_getaffinity(0)) + 2


@pytest.fixture(autouse=True)
def _logger_is_as_imported() -> Iterator[None]:
    """Give the package's logger its level back: a Dagster run in this process sets it for good.

    With ``python_logs`` in ``dagster.yaml``, a run's log manager sets the level of the managed
    loggers and never takes it back; a module's fixture may have run one before this test.
    """
    logging.getLogger("orch_assets").setLevel(logging.NOTSET)
    yield
    logging.getLogger("orch_assets").setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def forked() -> "Iterator[Forks]":
    """Give a way to run programs in fresh processes that needn't import everything again."""
    from orch_assets_tests.support.forking import forks

    with forks() as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _dagsters_databases_are_quick() -> Iterator[None]:
    if "dagster" not in sys.modules:  # none of these tests starts a run in this process
        yield
        return
    from orch_assets_tests.defs.instances import quick_databases

    with quick_databases():
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any) -> Generator[None, None, None]:
    """Name every skipped test at the end, below what pytest folds into a line for each reason."""
    yield
    skipped: dict[str, Counter[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        skipped.setdefault(reason, Counter())[report.nodeid.partition("[")[0]] += 1
    for reason, tests in sorted(skipped.items()):
        terminalreporter.section(f"{tests.total()} skipped: {reason}", "-")
        for test, count in sorted(tests.items()):
            terminalreporter.write_line(test + (f" ({count} cases)" if count > 1 else ""))
