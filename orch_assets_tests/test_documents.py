"""The documents: their code runs as it stands, their links lead somewhere, their commands exist."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A block of code, and the output that the page shows below it."""

    page: str
    language: str
    code: str
    output: str

    def __str__(self) -> str:
        return f"{self.page}:{self.code.splitlines()[-1][:40]}"


def blocks_of(page: Path) -> list[Block]:
    name = str(page.relative_to(ROOT))
    return [Block(name, *found) for found in _BLOCK.findall(page.read_text(encoding="utf-8"))]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
READING = "docs/how-to/read-the-tables.md"  # test_reading_tables.py runs its blocks
PYTHON = [each for each in BLOCKS if each.language == "python" and each.page != READING]
SHELL = [block for block in BLOCKS if block.language == "sh"]


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_a_python_block_prints_what_its_page_shows(block, tmp_path, forked):
    """Each runs in a process of its own, in an empty folder."""
    done = forked.run(block.code, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == block.output


def test_the_pipeline_of_the_readme_counts_what_it_says():
    scope = {}
    exec(PYTHON[0].code, scope)  # the README's own code

    class Logger:
        def info(self, *args):
            pass

    subjects = pd.DataFrame(
        {
            "site_name": ["Basel", "Basel", "Lyon"],
            "subject_status": ["Enrolled", "Enrolled", "Screened"],
        }
    )
    table = scope["enrolled_by_site"]("S", None, Logger(), subjects)
    assert table.to_dict("records") == [{"site_name": "Basel", "subjects": 2}]


def in_bash(script: str, folder: Path) -> str:
    """Run a page's commands in a folder, as if the package were installed; return their output."""
    programs = "".join(
        f'{name}() {{ {sys.executable} -m {module} "$@"; }}\n'
        for name, module in (("dagster", "dagster"), ("orch-assets", "orch_assets"))
    )
    named = {"IMEDNET_", "ORCH_", "DAGSTER_"}
    inherited = {k: v for k, v in os.environ.items() if not any(map(k.startswith, named))}
    done = subprocess.run(
        ["bash", "-ec", programs + script],
        cwd=folder,
        env={**inherited, "PYTHONPATH": f"{ROOT}"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_readmes_location_is_whole(tmp_path):
    """The file and the command, as they stand, for one study of the simulator."""
    (tmp_path / "my_trials.py").write_text(PYTHON[0].code)
    (block,) = [b for b in SHELL if b.page == "README.md" and "--module my_trials run" in b.code]
    home, run, interface = block.code.splitlines()
    assert interface.startswith("dagster dev -m my_trials ")
    run = run.partition("#")[0] + "--study ONC-301 --pipeline subjects --pipeline enrolled_by_site"
    validated = "dagster definitions validate -m my_trials"
    assert "Every study succeeded." in in_bash(f"{home}\n{run}\n{validated}", tmp_path)
    assert (tmp_path / ".dagster/artifacts/enrolled_by_site/ONC-301.parquet").exists()
    assert len(PYTHON[0].code.splitlines()) <= 15


def test_the_files_of_ones_own_repository_are_a_location_that_is_found(tmp_path):
    """For Dagster's commands and for ours, without a word about the module."""
    page = "docs/how-to/your-own-repository.md"
    blocks = {block.language: block.code for block in BLOCKS if block.page == page}
    (tmp_path / "pyproject.toml").write_text(blocks["toml"])
    package = tmp_path / "my_trials" / "pipelines"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package.parent / "definitions.py").write_text(blocks["py"])
    pipeline = PYTHON[0].code.partition("defs = ")[0]
    (package / "enrolment.py").write_text(pipeline.replace("build_definitions, ", ""))
    home = "export ORCH_REGISTRY=demo DAGSTER_HOME=$PWD/.dagster; mkdir -p $DAGSTER_HOME"
    said = in_bash(f"{home}\ndagster definitions validate\norch-assets check", tmp_path)
    assert re.search(r"^ok +pipelines: \d+ of my_trials\.definitions can run$", said, re.MULTILINE)


def test_the_dagster_commands_run_as_they_stand(tmp_path):
    """In a folder with an empty DAGSTER_HOME."""
    (block,) = [block for block in SHELL if "dagster asset materialize" in block.code]
    alias = "alias dagster=.venv/bin/dagster"
    assert alias in block.code
    script = block.code.replace(alias, f'dagster() {{ {sys.executable} -m dagster "$@"; }}')
    (tmp_path / ".dagster" / "demo").mkdir(parents=True)
    subprocess.run(
        ["bash", "-ec", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    artifacts = tmp_path / ".dagster" / "demo" / "artifacts"
    assert (artifacts / "sites" / "DERM-104.parquet").exists()
    assert (artifacts / "study_results.parquet").exists()


def test_every_make_target_that_a_page_names_exists():
    makefile = (ROOT / "Makefile").read_text()
    text = "\n".join(page.read_text() for page in PAGES)
    targets = set(re.findall(r"(?:^|`)make ([\w-]+)", text, re.MULTILINE))
    assert targets >= {"demo", "test", "dev", "run", "bench", "check"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page):
    links = [link for link in _LINK.findall(page.read_text()) if "://" not in link]
    dead = [link for link in links if not (page.parent / link.partition("#")[0]).exists()]
    assert dead == []


def test_every_page_can_be_reached_from_the_readme():
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        reached.add(page)
        links = [link.partition("#")[0] for link in _LINK.findall(page.read_text())]
        found = [(page.parent / link).resolve() for link in links]
        todo += [each for each in found if each.suffix == ".md" and each not in reached]
    assert set(PAGES) <= reached


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
