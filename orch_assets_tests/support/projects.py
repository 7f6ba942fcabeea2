"""Projects of users, which run against this code as it is installed from its wheel."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
_SCRIPTS = Path(sys.executable).parent


def built_wheel(folder: Path) -> Path:
    """Build this project's wheel into a folder; return its file."""
    (made,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(made)


def installed(folder: Path) -> Path:
    """Install this project's wheel into a folder, for PYTHONPATH; return the folder."""
    with zipfile.ZipFile(built_wheel(folder)) as wheel:
        wheel.extractall(folder)
    return folder


@dataclass(frozen=True)
class Project:
    """A user's project, beside an installation of ours.

    Attributes:
        folder: The project's root.
        site: Where our wheel is installed.
        settings: Environment variables of its processes; nothing of ours leaks in.
    """

    folder: Path
    site: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """All that its processes see of the environment."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": f"{self.folder}:{self.site}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "200",
            **self.settings,
        }

    def run(
        self, program: str, *arguments: str, code: int = 0
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program of our environment in the project's folder; it must end with a code."""
        done = subprocess.run(
            [str(_SCRIPTS / program), *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def programs(self) -> None:
        """Give the project an environment without an installation: its programs are ours."""
        for name in ("python", "orch-assets", "dagster"):
            module = "" if name == "python" else f" -m {name.replace('-', '_')}"
            self.write(f".venv/bin/{name}", f'#!/bin/sh\nexec {sys.executable}{module} "$@"\n')
            (self.folder / ".venv" / "bin" / name).chmod(0o755)
        self.write(".venv/.installed", "")


def new_project(folder: Path, site: Path, *options: str) -> Project:
    """Write a project with ``orch-assets init``."""
    project = Project(folder, site)
    arguments = ("-m", "orch_assets", "init", str(folder), "--from", str(ROOT), *options)
    Project(site, site).run("python", *arguments)
    return project
