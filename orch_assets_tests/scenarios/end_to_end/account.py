"""An account whose registry a test holds in its hands, and the command on it, in this process."""

import io
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from orch_assets.cli import main
from orch_assets.defs.partitions import STUDIES_NAME, is_run_over_studies
from orch_assets.demo import DemoServer
from orch_assets_tests.defs.instances import copy_databases
from orch_assets_tests.support.processes import ROOT, registry_settings

_SETTINGS = (
    "ORCH_REGISTRY", "IMEDNET_WHITELIST", "IMEDNET_BLACKLIST", "ORCH_ACCEPT_STUDY_LOSS",
    "ORCH_STORE", "ORCH_RESTRICTED_STORE", "ORCH_STORE_FORMAT",
)  # fmt: skip


@dataclass
class Done:
    """What a command ended with."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


class Account:
    """A registry, a DAGSTER_HOME, and the command ``orch-assets`` on both.

    Attributes:
        server: the registry.
        home: DAGSTER_HOME; the command's working folder is beside it.
    """

    def __init__(self, server: DemoServer, folder: Path, monkeypatch, capsys) -> None:
        self.server = server
        self.home = folder / "home"
        copy_databases(self.home)
        shutil.copy(ROOT / "dagster.yaml", self.home)
        self.working_folder = folder / "work"
        self.working_folder.mkdir()
        self._patch: pytest.MonkeyPatch = monkeypatch
        self._capsys = capsys

    def command(self, *arguments: str, answer: str = "", **settings: str) -> Done:
        """Run ``orch-assets`` with these settings and no others."""
        given = {**registry_settings(self.server), "DAGSTER_HOME": str(self.home), **settings}
        with self._patch.context() as patch:
            for name in _SETTINGS:
                patch.delenv(name, raising=False)
            for name, value in given.items():
                patch.setenv(name, value)
            patch.chdir(self.working_folder)
            patch.setattr(sys, "stdin", io.StringIO(answer))
            code = main(list(arguments))
        out, err = self._capsys.readouterr()
        return Done(code, out, err)

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Give the instance, to look at what commands left, or to prepare it."""
        with dg.DagsterInstance.from_config(str(self.home)) as real:
            yield real

    def know(self, *study_keys: str) -> None:
        """Make studies known, as if they had been added before."""
        with self.instance() as real:
            real.add_dynamic_partitions(STUDIES_NAME, list(study_keys))

    @property
    def known(self) -> list[str]:
        with self.instance() as real:
            return list(real.get_dynamic_partitions(STUDIES_NAME))

    def runs(self) -> list[dg.DagsterRun]:
        """Return the runs over studies, oldest first."""
        with self.instance() as real:
            return [run for run in reversed(real.get_runs()) if is_run_over_studies(run)]


def add_study_key(server: DemoServer, study_key: str) -> None:
    """Let a registry list a study of any key, such as one that no partition can have."""
    rows = server.registry.rows("studies")
    row = {**rows[-1], "studyId": rows[-1]["studyId"] + 1, "studyKey": study_key}
    server.registry.insert_row("studies", None, row)
