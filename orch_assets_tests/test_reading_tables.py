"""The page about reading exported tables: each block runs on an export, in its tool."""

import re
import shutil
import subprocess

import duckdb
import pytest

from orch_assets_tests.test_documents import BLOCKS, READING, in_bash

PAGE = [block for block in BLOCKS if block.page == READING]
RUN = [block for block in PAGE if block.language in ("python", "r", "sql")]
RUN = [block for block in RUN if "not run here" not in block.code]

# Two studies and three forms are enough for what the page shows.
_STUDIES = " --study ONC-301 --study CARD-202"
_PIPELINES = "".join(f" --pipeline {n}" for n in ("records", "variables", "forms", "form_tables"))
_FORMS = " --form AE --form DM --form PE"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return a folder in which the page's commands have been run."""
    folder = tmp_path_factory.mktemp("account")
    (commands,) = [block.code for block in PAGE if block.language == "sh"]
    run, *exports = commands.splitlines()
    assert run == "orch-assets run"
    formats = set(re.findall("--format ([a-z0-9-]+)", commands))
    assert all(export.startswith("orch-assets export --to exports ") for export in exports)
    home = "export ORCH_REGISTRY=demo DAGSTER_HOME=$PWD/.dagster; mkdir -p $DAGSTER_HOME"
    in_bash("\n".join([home, run + _STUDIES + _PIPELINES, *(e + _FORMS for e in exports)]), folder)
    assert {each.name for each in (folder / "exports").iterdir()} == formats
    return folder


def said_by_r(code, folder):
    return subprocess.run(
        ["Rscript", "-e", code],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def said_by_sql(code, folder, monkeypatch):
    """Return the rows of all statements; a comment on the first line names the file to open."""
    monkeypatch.chdir(folder)
    file = re.match(r"-- (\S+)\n", code)
    with duckdb.connect(file[1] if file else ":memory:", read_only=bool(file)) as connection:
        statements = connection.extract_statements(code)
        rows = [row for each in statements for row in connection.execute(each).fetchall()]
    return "".join(" | ".join(map(str, row)) + "\n" for row in rows)


@pytest.mark.parametrize("block", RUN, ids=str)
def test_a_block_prints_what_the_page_shows(block, exported, monkeypatch, forked):
    assert block.output
    if block.language == "sql":
        assert said_by_sql(block.code, exported, monkeypatch) == block.output
    elif block.language == "python":
        done = forked.run(block.code, folder=exported)
        assert (done.returncode, done.stdout) == (0, block.output), done.stderr
    elif shutil.which("Rscript") is None:
        pytest.skip("R is not here: install r-base-core and r-cran-foreign")
    else:
        assert said_by_r(block.code, exported) == block.output


def test_the_page_marks_each_block_that_is_not_run():
    rest = [block for block in PAGE if block not in RUN and block.language != "sh"]
    assert {block.language for block in rest} == {"sas", "r"}
    assert all("not run here" in block.code for block in rest)
