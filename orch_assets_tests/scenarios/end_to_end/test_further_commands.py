"""``orch-assets check`` and ``orch-assets failures``: what people ask before and after a run."""

import pytest

from orch_assets.cli import main
from orch_assets.definitions import defs
from orch_assets.defs.partitions import range_tags
from orch_assets.defs.runs.abandoned_runs import close_run
from orch_assets_tests.scenarios.deploying.test_remote_launchers import EACH_MACHINE
from orch_assets_tests.support.alert_receivers import mail_server, webhook


def test_check_says_that_a_run_could_begin_and_runs_nothing(account):
    done = account.command("check")
    assert done.code == 0, done.said
    lines = done.out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "ok     Dagster home", "ok     pipelines", "ok     stores", "ok     registry",
        "ok     request limit", "ok     alerts",
    ]  # fmt: skip
    assert lines[3].endswith("; 3 studies are selected")
    assert lines[4].startswith("ok     request limit: one for all processes, by files in ")
    assert lines[5] == "ok     alerts: off; ORCH_STALE_AFTER isn't set"
    assert account.known == []
    assert account.runs() == []


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"IMEDNET_API_KEY": "planted"}, "registry: RegistryRefusedError: "),
        ({"ORCH_STORE": "~nosuchuser/x"}, "stores: StoreAddressError: ORCH_STORE: "),
        ({"IMEDNET_WHITELIST": "NOBODY"}, "registry: NoStudiesError: "),
        ({"ORCH_ALERT_WEBHOOK": "http://x.example/planted"}, "alerts: SettingError: ORCH_ALERT"),
        ({"ORCH_STUDIES_FILE": "/missing.yaml"}, "pipelines: SettingError: ORCH_STUDIES_FILE"),
        ({"ORCH_MIN_CELL": "few"}, "pipelines: SettingError: ORCH_MIN_CELL must be a whole"),
        ({"ORCH_STALE_AFTER": "soon"}, "alerts: SettingError: ORCH_STALE_AFTER is 'soon'"),
    ],
)
def test_check_goes_on_and_ends_with_2_where_something_is_wrong(account, settings, wrong):
    done = account.command("check", **settings)
    assert done.code == 2, done.said
    bad = [line for line in done.out.splitlines() if line.startswith("wrong")]
    assert [line.removeprefix("wrong  ")[: len(wrong)] for line in bad] == [wrong]
    assert len(done.out.splitlines()) == 6
    assert "planted" not in done.said


def test_check_says_what_does_not_fit_to_runs_on_other_machines(account, tmp_path):
    with (account.home / "dagster.yaml").open("a") as settings:
        settings.write("run_launcher: {module: dagster_celery, class: CeleryRunLauncher}\n")
    done = account.command("check")
    start = "wrong  stores: SettingError: ORCH_STORE is not set, but CeleryRunLauncher starts runs"
    assert (done.code, done.out.splitlines()[2][: len(start)]) == (2, start)
    done = account.command("check", ORCH_STORE=str(tmp_path / "shared"))
    start = "ok     stores: can be written and read; ORCH_STORE is a folder, and CeleryRunLauncher"
    assert (done.code, done.out.splitlines()[2][: len(start)]) == (0, start)
    assert done.out.splitlines()[4].split("; ")[1] == EACH_MACHINE
    done = account.command(
        "check", ORCH_STORE=str(tmp_path / "shared"), ORCH_REQUEST_LIMITER="files"
    )
    start = "wrong  request limit: SettingError: ORCH_REQUEST_LIMITER is files, but CeleryRunLaunch"
    assert (done.code, done.out.splitlines()[4][: len(start)]) == (2, start)


def test_a_command_runs_nothing_where_the_launcher_would_name_its_run_dead(account, tmp_path):
    """The launcher isn't created: ECS' would need its cluster's network."""
    with (account.home / "dagster.yaml").open("a") as settings:
        settings.write("run_launcher: {module: dagster_aws.ecs, class: EcsRunLauncher}\n")
    done = account.command("run", ORCH_STORE=str(tmp_path / "shared"))
    assert done.code == 2
    assert done.err == (
        "OrchestratorError: `orch-assets run` executes runs in its own process, but EcsRunLauncher "
        "takes each run that it hasn't started for dead. Nothing was run. Launch the job "
        "study_pipelines in the UI, or let its schedule or the study sensor do so.\n"
    )
    assert (account.known, account.runs()) == ([], [])


