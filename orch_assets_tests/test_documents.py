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
PYTHON = [block for block in BLOCKS if block.language == "python"]
SHELL = [block for block in BLOCKS if block.language == "sh"]


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_a_python_block_prints_what_its_page_shows(block, tmp_path):
    """Each runs in a fresh process, in an empty folder."""
    done = subprocess.run(
        [sys.executable, "-c", block.code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
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
