"""``orch-assets mark``: the tables of a finished run are kept, and read by the mark's name."""

import dagster as dg
import pyarrow as pa
import pytest

from orch_assets.defs.partitions import range_tags
from orch_assets.stores import ArtifactKind, PipelineStore, open_store

LATER = pa.table({"n": [1]})
RUN = "2f3a1e0c-0000-4000-8000-000000000000"


@pytest.fixture
def studies(account) -> list[str]:
    return account.server.registry.study_keys()


def stores(account) -> tuple[PipelineStore, PipelineStore]:
    folder = account.home / "artifacts"
    return open_store(folder), open_store(folder / "restricted")


def from_which_nothing_is_made(store: PipelineStore, study: str) -> str:
    """Return the name of a table that retention would not keep for the sake of another artifact."""
    names = [(name, kind) for kind in ArtifactKind for name in store.list_artifacts(kind=kind)]
    manifests = [each for name, kind in names for each in store.versions(name, kind=kind)]
    used = {uri for each in manifests for made in each.publications for uri in made.inputs}
    free = (name for name, kind in names if kind is ArtifactKind.TABLE and study in name)
    return next(n for n in free if store.uri(n) not in used and not n.startswith("restricted"))


def test_a_mark_keeps_what_a_run_stored_whatever_comes_after(account, studies):
    first, second, _ = studies
    assert account.command("run").code == 0
    (run,) = account.runs()
    done = account.command("mark", "interim 1", "--study", first, "--study", second)
    assert done.code == 0, done.said
    lines = done.out.splitlines()
    assert lines[0].startswith(f"Marked interim 1: study {first}, run {run.run_id}, ")
    assert "in the restricted store" in lines[0]
    in_open, restricted = stores(account)
    free = from_which_nothing_is_made(in_open, first)
    tables = [(in_open, free), (restricted, f"records/{first}")]
    before = [store.download_table(name) for store, name in tables]
    for store, name in tables:
        store.upload(LATER, name)
        store.retain(keep_last=1)
    for (store, name), rows in zip(tables, before, strict=True):
        assert store.download_table(name, as_of="interim 1").equals(rows)
    title, *shown = account.command("marks").out.splitlines()
    assert title == "interim 1: 2"
    assert [line.split(",")[0] for line in shown] == [
        f"  {study}: run {run.run_id}" for study in sorted((first, second))
    ]
    assert account.command("marks", "remove", "interim 1", answer="n").code == 1
    assert len(in_open.marks()) == 2
    removed = account.command("marks", "remove", "interim 1", "--yes")
    assert removed.code == 0, removed.said
    assert account.command("marks").out.startswith("There are no marks.")
    assert len(in_open.versions(free)) == 2
    in_open.retain(keep_last=1)
    assert len(in_open.versions(free)) == 1


def test_a_mark_never_moves_and_another_run_needs_another_name(account, studies):
    study = studies[0]
    account.command("run", "--study", study)
    assert account.command("mark", "interim", "--study", study).code == 0
    assert account.command("mark", "interim", "--study", study).code == 0  # the same run
    first = account.runs()[-1].run_id
    account.command("run", "--study", study)
    again = account.command("mark", "interim", "--study", study)
    assert again.code == 1
    assert f"is already that of run {first} of study {study}" in again.err
    assert account.command("mark", "later", "--study", study).code == 0
    assert account.command("mark", "first", "--study", study, "--run", first).code == 0
    in_open, restricted = stores(account)
    marks = {mark.name: mark.run for mark in in_open.marks()}
    assert marks == {"interim": first, "first": first, "later": account.runs()[-1].run_id}
    assert {mark.name: mark.run for mark in restricted.marks()} == marks


def test_a_study_is_refused_while_a_run_of_it_is_open(account, studies):
    first, second, third = studies
    account.command("run")
    with account.instance() as instance:
        tags = range_tags(second, third)
        started = dg.DagsterRunStatus.STARTED
        instance.add_run(
            dg.DagsterRun(job_name="study_pipelines", run_id=RUN, status=started, tags=tags)
        )
    done = account.command("mark", "interim", "--all")
    assert done.code == 1
    assert [line.split(",")[0] for line in done.out.splitlines()] == [
        f"Marked interim: study {first}"
    ]
    for study in (second, third):
        assert f"Study {study} can't be marked: run {RUN} of it is open (study_pip" in done.err
    assert {mark.study for store in stores(account) for mark in store.marks()} == {first}