def test_check_sends_a_test_message_to_each_receiver(account):
    with webhook(200, 500) as hook, mail_server() as (mails, port):
        settings = {
            "ORCH_ALERT_WEBHOOK": hook.url,
            "ORCH_ALERT_EMAIL": "one@example.com,two@example.com",
            "ORCH_ALERT_SENDER": "orch@example.com",
            "ORCH_ALERT_SMTP": f"smtp+plain://127.0.0.1:{port}",
            "ORCH_STALE_AFTER": "36h",
        }
        done = account.command("check", "--alerts", **settings)
        assert done.code == 0, done.said
        assert done.out.splitlines()[5:] == [
            "ok     alerts: a webhook (json) and 2 e-mail addresses; a study is stale after 36 h",
            "ok     test message, webhook: was taken",
            "ok     test message, e-mail: was taken",
        ]
        assert [each["title"] for each in hook.taken] == ["This is a test"]
        assert mails.taken[0]["Subject"] == "[orch-assets] This is a test"
        done = account.command("check", "--alerts", **settings)
        assert done.code == 2
        assert "answered with status 500" in done.out
        assert "PLANTED" not in done.said


def test_a_test_message_needs_a_receiver(account):
    done = account.command("check", "--alerts")
    assert done.code == 2
    assert "ORCH_ALERT_WEBHOOK or ORCH_ALERT_EMAIL must be set" in done.out


def test_failures_shows_each_cause_with_its_report_and_a_study_one_by_one(account):
    first, second, _ = account.server.registry.study_keys()
    before = account.command("failures").out
    assert before == "No studies have been run yet. Start with `orch-assets run`.\n"
    account.server.registry.forbid_study(second)
    ran = account.command("run")
    assert ran.code == 1
    done = account.command("failures")
    assert done.code == 0
    (cause,) = done.out.strip().split("\n- ")
    assert cause.startswith("- RegistryRefusedError: ")
    assert cause in ran.out  # as the run itself said
    assert f"study: {second}" in cause
    assert "failure report (the first of 5): " in cause
    own = account.command("failures", "--study", second).out
    assert own.count("failure report: ") == 5
    assert "UpstreamFailed" in own
    run_id = account.runs()[-1].run_id
    assert account.command("failures", "--run", run_id, "--study", first).out == (
        f"No pipeline failed for study {first}.\n"
    )
    near = account.command("failures", "--study", f"{first}X")
    assert near.code == 2
    assert f"{first}X is not a known study. Did you mean {first}?" in near.err
    unknown = account.command("failures", "--run", "nothing")
    assert unknown.code == 2
    assert "No run has the ID nothing." in unknown.err


def test_failures_shows_what_a_run_that_ended_early_lacks(account):
    """Its process is gone, it was cancelled, or it is in progress: no study of it has an event."""
    account.know("A")
    job = defs.resolve_job_def("study_pipelines")
    with account.instance() as real:
        run = real.create_run_for_job(job, tags=range_tags("A", "A"))
    of_run = f"Run {run.run_id}"
    in_progress = f"{of_run} is in progress: studies may still fail.\n"
    assert account.command("failures").out == in_progress
    with account.instance() as real:
        close_run(real, run.run_id)
    shown = account.command("failures").out.splitlines()
    assert shown[:2] == ["- RunEnded: the run ended before this study did", "  study: A"]
    of_study = account.command("failures", "--study", "A").out
    assert "- records: RunEnded: the run ended before this study did\n" in of_study
    with account.instance() as real:
        cancelled = real.create_run_for_job(job, tags=range_tags("A", "A"))
        real.report_run_canceled(cancelled)
    assert account.command("failures").out == (
        f"Run {cancelled.run_id} was cancelled. Studies that hadn't ended have no result of it.\n"
    )
    earlier = account.command("failures", "--run", run.run_id).out
    assert earlier == f"{of_run} (study_pipelines) failed. See the run's log in the UI.\n"


@pytest.mark.parametrize(
    "command", ["run", "runs", "studies", "failures", "export", "verify", "check", "demo-server"]
)
def test_each_command_explains_itself_without_settings(command, capsys, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert main([command, "--help"]) == 0
    assert f"Usage: orch-assets {command}" in capsys.readouterr().out


def test_results_shows_every_study_by_state_and_why_some_failed(account):
    """A file has no color and no stairs; without a run, it says how to begin."""
    before = account.command("results")
    assert (before.code, before.out) == (
        0,
        "No studies have been run yet. Start with `orch-assets run`.\n",
    )
    first, second, third = account.server.registry.study_keys()
    account.server.registry.forbid_study(second)
    account.command("run", "--pipeline", "sites", "--pipeline", "forms")
    done = account.command("results")
    lines = done.out.splitlines()
    assert done.code == 0
    assert lines[0].startswith("3 studies × ")
    assert ": 2 failed, 4 recent, " in lines[0]
    cells = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    assert (cells[first].count("0h"), cells[third].count("0h")) == (2, 2)
    assert cells[second].count("✗") == 2
    assert "Why studies failed:" in lines
    (run,) = account.runs()
    assert f"  newest run: {run.run_id}" in lines
    assert any(line.startswith("  failure report (the first of 2): file://") for line in lines)
