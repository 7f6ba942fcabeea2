"""``study_alerts_sensor``, over real runs and a real webhook."""

import json

import dagster as dg
import pytest

from orch_assets.defs.alerts.alert_sensors import build_alerts_sensor
from orch_assets.defs.partitions import STUDIES_NAME, range_tags
from orch_assets.defs.runs import run_states
from orch_assets.errors import CredentialsError, SettingError, StudyLossError
from orch_assets_tests.defs.alerts.ticking import KEYS, Daemon, Location
from orch_assets_tests.support.alert_receivers import webhook
from orch_assets_tests.support.harness import execute, instance
from orch_assets_tests.support.statements import counted_statements

FORTY = [f"S{number:02}" for number in range(40)]


@pytest.fixture
def location(tmp_path):
    return Location(tmp_path)


@pytest.fixture
def hook(monkeypatch):
    for name in ("ORCH_ALERT_EMAIL", "ORCH_ALERT_FORMAT", "ORCH_STALE_AFTER"):
        monkeypatch.delenv(name, raising=False)
    with webhook() as receiver:
        monkeypatch.setenv("ORCH_ALERT_WEBHOOK", receiver.url)
        yield receiver


def titles(hook):
    return [each["title"] for each in hook.taken]


def three_causes():
    return {
        **dict.fromkeys(FORTY[:20], ValueError("planted value")),
        **dict.fromkeys(FORTY[20:35], KeyError("planted key")),
        **dict.fromkeys(FORTY[35:], ZeroDivisionError("planted")),
    }


