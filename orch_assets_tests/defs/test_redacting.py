"""A variable is blinded after runs that showed it: ``orch-assets redact`` on the shipped tables."""

from datetime import UTC, datetime

import dagster as dg
import pandas as pd
import pytest
from dagster._core.test_utils import create_run_for_test

from orch_assets import LocalPipelineStore, study_pipeline
from orch_assets.cli import main
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.errors import ArtifactReplacedError
from orch_assets.pipelines.codings import codings
from orch_assets.pipelines.form_tables import form_tables
from orch_assets.pipelines.forms import forms
from orch_assets.pipelines.intervals import intervals
from orch_assets.pipelines.queries import queries
from orch_assets.pipelines.record_changes import record_changes
from orch_assets.pipelines.record_revisions import record_revisions
from orch_assets.pipelines.records import records
from orch_assets.pipelines.variables import variables
from orch_assets.pipelines.visits import visits
from orch_assets.stores import ArtifactKind, derived_from
from orch_assets_tests.support.harness import execute, instance
from orch_assets_tests.support.planting import plant_open_terms
from orch_assets_tests.support.runs import location, small_pages

STUDY, OTHER = "ONC-301", "CARD-202"
PLANTED = "planted answer"
TABLES = ("codings", "queries", "record_changes", "record_revisions", "records", "visits")


@study_pipeline
def answers(study_key, sdk, study_logger, records):
    """A user's own table over the open one."""
    return records[["record_id", "record_data"]]


@study_pipeline
def note(study_key, sdk, study_logger, records):
    """A user's own value."""
    return [records["record_data"].iloc[0]]


@study_pipeline(incremental=True)
def answer_log(study_key, sdk, study_logger, records, *, previous=None):
    """A user's own table, with all answers that a record ever had."""
    rows = records[["record_id", "record_data"]]
    if previous is None or previous.read_whole:
        return rows
    earlier = previous.table.columns(rows.columns).to_pandas()
    return pd.concat([earlier, rows]).drop_duplicates(ignore_index=True)


PIPELINES = (
    variables, intervals, forms, records, codings, queries, record_revisions, record_changes,
    visits, form_tables, answers, note,
)  # fmt: skip


@pytest.fixture
def server():
    """Two studies whose variables are open; a value of AETERM is planted where it can be."""
    registry = DemoRegistry(studies=2, subjects=4)
    for study in (STUDY, OTHER):
        with registry.edit(study) as edit:
            plant_open_terms(edit, PLANTED, reason=PLANTED)
        for row in registry.rows("queries", study):
            changes = {"variable": "AETERM", "description": PLANTED}
            registry.update_row("queries", study, row["annotationId"], **changes)
    with DemoServer(registry) as running:
        yield running


class Site:
    def __init__(self, server, folder, real):
        self.server, self.folder, self.real = server, folder, real
        self.store = LocalPipelineStore(folder / "artifacts")

    def run(self, *select, full=False):
        defs = location(self.folder, small_pages(self.server), *PIPELINES)
        return execute(defs, self.real, STUDY, OTHER, select=select or None, full=full)

    def blind(self, name="AETERM"):
        with self.server.registry.edit(STUDY) as edit:
            row = edit.variables.find(formKey="AE", variableName=name)
            edit.variables.change(row["variableId"], blinded=True)

    def edit_records(self, text="again"):
        with self.server.registry.edit(STUDY) as edit:
            for row in [*edit.rows("records").values()]:
                if row["formKey"] == "AE" and not row["deleted"]:
                    edit.records.change(row["recordId"], {"AETERM": f"{PLANTED} {text}"})

    def shows(self, study=STUDY, as_of=None):
        """Return the artifacts that show the planted value."""
        texts = {
            name: str(self.store.download_table(f"{name}/{study}", as_of=as_of).to_pylist())
            for name in (*TABLES, "answers")
        }
        members = self.store.download_set_tables(f"form_tables/{study}", as_of=as_of)
        texts["form_tables"] = str({name: each.to_pylist() for name, each in members.items()})
        texts["note"] = str(self.store.download_json(f"note/{study}", as_of=as_of))
        return {name for name, text in texts.items() if PLANTED in text}


