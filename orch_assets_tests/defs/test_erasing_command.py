"""``orch-assets erase``: what it refuses, what it asks, and what it leaves of a study."""

import io
import json
import re
import shlex

import dagster as dg
import pyarrow as pa
import pytest
from dagster._core.test_utils import create_run_for_test

from orch_assets import LocalPipelineStore, SplitTable, study_pipeline
from orch_assets.cli import main
from orch_assets.defs.erasing.erasable import assets_over_studies, run_attribution
from orch_assets.defs.exports.account_export import ACCOUNT_KEY, build_account_export
from orch_assets.defs.exports.export_pipelines import export_pipelines
from orch_assets.defs.graph import build_study_graph
from orch_assets.defs.partitions import STUDIES_NAME, studies
from orch_assets.defs.study_results import RESULTS_KEY, build_study_results
from orch_assets.orchestration.pipeline import pipeline_of
from orch_assets.stores import ArtifactKind
from orch_assets_tests.contracts.store_erasing import Trial, content, holds_answer
from orch_assets_tests.contracts.store_places import Killed
from orch_assets_tests.support.harness import definitions, execute, instance

PLANTED = "planted answer"
STUDY, OTHER = "ONC-30", "ONC-301"


@study_pipeline
def form_tables(study_key, sdk, study_logger):
    """An open and a withheld part."""
    answer = PLANTED if study_key == STUDY else "another answer"
    tables = {"AE": pa.table({"answer": [answer]})}
    return SplitTable(tables, {"AE": pa.table({"arm": [answer]})})


@study_pipeline
def failing(study_key, sdk, study_logger):
    """A failure whose report quotes data."""
    raise ValueError(PLANTED if study_key == STUDY else "another answer")


OWN_LOCATION = """
import dagster as dg
from orch_assets import build_definitions

class Own(dg.IOManager):
    def handle_output(self, context, obj): ...
    def load_input(self, context): ...

defs = build_definitions(resources={"restricted_io_manager": Own()})
"""


class Site:
    """A location of these pipelines, an export, and both assets of the account."""

    def __init__(self, folder, real):
        self.folder, self.real = folder, real
        pipelines = [form_tables, failing, *export_pipelines(["csv"])]
        graph = build_study_graph([pipeline_of(each) for each in pipelines])
        self.account = [build_study_results(graph.keys), build_account_export()]
        keys = [RESULTS_KEY, ACCOUNT_KEY]
        plain = definitions(folder, *pipelines)
        self.defs = dg.Definitions(
            assets=[graph, *self.account],
            jobs=[
                dg.define_asset_job("everything", selection=[graph]),
                dg.define_asset_job("account", selection=keys),
            ],
            resources=plain.resources,
            executor=dg.in_process_executor,
        )

    def make_account(self):
        assert self.defs.resolve_job_def("account").execute_in_process(instance=self.real).success

    def objects(self):
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for root in ("artifacts", "restricted")
            for path in (self.folder / root).rglob("*")
            if path.is_file()
        }


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCH_STORE", str(tmp_path / "artifacts"))
    monkeypatch.setenv("ORCH_RESTRICTED_STORE", str(tmp_path / "restricted"))
    with instance(STUDY, OTHER) as real:
        found = Site(tmp_path, real)
        execute(found.defs, real, STUDY, OTHER)
        found.make_account()
        yield found


@pytest.fixture
def ready(site, monkeypatch):
    """The study is excluded and retired, and the account's assets are made without it."""
    monkeypatch.setenv("IMEDNET_BLACKLIST", STUDY)
    site.real.delete_dynamic_partition(STUDIES_NAME, STUDY)
    site.make_account()
    return site


def named(key):
    """Return whether a key is one of the study's objects."""
    names = {part.partition("~~")[0].partition(".")[0] for part in key.split("/")}
    return STUDY in names and "/erasures/" not in key