def test_without_settings_the_sensor_skips_without_a_statement(monkeypatch):
    for name in ("ORCH_ALERT_WEBHOOK", "ORCH_ALERT_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    sensor = build_alerts_sensor(KEYS)
    with (
        instance() as real,
        dg.build_sensor_context(instance=real, cursor="old") as context,
        counted_statements() as statements,
    ):
        result = sensor(context)
    assert result.skip_reason.skip_message.startswith("Neither ORCH_ALERT_WEBHOOK nor")
    assert (result.cursor, statements) == ("", [])


def test_three_causes_over_forty_studies_are_three_alerts_and_one_recovered_each(location, hook):
    with instance(*FORTY) as real:
        daemon = Daemon(real)
        daemon.tick()
        location.failing = three_causes()
        run = execute(location.defs, real, FORTY[0], FORTY[-1])
        daemon.tick(60)
        daemon.tick(60)
        assert titles(hook) == [
            "20 studies failed: ValueError",
            "15 studies failed: KeyError",
            "5 studies failed: ZeroDivisionError",
        ]
        assert {each["run_id"] for each in hook.taken} == {run.run_id}
        location.failing = {}
        execute(location.defs, real, FORTY[0], FORTY[-1])
        daemon.tick(60)
        daemon.tick(60)
        assert titles(hook)[3:] == [f"Recovered: {title}" for title in titles(hook)[:3]]
        assert "planted" not in json.dumps(hook.taken)


def test_a_webhook_that_is_down_for_ten_minutes_gets_the_alerts_after(location, monkeypatch):
    with webhook() as hook:
        port = int(hook.url.split(":")[2].split("/")[0])
    monkeypatch.setenv("ORCH_ALERT_WEBHOOK", hook.url)
    with instance("S1", "S2") as real:
        daemon = Daemon(real)
        daemon.tick()
        location.failing = {"S1": ValueError(), "S2": KeyError()}
        execute(location.defs, real, "S1", "S2")
        for _ in range(10):
            said = daemon.tick(60)
            assert "2 alerts wait." in said
        assert "PLANTED" not in daemon.alerts
        location.failing = {}
        execute(location.defs, real, "S1", "S2")
        with webhook(port=port) as hook:
            for _ in range(10):
                daemon.tick(60)
    problems, ends = titles(hook)[:2], titles(hook)[2:]
    assert sorted(problems) == ["1 study failed: KeyError", "1 study failed: ValueError"]
    assert ends == [f"Recovered: {title}" for title in problems]


def test_what_happened_before_alerts_were_switched_on_is_no_news(location, hook):
    with instance("S1") as real:
        location.failing = {"S1": ValueError()}
        execute(location.defs, real, "S1")
        daemon = Daemon(real)
        daemon.tick()
        daemon.tick(60)
        assert titles(hook) == []
        execute(location.defs, real, "S1")
        daemon.tick(60)
        assert titles(hook) == ["1 study failed: ValueError"]


def test_a_retired_study_ends_its_causes_without_another_run(location, hook):
    with instance("S1", "S2") as real:
        daemon = Daemon(real)
        daemon.tick()
        location.failing = {"S1": ValueError()}
        execute(location.defs, real, "S1", "S2")
        daemon.tick(60)
        real.delete_dynamic_partition(STUDIES_NAME, "S1")
        daemon.tick(660)
        assert titles(hook)[1:] == ["Recovered: 1 study failed: ValueError"]


def test_studies_of_a_killed_run_are_a_cause_and_wait_for_the_run_that_mends_them(location, hook):
    with instance("S1", "S2") as real:
        daemon = Daemon(real)
        daemon.tick()
        job = location.defs.resolve_job_def("everything")
        tags = range_tags("S1", "S2")
        real.report_run_failed(real.create_run_for_job(job, tags=tags))
        daemon.tick(60)
        (alert,) = hook.taken
        assert alert["title"] == "2 studies failed: RunEnded"
        assert alert["lines"][:3] == [
            "RunEnded: the run ended before this study did",
            "2 studies: S1, S2",
            "2 pipelines: labs, visits",
        ]
        waiting = real.create_run_for_job(job, tags=tags)
        daemon.tick(660)
        assert len(hook.taken) == 1  # the other run has planned the studies, and not ended
        real.report_run_canceled(waiting)
        execute(location.defs, real, "S1", "S2")
        daemon.tick(60)
        assert titles(hook)[1:] == ["Recovered: 2 studies failed: RunEnded"]


def test_a_run_that_could_not_begin_is_told_with_the_reason(location, hook, monkeypatch):
    monkeypatch.setenv("ORCH_EXTRA_FIELDS", "maybe")
    with instance("S1") as real:
        daemon = Daemon(real)
        daemon.tick()
        execute(location.defs, real, "S1")
        daemon.tick(60)
        (alert,) = hook.taken
        assert alert["title"] == "1 study failed: RunEnded"
        assert "(SettingError: ORCH_EXTRA_FIELDS" in alert["lines"][0]


def test_a_cancelled_run_is_no_failure(location, hook):
    with instance("S1") as real:
        daemon = Daemon(real)
        daemon.tick()
        job = location.defs.resolve_job_def("everything")
        real.report_run_canceled(real.create_run_for_job(job, tags={"dagster/partition": "S1"}))
        daemon.tick(60)
        assert titles(hook) == []


def test_a_failed_tick_of_the_registry_is_told_with_the_text_of_our_own_errors(hook):
    with instance(*FORTY) as real:
        daemon = Daemon(real)
        daemon.registry_ticks()
        daemon.tick()
        daemon.registry_ticks(StudyLossError(FORTY[:9], 40))
        daemon.tick(60)
        daemon.tick(60)
        (alert,) = hook.taken
        assert alert["title"] == "study_registry_sensor failed: StudyLossError"
        assert alert["lines"][0].startswith("The registry lacks 9 of 40 known studies (S00, S01")
        daemon.registry_ticks(ValueError("planted value"))
        daemon.tick(60)
        daemon.registry_ticks()
        daemon.tick(60)
        assert titles(hook)[1:] == [
            "study_registry_sensor failed: ValueError",
            "Recovered: study_registry_sensor works again (ValueError)",
        ]
        assert "planted" not in json.dumps(hook.taken)


def test_an_error_that_only_bears_the_name_of_one_of_ours_is_not_quoted(hook):
    stranger = type("CredentialsError", (Exception,), {"__module__": "patients"})
    with instance() as real:
        daemon = Daemon(real)
        daemon.registry_ticks(stranger("planted value"))
        daemon.tick()
        daemon.registry_ticks(CredentialsError(["IMEDNET_API_KEY"]))
        daemon.tick(60)
        assert "planted" not in json.dumps(hook.taken)
        assert titles(hook) == ["study_registry_sensor failed: CredentialsError"]


def test_what_a_renamed_code_location_left_behind_is_not_looked_at(hook):
    with instance() as real:
        daemon = Daemon(real)
        daemon.registry_ticks(ValueError(), location="former", last_tick=1.0)
        daemon.registry_ticks(last_tick=2.0)
        daemon.tick()
        assert titles(hook) == []
        daemon.registry_ticks(KeyError(), last_tick=3.0)
        daemon.tick(60)
        assert titles(hook) == ["study_registry_sensor failed: KeyError"]


def test_missing_studies_are_told_and_their_return(hook):
    with instance("S1", "S2", "S3") as real:
        daemon = Daemon(real)
        daemon.registry_ticks(absences=["S1", "S2"])
        daemon.tick()
        daemon.registry_ticks(absences=["S2"])
        daemon.tick(60)
        daemon.registry_ticks()
        real.delete_dynamic_partition(STUDIES_NAME, "S2")
        daemon.tick(60)
        assert titles(hook) == [
            "2 studies are missing from iMednet",
            "Recovered: 1 study is listed by iMednet again",
            "Recovered: 1 missing study was retired",
        ]


def test_stale_studies_are_told_together_and_when_they_succeed_again(location, hook, monkeypatch):
    monkeypatch.setenv("ORCH_STALE_AFTER", "36h")
    with instance("S1", "S2") as real:
        daemon = Daemon(real)
        execute(location.defs, real, "S1", "S2")
        daemon.look_for_stale()
        daemon.tick()
        daemon.look_for_stale(hours=37)
        daemon.tick()
        daemon.tick(60)
        (alert,) = hook.taken
        assert alert["title"] == "2 studies without success for 36 h"
        assert alert["lines"] == ["S1, S2: labs, visits"]
        daemon.now -= 37 * 3600  # a success now is one after 37 hours
        execute(location.defs, real, "S1", "S2")
        daemon.look_for_stale(hours=1)
        daemon.tick()
        assert titles(hook)[1:] == ["Recovered: 2 studies have succeeded again"]
        monkeypatch.delenv("ORCH_STALE_AFTER")
        daemon.tick(60)
        assert len(hook.taken) == 2


def test_a_wrong_setting_fails_the_tick_and_is_named(monkeypatch):
    monkeypatch.setenv("ORCH_ALERT_WEBHOOK", "http://alerts.example.com/PLANTED-TOKEN")
    with instance() as real, pytest.raises(SettingError, match="ORCH_ALERT_WEBHOOK") as caught:
        Daemon(real).tick()
    assert "PLANTED" not in str(caught.value)


def test_the_statements_of_a_tick_do_not_grow_with_the_studies(location, hook):
    """A tick without news, and one that finds a failed run of two pipelines."""
    counts = []
    for studies in (FORTY[:2], FORTY):
        with instance(*studies) as real:
            daemon = Daemon(real)
            daemon.registry_ticks()
            daemon.tick()
            location.failing = dict.fromkeys(studies, ValueError())
            execute(location.defs, real, studies[0], studies[-1])
            with counted_statements() as found:
                daemon.tick(60)
            with counted_statements() as quiet:
                daemon.tick(60)
            counts.append((selects(found), selects(quiet)))
    assert counts[0] == counts[1]
    assert counts[0][0] <= 16
    assert counts[0][1] <= 8  # half of them are SQLAlchemy's look at the schema


def selects(statements):
    return sum(each.startswith("SELECT") for each in statements)


def test_a_failure_after_more_cancelled_runs_than_a_page_holds_is_told(location, hook, monkeypatch):
    monkeypatch.setattr(run_states, "_BATCH", 2)
    with instance("S1", "S2") as real:
        daemon = Daemon(real)
        daemon.tick()
        for _ in range(5):
            run = dg.DagsterRun(
                "everything", tags=range_tags("S1", "S2"), status=dg.DagsterRunStatus.CANCELED
            )
            real.run_storage.add_run(run)
        daemon.tick(60)
        location.failing = {"S1": ValueError("planted")}
        execute(location.defs, real, "S1", "S2")
        daemon.tick(60)
        daemon.tick(60)
        assert titles(hook) == ["1 study failed: ValueError"]


def test_the_events_of_a_run_that_never_began_are_not_read(location, hook):
    """A cancelled queue is thousands of them, and a tick must end in time."""
    with instance("S1") as real:
        daemon = Daemon(real)
        daemon.tick()
        counts = []
        for number in (1, 4):
            for _ in range(number):
                run = dg.DagsterRun(
                    "everything", tags=range_tags("S1", "S1"), status=dg.DagsterRunStatus.CANCELED
                )
                real.run_storage.add_run(run)
            with counted_statements() as statements:
                daemon.tick(60)
            counts.append(len(statements))
        assert counts[0] == counts[1]


def test_a_daemon_whose_clock_was_ahead_tells_what_fails_since(location, hook):
    with instance("S1") as real:
        daemon = Daemon(real)
        daemon.tick(86_400)
        location.failing = {"S1": ValueError("planted")}
        execute(location.defs, real, "S1")
        daemon.tick(-86_400)
        assert titles(hook) == ["1 study failed: ValueError"]