@pytest.fixture
def site(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCH_STORE", str(tmp_path / "artifacts"))
    with instance(STUDY, OTHER) as real:
        found = Site(server, tmp_path, real)
        assert found.run().is_success
        yield found


def stored(site):
    """Return every object of the open store with its bytes."""
    files = (path for path in (site.folder / "artifacts").rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files}


def test_without_yes_nothing_changes(site, capsys):
    site.blind()
    assert site.run().is_success
    before = stored(site)
    assert main(["redact"]) == 0
    said = capsys.readouterr().out
    assert stored(site) == before
    assert f"records/{STUDY}, version " in said
    assert "AE.AETERM: would be rewritten without them" in said
    assert f"answers/{STUDY}, version " in said
    assert "AE.AETERM: would be removed" in said
    assert "Nothing was changed." in said
    assert (OTHER in said, PLANTED in said) == (False, False)


def test_the_older_versions_are_redacted_and_nothing_else(site, capsys):
    site.edit_records()
    assert site.run().is_success
    moment = datetime.now(UTC)
    shown = site.shows()
    assert shown >= {"records", "record_changes", "record_revisions", "form_tables", "answers"}
    before = {name: site.store.download_table(f"{name}/{STUDY}") for name in TABLES}
    site.blind()
    assert site.run().is_success
    assert site.shows() == set()
    assert main(["redact", "--yes"]) == 0
    said = capsys.readouterr().out
    assert "Nothing was changed" not in said
    assert PLANTED not in said
    for name in TABLES:
        then = site.store.download_table(f"{name}/{STUDY}", as_of=moment)
        assert PLANTED not in str(then.to_pylist())
        kept = [column for column in then.column_names if then[column].equals(before[name][column])]
        assert len(kept) >= len(then.column_names) - 3 or name in {"codings", "record_changes"}
    members = site.store.download_set_tables(f"form_tables/{STUDY}", as_of=moment)
    assert {"AETERM", "AETERM_RAW"} & {*members["AE"].column_names} == set()
    assert "AESER" in members["AE"].column_names
    assert PLANTED not in str({name: each.to_pylist() for name, each in members.items()})
    assert site.shows(OTHER) == shown - {"record_changes"}  # nobody edited its records
    assert site.store.blinded_since() == []
    assert [each for each in site.store.verify() if not each.leftover] == []
    publication = site.store.manifest(f"records/{STUDY}", as_of=moment).publications[0]
    assert publication.redacted_variables == ("AE.AETERM",)
    assert main(["redact", "--yes"]) == 0
    assert "No open version" in capsys.readouterr().out
    changes = site.store.download_table(f"record_changes/{STUDY}").num_rows
    assert site.run().is_success
    after = site.store.download_table(f"record_changes/{STUDY}")
    assert after.num_rows == changes  # a redaction is no change
    assert "unknown" not in after["kind"].to_pylist()


def test_what_cant_be_rewritten_is_run_again_first(site, capsys):
    site.blind()
    assert site.run("variables", "records").is_success
    assert main(["redact", "--study", STUDY, "--yes"]) == 1
    said = capsys.readouterr().out
    (line,) = [line for line in said.splitlines() if line.startswith(f"answers/{STUDY}")]
    assert "(current)" in line
    assert "run its pipeline again" in line
    # What was current was rewritten, but for the user's own tables, and for what the next run of
    # record_changes reads.
    assert site.shows() - {"note"} == {"answers", "record_revisions"}
    assert site.run().is_success
    assert main(["redact", "--yes"]) == 0
    assert site.shows() == set()
    assert site.store.blinded_since() == []


def test_rows_that_a_users_pipeline_keeps_are_found_until_it_is_run_in_full(
    site, capsys, monkeypatch
):
    monkeypatch.setattr(f"{__name__}.PIPELINES", (*PIPELINES, answer_log))
    selected = ("variables", "records", "answer_log")
    assert site.run(*selected).is_success
    site.blind()
    assert site.run().is_success
    for _ in range(2):  # the next run keeps them, too
        capsys.readouterr()
        assert main(["redact", "--study", STUDY, "--yes"]) == 1
        lines = [each for each in capsys.readouterr().out.splitlines() if "answer_log" in each]
        assert ["(current)" in each for each in lines] == [False, True]
        assert "stays until what was made from it" in lines[0]
        assert "run its pipeline again (with --full" in lines[1]
        assert site.run(*selected).is_success
    assert site.run(*selected, full=True).is_success
    assert main(["redact", "--study", STUDY, "--yes"]) == 0
    assert PLANTED not in str(site.store.download_table(f"answer_log/{STUDY}").to_pylist())
    assert len(site.store.versions(f"answer_log/{STUDY}")) == 1
    assert site.store.blinded_since() == []


def test_the_history_is_moved_by_a_run_before_it_is_redacted(site, capsys):
    """What the run compares stays until then, so that no change is missed."""
    site.edit_records()
    assert site.run().is_success
    changes = site.store.download_table(f"record_changes/{STUDY}")
    site.edit_records("once more")
    site.blind()
    assert site.run("variables").is_success
    assert main(["redact", "--yes"]) == 1
    said = capsys.readouterr().out
    (line,) = [each for each in said.splitlines() if "record_changes" in each and "current" in each]
    assert "run its pipeline again" in line
    assert site.store.download_table(f"record_changes/{STUDY}").equals(changes)
    assert site.run().is_success
    assert main(["redact", "--yes"]) == 0
    assert site.shows() == set()
    assert site.store.blinded_since() == []
    moved = LocalPipelineStore(site.folder / "restricted").download_table(f"record_changes/{STUDY}")
    texts = moved["new_value"].to_pylist()
    assert changes.num_rows
    for text in ("again", "once more"):
        assert texts.count(f'"{PLANTED} {text}"') == changes.num_rows
    opened = site.store.download_table(f"record_changes/{STUDY}")
    assert "unknown" not in {*moved["kind"].to_pylist(), *opened["kind"].to_pylist()}


def test_another_study_and_marked_versions_stay(site, capsys):
    old = site.store.manifest(f"records/{STUDY}").content.sha256
    site.store.mark("interim", {f"records/{STUDY}": old}, study=STUDY)
    site.blind()
    assert site.run().is_success
    assert main(["redact", "--study", OTHER, "--yes"]) == 0
    assert site.store.manifest(f"records/{STUDY}", old)
    assert main(["redact", "--yes"]) == 1
    assert "is marked: use --marked" in capsys.readouterr().out
    assert PLANTED in str(
        site.store.download_table(f"records/{STUDY}", as_of="interim").to_pylist()
    )
    assert main(["redact", "--marked", "--yes"]) == 0
    assert PLANTED not in str(
        site.store.download_table(f"records/{STUDY}", as_of="interim").to_pylist()
    )


def test_the_restricted_store_and_the_values_in_it_stay(site):
    site.blind()
    assert site.run().is_success
    restricted = LocalPipelineStore(site.folder / "restricted")
    before = restricted.versions(f"records/{STUDY}")
    assert main(["redact", "--yes"]) == 0
    assert restricted.versions(f"records/{STUDY}") == before
    assert PLANTED in str(restricted.download_table(f"records/{STUDY}").to_pylist())
    assert site.store.versions(f"note/{STUDY}", kind=ArtifactKind.JSON)


def refuse(site, *names):
    """Publish the planted value where another version was published meanwhile."""
    table = site.store.download_table(f"records/{STUDY}")
    for name in names:
        with pytest.raises(ArtifactReplacedError):
            site.store.publish(table.slice(0, 5), name, replaces="0" * 64)
        with pytest.raises(ArtifactReplacedError):
            site.store.publish_set({"AE": table.slice(0, 6)}, name, replaces="0" * 64)


def test_what_never_took_effect_is_removed(site, capsys):
    """Nobody knows what was in it. Only what is another study's for certain stays."""
    names = (f"records/{STUDY}", f"form_tables/{STUDY}", "over_all_studies")
    refuse(site, *names, f"records/{OTHER}")
    (site.folder / "artifacts" / ".orch-spool" / ("0" * 32)).write_text(PLANTED)
    assert main(["redact"]) == 0  # nothing was blinded
    assert "No open version" in capsys.readouterr().out
    site.blind()
    assert site.run().is_success
    before = stored(site)
    assert main(["redact"]) == 0
    said = capsys.readouterr().out
    for name in names:
        assert f"{name}, left by publications that never took effect: would be removed (3)" in said
    assert "temporary parts, left by" in said
    assert (stored(site), OTHER in said) == (before, False)
    assert main(["redact", "--study", OTHER, "--yes"]) == 0
    assert stored(site) == before
    assert main(["redact", "--study", STUDY, "--yes"]) == 0
    assert main(["redact", "--yes"]) == 0
    assert "over_all_studies, left by" in capsys.readouterr().out
    left = {each.artifact for each in site.store.verify() if each.leftover}
    assert left == {f"records/{OTHER}"}
    assert [*(site.folder / "artifacts" / ".orch-spool").iterdir()] == []
    assert main(["redact"]) == 0
    assert "No open version" in capsys.readouterr().out


def test_while_a_run_is_under_way_it_stays(site, capsys):
    site.blind()
    assert site.run().is_success
    refuse(site, f"records/{STUDY}")
    run = create_run_for_test(site.real, status=dg.DagsterRunStatus.STARTED)
    assert main(["redact", "--yes"]) == 1
    assert "because runs are under way" in capsys.readouterr().err
    assert [each for each in site.store.verify() if each.leftover]
    site.real.delete_run(run.run_id)
    assert main(["redact", "--yes"]) == 0
    assert site.store.verify() == []


def test_a_table_of_other_columns_stays_and_is_named(site, capsys):
    """An earlier release may have stored it."""
    table = site.store.download_table(f"records/{STUDY}").drop_columns(["record_data"])
    with derived_from(site.store.manifest(f"records/{STUDY}").publications[-1].inputs):
        old = site.store.publish(table, f"records/{STUDY}").sha256
    site.blind()
    assert site.run().is_success
    assert main(["redact", "--yes"]) == 1
    said = capsys.readouterr().out
    (line,) = [line for line in said.splitlines() if "lacks a column" in line]
    assert line.startswith(f"records/{STUDY}, version {old[:12]}")
    assert site.store.manifest(f"records/{STUDY}", old)


def test_what_another_format_of_the_store_has_left_is_redacted_too(site, capsys, monkeypatch):
    """Its tables stay as they were when ORCH_STORE_FORMAT was changed, and are current for it."""
    monkeypatch.setenv("ORCH_STORE_FORMAT", "csv")
    assert site.run().is_success
    site.blind()
    assert site.run().is_success
    site.blind("AESER")
    assert site.run().is_success
    assert PLANTED in str(site.store.download_table(f"records/{STUDY}").to_pylist())
    main(["redact", "--yes"])
    assert site.shows() <= {"answers", "note"}
    capsys.readouterr()
    main(["redact"])
    said = capsys.readouterr().out
    assert "would be rewritten" not in said
    assert f"answers/{STUDY}" in said
    assert "can't be rewritten: run its pipeline again" in said
