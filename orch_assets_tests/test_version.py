"""What a manifest says of the code: its version, and the commit of its own checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import orch_assets
from orch_assets import LocalPipelineStore
from orch_assets.version import VERSION

PACKAGE = Path(orch_assets.__file__).parent
PROJECT = PACKAGE.parent
# Two publications of one process, and what their manifests say of the code.
PUBLISH = """
import sys
from orch_assets import LocalPipelineStore
from orch_assets.stores import ArtifactKind
store = LocalPipelineStore(sys.argv[1])
for name in ("a", "b"):
    store.publish_json(1, name)
    publication = store.manifest(name, kind=ArtifactKind.JSON).publications[-1]
    print(publication.libraries["orch-assets"])
"""


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=m"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit_all(folder: Path) -> str:
    """Make a repository of a folder; return its commit."""
    git(folder, "init", "--quiet")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "all")
    return git(folder, "rev-parse", "HEAD")


def said_in(folder: Path, **variables: str) -> str:
    """Return what the package in a folder writes into manifests."""
    done = subprocess.run(
        [sys.executable, "-c", PUBLISH, str(folder.parent / "store")],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = done.stdout.split()
    assert first == second
    return first


def copy_package(folder: Path) -> Path:
    folder.mkdir(parents=True)
    shutil.copytree(PACKAGE, folder / "orch_assets", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return copy_package(tmp_path / "checkout")


def test_a_manifest_has_the_version_of_the_code(tmp_path: Path) -> None:
    published = LocalPipelineStore(tmp_path).publish_json(1, "x")
    assert published.uri
    manifest = next(tmp_path.glob(".orch/x/json/manifests/*/*")).read_text()
    assert f'"orch-assets": "{VERSION}' in manifest


def test_a_checkout_adds_its_commit_and_whether_it_is_modified(checkout: Path) -> None:
    commit = commit_all(checkout)
    (checkout / "notes.txt").write_text("of somebody, and no code")
    assert said_in(checkout) == f"{VERSION}+{commit}"

    mine = checkout / "orch_assets" / "pipelines" / "mine.py"
    mine.write_text("")  # a new pipeline is code
    assert said_in(checkout) == f"{VERSION}+{commit}.modified"

    mine.unlink()
    with (checkout / "orch_assets" / "errors.py").open("a") as file:
        file.write("# changed\n")
    assert said_in(checkout) == f"{VERSION}+{commit}.modified"


def test_what_is_installed_in_somebodys_repository_claims_no_commit_of_theirs(
    tmp_path: Path,
) -> None:
    repository = tmp_path / "theirs"
    installed = copy_package(repository / ".venv" / "lib" / "site-packages")
    commit_all(repository)  # the environment, too
    assert said_in(installed) == VERSION

    shutil.copytree(installed / "orch_assets", repository / "orch_assets")  # pip install --target .
    assert said_in(repository) == VERSION


@pytest.mark.parametrize("answer", ["not there", "fails", "says nothing"])
def test_without_an_answer_of_git_the_version_stands_alone(
    checkout: Path, tmp_path: Path, answer: str
) -> None:
    commit_all(checkout)
    folder = tmp_path / "bin"
    folder.mkdir()
    if answer != "not there":
        code = "exit 128" if answer == "fails" else "exit 0"
        (folder / "git").write_text(f"#!/bin/sh\n{code}\n")
        (folder / "git").chmod(0o755)
    assert said_in(checkout, PATH=str(folder)) == VERSION


def test_git_is_asked_once_in_a_process_and_of_the_packages_own_repository(
    checkout: Path, tmp_path: Path
) -> None:
    commit = commit_all(checkout)
    log, folder = tmp_path / "log", tmp_path / "bin"
    folder.mkdir()
    (folder / "git").write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {shutil.which("git")} "$@"\n')
    (folder / "git").chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    assert said_in(checkout, PATH=path, GIT_DIR=str(PROJECT / ".git")) == f"{VERSION}+{commit}"
    questions = [line.split()[2] for line in log.read_text().splitlines()]
    assert questions == ["rev-parse", "ls-files", "status"]


def test_the_wheel_has_the_codes_own_version() -> None:
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    assert ProjectMetadata(str(PROJECT), PluginManager()).version == VERSION


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_make_installs_the_project_so_that_its_command_is_there(tmp_path: Path) -> None:
    target = tmp_path / "venv" / ".installed"
    done = subprocess.run(
        ["make", "--dry-run", f"VENV={target.parent}", str(target)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--no-build-isolation --editable ." in done.stdout
    assert "--require-hashes -r locks/run.txt -r locks/install.txt" in done.stdout