def test_it_says_what_must_be_done_first(site, capsys, monkeypatch):
    before = site.objects()
    assert main(["erase", "--study", STUDY, "--confirm", STUDY, "--confirm-again", "erase"]) == 1
    said = capsys.readouterr().out
    assert "The study filter selects ONC-30" in said
    assert "IMEDNET_BLACKLIST" in said
    assert f"`orch-assets studies retire {shlex.quote(STUDY)}`" in said
    assert "The current version of 'study_results' has rows of the study" in said
    assert "The current version of 'form_tables_duckdb' was made from form_tables/ONC-30" in said
    assert "Nothing was erased." in said
    assert "\ufdd0" not in said
    monkeypatch.setenv("IMEDNET_WHITELIST", OTHER)
    site.real.delete_dynamic_partition(STUDIES_NAME, STUDY)
    site.make_account()
    job = site.defs.resolve_job_def("everything")
    run = site.real.create_run_for_job(job, tags={"dagster/partition": STUDY})
    account = site.real.create_run_for_job(site.defs.resolve_job_def("account"))
    assert main(["erase", "--study", STUDY, "--dry-run"]) == 1
    said = capsys.readouterr().out
    assert f"Run {run.run_id} is unfinished" in said
    assert f"Run {account.run_id} is unfinished" in said  # it may have read the study before
    assert said.count("Refused") == 2
    site.real.report_run_canceled(run)
    site.real.report_run_canceled(account)
    assert main(["erase", "--study", STUDY, "--dry-run"]) == 0
    assert {key: site.objects().get(key) for key in before if named(key)} == {
        key: data for key, data in before.items() if named(key)
    }


