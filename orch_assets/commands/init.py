"""``orch-assets init``: writes a project with pipelines of your own."""

import keyword
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Final

import click

from orch_assets.commands.exit_codes import SUCCEEDED
from orch_assets.commands.release_address import ReleaseAddress, address_of, installed_from

# The files of a project, and their templates in orch_assets/templates.
_FILES: Final[Mapping[str, str]] = {
    ".env.example": "env.example.template",
    ".github/workflows/tests.yml": "tests.yml.template",
    ".gitignore": "gitignore.template",
    "Makefile": "Makefile.template",
    "README.md": "README.md.template",
    "dagster.yaml": "dagster.yaml",
    "pyproject.toml": "pyproject.toml.template",
    "tests/test_enrolled_by_site.py": "test_enrolled_by_site.py.template",
    "workspace.yaml": "workspace.yaml.template",
    "{{package}}/__init__.py": "package.py.template",
    "{{package}}/definitions.py": "definitions.py.template",
    "{{package}}/pipelines/__init__.py": "pipelines.py.template",
    "{{package}}/pipelines/enrolled_by_site.py": "enrolled_by_site.py.template",
}
# With --component, these files too, or instead.
_COMPONENT_FILES: Final[Mapping[str, str]] = {
    "{{package}}/definitions.py": "component_definitions.py.template",
    "{{package}}/defs/study_pipelines/defs.yaml": "defs.yaml.template",
}
# Its name is that of the distribution, too, which can neither begin nor end with an underscore.
_PACKAGE: Final = re.compile(r"[a-z]([a-z0-9_]*[a-z0-9])?")
_FOLDERS: Final = frozenset({"tests", "wheels"})
# A new repository is as good as an empty folder.
_IGNORED: Final = frozenset({".git"})


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--from",
    "address",
    metavar="ADDRESS",
    help="Where the project gets orch-assets: a wheel, which is copied into it, a folder with its "
    "source, or an address such as git+https://HOST/REPOSITORY@TAG. "
    "Default: where this orch-assets was installed from.",
)
@click.option(
    "--package", metavar="NAME", help="Name of the project's package. Default: the folder's name."
)
@click.option(
    "--component",
    is_flag=True,
    help="Configure the pipelines in YAML, by the Dagster component StudyPipelines, and load what "
    "`dg scaffold defs` writes.",
)
def init(folder: Path, address: str | None, package: str | None, *, component: bool) -> int:
    """Write a project with pipelines of your own into DIR.

    DIR must be empty or not exist. The project has a pipeline with a test, a Makefile, the
    configuration of Dagster and a CI file.
    """
    folder = folder.resolve()
    name = _package_name(folder, package)
    if folder.exists() and {each.name for each in folder.iterdir()} - _IGNORED:
        raise click.UsageError(f"{folder} isn't empty. Nothing was written; choose another folder.")
    source = address_of(address or installed_from())
    try:
        _write(folder, _files(name, source, _COMPONENT_FILES if component else {}))
    except OSError as error:
        raise click.ClickException(
            f"The project can't be written to {folder}: {error.strerror}. Nothing is left of it."
        ) from error
    click.echo(f"Wrote a project to {folder}. It gets orch-assets from {source}.")
    click.echo(f"Next:\n  cd {shlex.quote(str(folder))}\n  make test\n  make demo")
    return SUCCEEDED


def _package_name(folder: Path, package: str | None) -> str:
    """Return the name of the package, by default that of the folder in Python's spelling.

    Raises:
        click.UsageError: It can't be the name of a package, or another package has it.
    """
    name = package or re.sub(r"[-. ]+", "_", folder.name).lower()
    if not _PACKAGE.fullmatch(name) or keyword.iskeyword(name):
        problem = "can't be the name of a package: use small letters, digits and underscores"
    elif name in _taken_names():
        problem = "is the name of another package or folder"
    else:
        return name
    raise click.UsageError(f"{name!r} {problem}. Choose a name with --package.")


def _taken_names() -> set[str]:
    from importlib.metadata import packages_distributions

    return {*sys.stdlib_module_names, *packages_distributions(), *_FOLDERS, "orch_assets"}


def _files(package: str, source: ReleaseAddress, further: Mapping[str, str]) -> dict[str, bytes]:
    """Return the content of each file, by path; ``further`` are templates that replace others."""
    values = {
        "{{package}}": package,
        "{{name}}": package.replace("_", "-"),
        "{{requirement}}": source.requirement,
    }
    templates = resources.files("orch_assets") / "templates"
    files = {
        _filled(path, values): _filled((templates / template).read_text("utf-8"), values).encode()
        for path, template in {**_FILES, **further}.items()
    }
    if source.wheel is not None:
        files[f"wheels/{source.wheel.name}"] = source.wheel.read_bytes()
    return files


def _filled(text: str, values: Mapping[str, str]) -> str:
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write all files, or remove what was written.

    Raises:
        OSError: A file can't be written.
    """
    made: list[Path] = []
    try:
        for path, content in files.items():
            file = folder / path
            for parent in _missing(file.parent):
                parent.mkdir()
                made.append(parent)
            with file.open("xb") as opened:
                made.append(file)
                opened.write(content)
    except BaseException:
        for each in reversed(made):
            each.rmdir() if each.is_dir() else each.unlink()
        raise


def _missing(folder: Path) -> Iterator[Path]:
    """Yield the folders that don't exist on the way to this one, outermost first."""
    if not folder.exists():
        yield from _missing(folder.parent)
        yield folder
