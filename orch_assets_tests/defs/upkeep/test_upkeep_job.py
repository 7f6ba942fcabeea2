"""The job and the command ``upkeep`` over both stores and Dagster, and when the job runs."""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from orch_assets.defs.location.code_location import build_definitions
from orch_assets.defs.location.location_settings import LocationSettings
from orch_assets.defs.upkeep.keep_days import KeepDays
from orch_assets.defs.upkeep.whole_upkeep import Upkeep, in_words
from orch_assets.errors import SettingError
from orch_assets.stores import PipelineStore, open_store
from orch_assets.stores.backends.base import TemporaryPart
from orch_assets.stores.backends.local import LocalDisk
from orch_assets.stores.maintenance.upkeep_terms import Cutoffs
from orch_assets_tests.support.processes import Home

RUN = "0b3c8f5e-1111-4222-8333-444455556666"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in [each for each in os.environ if each.startswith(("ORCH_", "IMEDNET_"))]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    made = Home(folder, {"ORCH_REGISTRY": "demo"})
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


def stores(home: Home) -> tuple[PipelineStore, PipelineStore]:
    artifacts = home.folder / "artifacts"
    return open_store(artifacts), open_store(artifacts / "restricted", private=True)


def fill(home: Home) -> None:
    """Store what is old: one surplus manifest in each store, and a failure report."""
    in_open, restricted = stores(home)
    for store in (in_open, restricted):
        for _ in range(3):
            store.publish_json({"n": 1}, "x/ONC-301")
    restricted.publish_json({"message": "secret"}, f"failures/{RUN}/labs/ONC-301")


def all_is_old() -> Cutoffs:
    later = datetime.now(UTC) + timedelta(hours=1)
    return Cutoffs(manifests=later, reports=later, leftovers=later - timedelta(days=7))


def test_each_store_is_kept_up_once_and_a_dry_run_says_the_same(home: Home) -> None:
    """The restricted store lies inside the open one."""
    fill(home)
    with home.instance() as instance:
        planned = [str(e) for e in Upkeep(instance, stores(home), dry_run=True).run(all_is_old())]
        done = [str(e) for e in Upkeep(instance, stores(home)).run(all_is_old())]
        assert [*Upkeep(instance, stores(home)).run(all_is_old())] == []
    assert [each.replace("would remove", "removed") for each in planned] == done
    assert [(each["from"], each["removed"], each["count"]) for each in map(json.loads, done)] == [
        ("restricted store", "manifests", 1),
        ("restricted store", "failure reports", 4),
        ("open store", "manifests", 1),
    ]
    assert all("secret" not in each for each in done)
    assert stores(home)[0].verify() == []


def test_the_command_keeps_what_is_young(home: Home) -> None:
    fill(home)
    done = home.run_here("upkeep", "--dry-run")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Nothing is old.\n", "")
    assert home.run_here("upkeep").stdout == "Nothing is old.\n"


def test_the_command_removes_and_says_what(home: Home) -> None:
    """Here a file that a killed process left; the rest of its output is that of the job."""
    fill(home)
    spool = home.folder / "artifacts" / ".orch-spool" / ("0" * 32)
    spool.write_bytes(b"12345")
    old = time.time() - 8 * 86_400
    os.utime(spool, (old, old))
    dry = home.run_here("upkeep", "--dry-run").stdout.splitlines()
    assert spool.exists()
    first, last = home.run_here("upkeep").stdout.splitlines()
    assert not spool.exists()
    assert json.loads(first) == {
        "removed": "temporary parts",
        "from": "open store",
        "count": 1,
        "bytes": 5,
        "size": "5 B",
    }
    assert last == "Removed: 1 things, 5 B."
    assert dry == [first.replace("removed", "would remove"), "To remove: 1 things, 5 B."]


def test_a_store_that_cant_be_read_keeps_nothing_else_from_being_done(home: Home) -> None:
    fill(home)
    in_open, restricted = stores(home)
    in_open.mark("m", {"x/ONC-301": in_open.versions("x/ONC-301", kind="json")[0].content.sha256},
                 study="ONC-301")  # fmt: skip
    (mark,) = home.folder.glob("artifacts/.orch/_marks/*/*")
    mark.write_text("damaged")
    with home.instance() as instance:
        upkeep = Upkeep(instance, (in_open, restricted))
        lines = [json.loads(str(each)) for each in upkeep.run(all_is_old())]
    assert [(each["from"], each["removed"]) for each in lines] == [
        ("restricted store", "manifests")
    ]
    no_run, no_open = upkeep.problems
    assert no_run.startswith("No run was removed. ")
    assert no_open.startswith("open store: ")


