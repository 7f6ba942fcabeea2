"""``orch-assets run --pipeline`` runs the named pipelines instead of all."""

import dagster as dg
import pytest

from orch_assets_tests.support.harness import in_state, materializations


def test_only_the_named_pipelines_run_and_only_for_the_named_study(account):
    _, second, _ = account.server.registry.study_keys()
    done = account.command("run", "--pipeline", "forms", "--pipeline", "sites", "--study", second)
    assert done.code == 0, done.said
    with account.instance() as real:
        for pipeline in ("forms", "sites"):
            assert in_state(real, pipeline, "MATERIALIZED") == [second], pipeline
        assert not materializations(real, "subjects")
    (run,) = account.runs()
    assert run.asset_selection == {dg.AssetKey("forms"), dg.AssetKey("sites")}
    header = next(line for line in done.out.splitlines() if "sites" in line)
    assert header.split() == ["study", "forms", "sites"]


def test_a_pipeline_that_runs_on_request_runs_by_its_name(account):
    done = account.command("run", "--pipeline", "users")
    assert done.code == 0, done.said
    studies = account.server.registry.study_keys()
    with account.instance() as real:
        assert in_state(real, "users", "MATERIALIZED") == studies


def test_a_named_pipeline_takes_the_stored_results_of_its_upstreams(account):
    first, *_ = account.server.registry.study_keys()
    upstreams = ("forms", "records", "variables")
    missing = account.command("run", "--study", first, "--pipeline", "form_tables")
    assert missing.code == 1, missing.said
    hint = f"Nothing is stored as {{}}/{first}: materialize it first."
    assert any(hint.format(name) in missing.out for name in upstreams), missing.said
    named = [argument for name in upstreams for argument in ("--pipeline", name)]
    assert account.command("run", "--study", first, *named).code == 0
    done = account.command("run", "--study", first, "--pipeline", "form_tables")
    assert done.code == 0, done.said
    with account.instance() as real:
        assert in_state(real, "form_tables", "MATERIALIZED") == [first]


def test_what_failed_of_the_named_pipelines_is_re_executed_alone(account):
    first, second, third = account.server.registry.study_keys()
    account.server.registry.forbid_study(second)
    failed = account.command("run", "--pipeline", "sites")
    assert failed.code == 1, failed.said
    account.server.registry.allow_study(second)
    done = account.command("run", "--failed")
    assert done.code == 0, done.said
    with account.instance() as real:
        assert in_state(real, "sites", "MATERIALIZED") == [first, second, third]
        assert not materializations(real, "forms")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--pipeline", "sites", "--pipeline", "subject"),
            "Error: There is no pipeline subject. Did you mean subjects? Nothing was run.\n",
        ),
        (
            ("--failed", "--pipeline", "sites"),
            "what failed runs again with the settings of its run.\n",
        ),
    ],
)
def test_a_name_that_cannot_be_run_ends_the_command_before_anything_runs(account, arguments, said):
    done = account.command("run", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(said)
    assert "Traceback" not in done.err
    assert account.known == []
