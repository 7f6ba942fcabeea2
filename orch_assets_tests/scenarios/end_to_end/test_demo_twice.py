"""`make demo` twice: the second run reads an account that is a day older. Nothing else ages it."""

import pytest

from orch_assets import LocalPipelineStore
from orch_assets.defs.resources import RegistryResource
from orch_assets_tests.support.processes import Home

STUDY = "CARD-202"
TABLES = ("run", "--study", STUDY, "--pipeline", "variables", "--pipeline", "record_revisions")


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home", {"ORCH_REGISTRY": "demo"})


def days_of(home: Home) -> str | None:
    file = home.folder / "demo_days"
    return file.read_text() if file.exists() else None


def test_the_second_run_reads_what_a_day_changed(home):
    first, second = home.run_here(*TABLES), home.run_here(*TABLES)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "simulator's account" not in first.stdout
    assert "Day 1 of the simulator's account.\n" in second.stdout
    store = LocalPipelineStore(home.folder / "artifacts")
    before, after = (
        set(
            store.download(
                f"record_revisions/{STUDY}", version=each.content.sha256
            ).record_revision_id
        )
        for each in store.versions(f"record_revisions/{STUDY}")
    )
    assert before < after


def test_previews_and_reexecutions_begin_no_day(home):
    home.run_here("studies")
    assert days_of(home) is None
    assert home.run_here(*TABLES).returncode == 0
    for arguments in (("studies",), ("run", "--failed"), ("runs",), ("check",)):
        home.run_here(*arguments)
    assert days_of(home) == "0\n"


def test_a_resource_reads_the_day_of_its_home_when_it_connects(home, monkeypatch):
    """So the UI and the sensors see the account that the last run has read."""
    monkeypatch.setenv("DAGSTER_HOME", str(home.folder))

    def revisions(**fields: int) -> int:
        registry = RegistryResource(kind="demo", demo_studies=1, demo_subjects=5, **fields)
        try:
            (study,) = registry.sdk.studies.list()
            return len(list(registry.sdk.record_revisions.list(study.study_key)))
        finally:
            registry.close()

    (home.folder / "demo_days").write_text("20\n")
    later = revisions()
    (home.folder / "demo_days").write_text("0\n")
    assert revisions() < later
    assert revisions(demo_days=20) == later


def test_days_set_in_code_stay(home, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(home.folder))
    assert RegistryResource(kind="demo", demo_days=5).begin_demo_day() == 5
    assert days_of(home) is None


def test_without_a_home_the_account_has_lived_no_day(monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert RegistryResource(kind="demo").begin_demo_day() == 0