def test_it_asks_twice_and_nothing_changes_without_the_right_answers(ready, capsys, monkeypatch):
    before = ready.objects()
    count = sum(map(named, before))
    for answers in ("", "yes\n", f"{OTHER}\nerase\n", f"{STUDY}\n", f"{STUDY}\ny\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(answers))
        assert main(["erase", "--study", STUDY]) == 1
        assert "othing was erased" in capsys.readouterr().err
    for options in (["--confirm", STUDY], ["--confirm-again", "erase"]):
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        assert main(["erase", "--study", STUDY, *options]) == 1
    assert main(["erase", "--study", STUDY, "--confirm", STUDY, "--confirm-again", "1"]) == 1
    assert main(["erase", "--study", "ONC-3", "--confirm", "ONC-3"]) == 2
    assert main(["erase", "--study", STUDY, "--certificate", "no/folder"]) == 2
    assert ready.objects() == before
    capsys.readouterr()
    assert main(["erase", "--study", STUDY, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert ready.objects() == before
    assert f"form_tables/{STUDY}: 1 version" in said
    assert "study_results: 1 version of the account, because each has rows of the study" in said
    (line,) = [line for line in said.splitlines() if line.startswith("Of study")]
    objects = int(line.partition(" versions, ")[2].partition(" objects")[0])
    assert objects > count
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{STUDY}\n{objects}\n"))
    assert main(["erase", "--study", STUDY]) == 0
    assert len(before) - len(ready.objects()) == objects - 8  # and four of each certificate


def test_nothing_of_the_study_is_left_and_the_certificate_says_what_went(ready, capsys):
    before = ready.objects()
    assert any(map(named, before))
    assert any(holds_answer(data) for data in before.values())
    open_store = LocalPipelineStore(ready.folder / "artifacts")
    stores = {"open": open_store, "restricted": LocalPipelineStore(ready.folder / "restricted")}
    with pytest.raises(Killed):
        Trial(stores, ready.folder).dying(9).erase(STUDY)
    assert main(["verify", str(ready.folder / "artifacts")]) == 1
    assert f"the erasure of study {STUDY} is unfinished: run `orch-ass" in capsys.readouterr().out
    options = ["--confirm", STUDY, "--confirm-again", "erase", "--certificate", "certificate.json"]
    assert main(["erase", "--study", STUDY, *options]) == 0
    said = capsys.readouterr().out
    after = ready.objects()
    assert not any(map(named, after))
    assert not any(map(holds_answer, after.values()))
    rest = [content(data) for key, data in after.items() if "/erasures/" not in key]
    assert re.search(rf"{STUDY}\b", "\n".join(map(content, before.values())))
    assert not re.search(rf"{STUDY}\b", "\n".join(rest))
    assert any("/failures/" in key for key in after)  # those of the other study
    assert all(before[key] == data for key, data in after.items() if "/erasures/" not in key)
    certificate = json.loads((ready.folder / "certificate.json").read_text())
    assert certificate == open_store.download_json(f"erasures/{STUDY}")
    artifacts = {each["artifact"] for store in certificate["stores"] for each in store["artifacts"]}
    run = next(each for each in artifacts if each.startswith("failures/"))
    assert artifacts == {
        f"form_tables/{STUDY}",
        f"form_tables_csv/{STUDY}",
        run,
        "study_results",
        "form_tables_duckdb",
    }
    assert [len(store["verified"]["faults"]) for store in certificate["stores"]] == [0, 0]
    assert len(certificate["runs"]) == 2
    assert "is unfinished. Still there:" in said
    assert "Certificate: file://" in said
    assert main(["verify", str(ready.folder / "artifacts")]) == 0
    assert open_store.exists(f"form_tables/{OTHER}", kind=ArtifactKind.SET)
    assert main(["erase", "--study", STUDY, "--dry-run"]) == 2
    assert capsys.readouterr().err.endswith(
        "The stores hold nothing of a study ONC-30. It was erased; its certificate is the artifact "
        "erasures/ONC-30.\n"
    )
    assert main(["erase", "--study", OTHER.lower(), "--dry-run"]) == 2
    assert f"Did you mean {OTHER}?" in capsys.readouterr().err
    foreign = ready.folder / f"artifacts/notes/{STUDY}/monitoring.txt"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("by hand")
    assert main(["erase", "--study", STUDY]) == 2
    said = capsys.readouterr()
    assert f"Stays, because no store wrote it: {foreign.as_uri()}" in said.out
    assert "hold nothing" not in said.err


def test_it_knows_which_assets_and_runs_are_over_studies():
    months = dg.StaticPartitionsDefinition(["2026-01", STUDY])
    sites = dg.DynamicPartitionsDefinition(name="sites")
    monthly = dg.MultiPartitionsDefinition({"month": months, "study": studies})
    definitions = {"by_site": sites, "monthly": monthly, "plain": None, "visits": studies}
    assets = [
        dg.asset(name=name, partitions_def=each)(lambda: None) for name, each in definitions.items()
    ]
    defs = dg.Definitions(assets=assets, jobs=[dg.define_asset_job("all", selection=["visits"])])
    over = assets_over_studies(defs)
    assert over == {"monthly": (1, 2), "visits": (0, 1)}
    with instance(STUDY, OTHER) as real:
        runs = {
            (name, key): create_run_for_test(
                real,
                tags={"dagster/partition": key} if key else {},
                asset_selection=frozenset({dg.AssetKey(name)}),
            ).run_id
            for name, key in (
                ("visits", STUDY),
                ("visits", OTHER),
                ("visits", ""),
                ("by_site", STUDY),
            )
        }
        is_of_run = run_attribution(real, STUDY, over)
        assert [is_of_run(each) for each in (*runs.values(), "removed")] == [
            True,
            False,
            None,
            None,
            None,
        ]


def test_an_io_manager_of_another_kind_is_named(tmp_path, monkeypatch, capsys):
    """It has the key of the restricted one, and a store that nobody here can read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCH_STORE", str(tmp_path / "artifacts"))
    (tmp_path / "own_location.py").write_text(OWN_LOCATION)
    monkeypatch.syspath_prepend(tmp_path)
    with instance():
        assert main(["--module", "own_location", "erase", "--study", STUDY]) != 0
    said = capsys.readouterr()
    assert "restricted_io_manager is an IO manager of your own" in said.out + said.err
