"""What is published: the wheel's metadata, and the locks that its promises are tested with."""

import re
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

import orch_assets
from orch_assets.version import VERSION

PROJECT = Path(orch_assets.__file__).parents[1]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    (made,) = WheelBuilder(str(PROJECT)).build(directory=str(folder), versions=["standard"])
    return zipfile.ZipFile(made)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(wheel.read(f"orch_assets-{VERSION}.dist-info/METADATA").decode())


def locked(name: str) -> dict[str, str]:
    """Return the versions of a lock file, by package."""
    text = (PROJECT / "locks" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9.-]+)(?:\[.*?\])?==(\S+)", text, re.MULTILINE))


def test_the_wheel_has_the_licence_and_the_types(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    text = wheel.read(f"orch_assets-{VERSION}.dist-info/licenses/LICENSE").decode()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert "orch_assets/py.typed" in wheel.namelist()
    assert not [name for name in wheel.namelist() if name.startswith("orch_assets_tests")]


def test_the_core_needs_neither_dagster_nor_a_cloud(metadata: Message) -> None:
    needed = [Requirement(each) for each in metadata.get_all("Requires-Dist", [])]
    core = {each.name for each in needed if each.marker is None}
    assert core == {
        "click",
        "httpx",
        "msgspec",
        "pandas",
        "pyarrow",
        "rich",
        "starlette",
        "uvicorn",
    }
    assert metadata.get_all("Provides-Extra") == [
        "aws",
        "charts",
        "cluster",
        "dagster",
        "exports",
        "gcp",
    ]


def test_the_core_lock_has_neither_dagster_nor_a_cloud_and_the_versions_of_all() -> None:
    core, all_of_it = locked("core"), locked("run")
    assert {"click", "pandas", "starlette"} <= core.keys()
    heavy = ("dagster", "boto", "google", "s3transfer", "grpc")
    assert not [name for name in core if name.startswith(heavy)]
    assert core.items() <= all_of_it.items()


def test_dagster_is_tested_on_the_lowest_release_of_its_range() -> None:
    for requirement in map(Requirement, EXTRAS["dagster"]):
        if requirement.name.startswith("dagster"):
            lowest, newest = (locked(name)[requirement.name] for name in ("dagster-lowest", "run"))
            assert f">={lowest}" in str(requirement.specifier).split(",")
            assert newest in requirement.specifier


def test_all_of_dagster_is_of_one_release() -> None:
    versions = locked("run")
    for own in ("dagster", "dagster-webserver", "dagster-graphql"):
        assert versions[own] == versions["dagster"]
    patch = versions["dagster"].removeprefix("1.13.")
    for library in ("dagster-aws", "dagster-gcp"):
        assert versions[library] == f"0.29.{patch}"


def test_no_lock_names_an_index() -> None:
    for lock in sorted((PROJECT / "locks").glob("*.txt")):
        text = lock.read_text()
        assert "--hash=sha256:" in text, lock.name
        assert "://" not in text, lock.name
        assert "index-url" not in text, lock.name


def test_the_changelog_has_the_version() -> None:
    """Above it is only what isn't released yet."""
    sections = re.findall(r"^## (.+)$", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(VERSION)} - \d{{4}}-\d\d-\d\d", sections[1])