def test_the_job_runs_in_a_real_instance(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(home)
    job = build_definitions().resolve_job_def("upkeep")
    with home.instance() as instance:
        done = job.execute_in_process(instance=instance)
        assert done.success
        said = [entry.user_message for entry in instance.all_logs(done.run_id)]
        assert "Nothing is old." in said
        monkeypatch.setenv("ORCH_KEEP_DAYS", "0")
        failed = job.execute_in_process(instance=instance, raise_on_error=False)
        assert not failed.success


def test_the_schedule_is_off_until_the_setting_says_when() -> None:
    def schedule(upkeep: str | None) -> dg.ScheduleDefinition:
        defs = build_definitions(settings=LocationSettings(upkeep=upkeep))
        return defs.resolve_schedule_def("daily_upkeep")

    off, on = schedule(None), schedule("30 2 * * * Europe/Berlin")
    assert off.default_status == dg.DefaultScheduleStatus.STOPPED
    assert on.default_status == dg.DefaultScheduleStatus.RUNNING
    assert (on.cron_schedule, on.execution_timezone) == ("30 2 * * *", "Europe/Berlin")
    with pytest.raises(SettingError, match="ORCH_UPKEEP is 'never'"):
        LocationSettings(upkeep="never")


def test_days_are_settings_and_versions_stay_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", "MANIFEST_", "VERSION_"):
        monkeypatch.delenv(f"ORCH_KEEP_{name}DAYS", raising=False)
    monkeypatch.delenv("ORCH_STALE_AFTER", raising=False)
    now = datetime(2026, 3, 31, tzinfo=UTC)

    def ages(cutoffs: Cutoffs) -> list[int | None]:
        moments = (cutoffs.reports, cutoffs.manifests, cutoffs.versions, cutoffs.leftovers)
        return [(now - each).days if each else None for each in moments]

    assert ages(KeepDays.from_environment().cutoffs(now)) == [90, 7, None, 7]
    monkeypatch.setenv("ORCH_KEEP_DAYS", "30")
    monkeypatch.setenv("ORCH_KEEP_MANIFEST_DAYS", "2")
    monkeypatch.setenv("ORCH_KEEP_VERSION_DAYS", "365")
    assert ages(KeepDays.from_environment().cutoffs(now)) == [30, 2, 365, 7]
    monkeypatch.setenv("ORCH_STALE_AFTER", "45d")
    assert ages(KeepDays.from_environment().cutoffs(now))[0] == 45


def test_while_a_run_is_under_way_no_version_is_removed(home: Home) -> None:
    in_open, restricted = stores(home)
    for number in (1, 2):
        in_open.publish_json(number, "x/ONC-301")
    later = datetime.now(UTC) + timedelta(hours=1)
    cutoffs = Cutoffs(manifests=later, versions=later, reports=later, leftovers=later)
    (home.folder / "tmp").mkdir()
    job = build_definitions().resolve_job_def("upkeep")
    with home.instance() as instance:
        run = instance.create_run_for_job(job)
        busy = Upkeep(instance, (in_open, restricted))
        assert [*busy.run(cutoffs)] == []
        assert busy.problems
        own = Upkeep(instance, (in_open, restricted), own_run=run.run_id)
        assert [each.freed.kind for each in own.run(cutoffs)] == ["versions"]


def test_a_run_that_ended_meanwhile_keeps_versions(home: Home) -> None:
    """It may rely on a version that was found to be old before."""
    fill(home)
    in_open, _ = stores(home)
    in_open.publish_json({"n": 2}, "x/ONC-301")
    later = datetime.now(UTC) + timedelta(hours=1)
    cutoffs = Cutoffs(manifests=later, versions=later, leftovers=later)
    (home.folder / "tmp").mkdir()
    job = build_definitions().resolve_job_def("upkeep")
    with home.instance() as instance:
        upkeep = Upkeep(instance, stores(home))
        lines = upkeep.run(cutoffs)
        first = next(lines)
        instance.report_run_failed(instance.create_run_for_job(job))
        others = [*lines]
    assert (first.place, others) == ("restricted store", [])
    assert upkeep.problems[0].startswith("open store: Some versions")


def test_an_unforeseen_error_ends_only_its_part(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its text isn't told; and what the part removed before is."""
    fill(home)
    their = LocalDisk.temporary_parts

    def failing(disk: LocalDisk, folder: str, before: datetime) -> Iterator[TemporaryPart]:
        if disk.uri("").rstrip("/").endswith("restricted"):
            raise RuntimeError("secret")
        return their(disk, folder, before)

    monkeypatch.setattr(LocalDisk, "temporary_parts", failing)
    with home.instance() as instance:
        upkeep = Upkeep(instance, stores(home))
        lines = [*upkeep.run(all_is_old())]
    assert [(each.place, each.freed.kind) for each in lines] == [
        ("restricted store", "manifests"),
        ("restricted store", "failure reports"),
        ("open store", "manifests"),
    ]
    assert upkeep.problems == ["restricted store: It failed with RuntimeError."]


def test_sizes_are_written_for_people() -> None:
    sizes = (0, 999, 1000, 1_234_567, 65_000_000_000, 7e15)
    assert [in_words(each) for each in sizes] == [
        "0 B", "999 B", "1.0 KB", "1.2 MB", "65.0 GB", "7000.0 TB",
    ]  # fmt: skip