def test_a_study_that_failed_is_refused_until_it_ran_again(account, studies):
    first, second, _ = studies
    account.server.registry.forbid_study(second)
    account.command("run")
    failed = account.runs()[-1].run_id
    done = account.command("mark", "interim", "--study", first, "--study", second)
    assert done.code == 1
    assert f"Marked interim: study {first}, run {failed}" in done.out
    assert f"Study {second} can't be marked: " in done.err
    assert f"failed or did not end in run {failed}. `orch-assets failures --run" in done.err
    account.server.registry.allow_study(second)
    assert account.command("run", "--failed").code == 0
    assert account.command("mark", "interim", "--study", second).code == 0
    old = account.command("mark", "old", "--study", second, "--run", failed)
    assert (old.code, old.out) == (1, "")


def test_a_run_of_some_pipelines_is_marked_only_if_it_is_named(account, studies):
    study = studies[0]
    account.command("run", "--study", study)
    whole = account.runs()[-1].run_id
    account.command("run", "--study", study, "--pipeline", "sites")
    part = account.runs()[-1].run_id
    done = account.command("mark", "interim", "--study", study)
    assert done.code == 1
    assert f"its last run {part} made only sites; the others are of {whole}." in done.err
    assert account.command("mark", "interim", "--study", study, "--run", whole).code == 0
    assert account.command("mark", "part", "--study", study, "--run", part).code == 0
    in_open, _ = stores(account)
    sizes = {mark.name: len(mark.versions) for mark in in_open.marks()}
    assert sizes["part"] == 1 < sizes["interim"]


def test_a_pipeline_that_runs_on_request_does_not_stand_against_a_mark(account, studies):
    study = studies[0]
    account.command("run", "--study", study)
    account.command("run", "--study", study, "--pipeline", "users")
    assert account.command("mark", "interim", "--study", study).code == 0
    in_open, _ = stores(account)
    assert f"users/{study}" not in {each.artifact for each in in_open.marks()[0].versions}


def test_after_a_command_that_was_killed_between_the_stores_the_mark_is_set_again(account, studies):
    study = studies[0]
    account.command("run", "--study", study)
    account.command("mark", "interim", "--study", study)
    in_open, restricted = stores(account)
    in_open.remove_mark("interim", study=study)
    assert "only in the restricted store" in account.command("marks").out
    assert account.command("mark", "interim", "--study", study).code == 0
    assert "only in" not in account.command("marks").out
    assert len(restricted.marks()) == len(in_open.marks()) == 1


def test_a_mark_that_the_open_store_refuses_is_set_in_neither(account, studies):
    study = studies[0]
    account.command("run", "--study", study)
    in_open, restricted = stores(account)
    version = in_open.manifest(f"sites/{study}").content.sha256
    in_open.mark("interim", {f"sites/{study}": version}, study=study)
    assert account.command("mark", "interim", "--study", study).code == 1
    assert restricted.marks() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["2026-03-31", "--all"], "is also a moment in ISO 8601"),
        (["a/b", "--all"], "holds '/'"),
        (["interim"], "Give --study KEY"),
        (["interim", "--study", "ONC-3O1"], "is not a known study. Did you mean ONC-301?"),
    ],
)
def test_what_cannot_be_marked_is_refused_before_anything_is_marked(account, arguments, said):
    account.know("ONC-301")
    done = account.command("mark", *arguments)
    assert done.code == 2
    assert said in done.err


def test_a_study_that_never_ran_and_a_mark_that_is_not_there_are_named(account):
    account.know("ONC-301")
    done = account.command("mark", "interim", "--study", "ONC-301")
    assert (done.code, done.out) == (1, "")
    assert "Study ONC-301 can't be marked: it has never been run." in done.err
    unknown = account.command("mark", "interim", "--study", "ONC-301", "--run", RUN)
    assert f"no run has the ID {RUN}" in unknown.err
    removed = account.command("marks", "remove", "interim")
    assert removed.code == 2
    assert "there is no mark interim. Nothing was removed." in removed.err
