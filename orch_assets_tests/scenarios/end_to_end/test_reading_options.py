"""``run --full`` and ``--accept-other-registry``: tags of the runs, which the UI can set, too."""

import dagster as dg
import pytest

from orch_assets.commands.run import _print_interruption
from orch_assets.defs.runs.command_runs import PlannedRun
from orch_assets.defs.runs.reading_options import ReadingOptions
from orch_assets.defs.settings.command_settings import CommandSettings
from orch_assets.errors import OrchestratorArgumentError
from orch_assets.orchestration.pipeline import study_pipeline
from orch_assets_tests.support.harness import definitions, execute, failure_text, instance

FULL = {"orch_assets/full": "true"}
OTHER = {"orch_assets/accept_other_registry": "true"}


def options_of(run):
    return {name: tag for name, tag in run.tags.items() if name in FULL | OTHER}


@pytest.mark.parametrize(
    ("arguments", "tags"),
    [
        ((), {}),
        (("--full",), FULL),
        (("--accept-other-registry",), OTHER),
        (("--accept-other-registry", "--full"), FULL | OTHER),
    ],
)
def test_the_options_of_the_command_are_tags_of_its_runs(account, arguments, tags):
    first, _, third = account.server.registry.study_keys()
    account.know(*account.server.registry.study_keys())
    studies = ("--study", first, "--study", third)
    done = account.command("run", "--pipeline", "sites", *studies, *arguments)
    assert done.code == 0, done.said
    assert [options_of(run) for run in account.runs()] == [tags, tags]


def test_a_resumed_run_reads_as_the_run_that_failed_and_may_read_more(account):
    _, second, _ = account.server.registry.study_keys()
    account.server.registry.forbid_study(second)
    assert account.command("run", "--pipeline", "sites", "--full").code == 1
    assert account.command("run", "--failed").code == 1
    account.server.registry.allow_study(second)
    done = account.command("run", "--failed", "--accept-other-registry")
    assert done.code == 0, done.said
    assert [options_of(run) for run in account.runs()] == [FULL, FULL, FULL | OTHER]


def test_what_an_interrupted_command_did_not_start_is_started_with_the_same_options(capsys):
    """Runs that ``run --failed`` left may differ in their options."""
    config = {"sites": {"days": 14, "arms": ["a", "b c"], "strict": True, "since": None}}
    settings = CommandSettings({"study_graph": {"config": config}})
    sites = frozenset({dg.AssetKey("sites"), dg.AssetKey("forms")})
    rest = [
        PlannedRun(["A", "B"], "job", sites, reading=ReadingOptions(True, True), settings=settings),
        PlannedRun(["C"], "job"),
        PlannedRun(["E"], "job"),
    ]
    _print_interruption("1 of 3", rest)
    assert capsys.readouterr().err.endswith(
        "Not started yet: `orch-assets run --study A --study B --pipeline forms --pipeline sites "
        "--full --accept-other-registry --set sites.days=14 --set 'sites.arms=a,b c' "
        "--set sites.strict=true --set sites.since=null`.\n"
        "Not started yet: `orch-assets run --study C --study E`.\n"
    )


def test_a_tag_with_another_value_fails_the_run_before_any_study(tmp_path):
    @study_pipeline
    def work(study_key, sdk, study_logger):
        return 1

    job = definitions(tmp_path, work).resolve_job_def("everything")
    with instance("A") as real:
        tags = {"dagster/partition": "A", "orch_assets/full": "yes"}
        result = job.execute_in_process(instance=real, tags=tags, raise_on_error=False)
        assert not result.success
        said = failure_text(real, real.get_run_by_id(result.run_id))
    assert "The run's tag orch_assets/full must be true or false." in said
    with pytest.raises(OrchestratorArgumentError):
        ReadingOptions.of({"orch_assets/accept_other_registry": ""})
    assert ReadingOptions.of({"orch_assets/full": " True "}) == ReadingOptions(read_whole=True)


@pytest.mark.parametrize("tags", [{}, FULL, OTHER])
def test_an_incremental_pipeline_is_told_how_to_read(tags, tmp_path):
    told = []

    @study_pipeline(incremental=True)
    def work(study_key, sdk, study_logger, *, previous=None):
        import pandas as pd

        told.append(previous and (previous.read_whole, previous.accept_other_registry))
        return pd.DataFrame({"n": [1]})

    defs = definitions(tmp_path, work)
    with instance("A") as real:
        assert execute(defs, real, "A").is_success
        job = defs.resolve_job_def("everything")
        job.execute_in_process(instance=real, tags={"dagster/partition": "A", **tags})
    assert told == [None, (tags == FULL, tags == OTHER)]
