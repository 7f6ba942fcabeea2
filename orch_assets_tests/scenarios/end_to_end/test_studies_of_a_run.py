"""Which studies `orch-assets run` is for: what was asked for is run, or named with its reason."""

import dagster as dg
import pytest

from orch_assets.defs.partitions import range_tags
from orch_assets_tests.scenarios.end_to_end.account import add_study_key
from orch_assets_tests.support.harness import in_state

# For tests that ask which studies were run: all pipelines of each take six times as long.
RUN = ("run", "--pipeline", "forms")


@pytest.fixture
def studies(account):
    return account.server.registry.study_keys()


# --- what can't be run ---


def test_refused_studies_are_named_with_their_reasons_and_the_others_run(account, studies):
    """Keys that can't be partitions make the exit code 1; a run says so first and last."""
    for key in ("AB,CD", "X/Y"):
        add_study_key(account.server, key)
    done = account.command("run")
    assert done.code == 1
    for key, text in (("AB,CD", ","), ("X/Y", "/")):
        sentence = f"Study key {key!r} holds {text!r}, which no partition key can carry."
        assert done.out.count(sentence) == 2
    assert "Every study succeeded" not in done.out
    assert "Every study that was run succeeded." in done.out
    with account.instance() as real:
        assert in_state(real, "forms", "MATERIALIZED") == studies


def test_a_refused_key_that_the_blacklist_names_is_no_failure(account):
    """A key with a comma is named by its pieces."""
    for key in ("AB,CD", "X/Y"):
        add_study_key(account.server, key)
    done = account.command(*RUN, IMEDNET_BLACKLIST="AB,CD,X/Y")
    assert (done.code, done.err) == (0, "")
    assert "Every study succeeded." in done.out
    assert "no study" not in done.out
    assert "names study" not in done.out


def test_a_whitelisted_key_that_does_not_exist_is_named_and_the_others_run(account, studies):
    done = account.command(*RUN, IMEDNET_WHITELIST=f"{studies[0]},{studies[1]}X")
    assert done.code == 1
    assert f"The whitelist names study {studies[1]}X, which is not in the registry." in done.out
    assert f"Did you mean {studies[1]}?" in done.out
    assert account.known == studies[:1]


def test_an_unknown_blacklist_key_is_a_warning_with_the_closest_known_key(account, studies):
    done = account.command(*RUN, IMEDNET_BLACKLIST=f"{studies[0].lower()},{studies[1]}")
    assert done.code == 0
    assert f"The blacklist names study {studies[0].lower()}, which is not" in done.out
    assert f"Did you mean {studies[0]}?" in done.out
    assert account.known == [studies[0], *studies[2:]]


def test_a_person_is_asked_before_studies_are_retired(account, studies):
    account.know(*studies)
    assert account.command("studies", "retire", studies[0], answer="n\n").code == 1
    assert account.known == studies
    assert account.command("studies", "retire", studies[0], answer="y\n").code == 0
    assert account.known == studies[1:]


# --- --study ---


@pytest.mark.parametrize(
    ("name", "setting", "sentence"),
    [
        ("X/Y", {}, "Study key 'X/Y' holds '/', which no partition key can carry."),
        ("TYPO", {}, "The registry has no study TYPO."),
        ("{first}-2", {}, "Did you mean {first}?"),
        ("{first}", {"IMEDNET_BLACKLIST": "{first}"}, "Unset IMEDNET_BLACKLIST to run it."),
        ("{first}", {"IMEDNET_WHITELIST": "{second}"}, "Unset IMEDNET_WHITELIST to run it."),
    ],
)
def test_a_named_study_that_cannot_be_run_is_exit_2_with_a_clear_sentence(
    account, studies, name, setting, sentence
):
    add_study_key(account.server, "X/Y")
    names = {"first": studies[0], "second": studies[1]}
    name, sentence = name.format(**names), sentence.format(**names)
    settings = {variable: value.format(**names) for variable, value in setting.items()}
    alone = account.command("run", "--study", name, **settings)
    assert (alone.code, alone.out.count("\n")) == (2, 1)
    assert sentence in alone.err
    assert account.known == []


def test_a_named_study_that_cannot_be_run_is_exit_1_beside_one_that_can(account, studies):
    done = account.command(*RUN, "--study", "TYPO", "--study", studies[1])
    assert done.code == 1
    assert "Not run: The registry has no study TYPO." in done.out
    assert account.known == studies[1:2]


def test_one_study_is_run_alone_and_added_if_it_is_new(account, studies):
    """Nobody else is added, run or retired; not even a registry that lost others stops it."""
    account.know("GONE-1", "GONE-2", studies[0])
    done = account.command(*RUN, "--study", studies[2])
    assert done.code == 0, done.err
    assert account.known == ["GONE-1", "GONE-2", studies[0], studies[2]]
    (run,) = account.runs()
    assert range_tags(studies[2], studies[2]).items() <= run.tags.items()
    assert studies[0] not in done.out


def test_studies_that_do_not_stand_together_are_each_run_and_nobody_between(account, studies):
    account.know(*studies)
    done = account.command(*RUN, "--study", studies[2], "--study", studies[0])
    assert done.code == 0, done.err
    with account.instance() as real:
        assert in_state(real, "forms", "MATERIALIZED") == [studies[0], studies[2]]
        assert in_state(real, "forms", None) == studies[1:2]
    assert len(account.runs()) == 2


# --- nobody is retired by a run ---


def test_a_filter_selects_and_retires_nobody(account, studies):
    """The run says what the sensor would do, and how a person does it."""
    account.know(*studies)
    done = account.command(*RUN, IMEDNET_WHITELIST=studies[1])
    assert done.code == 0, done.err
    assert account.known == studies
    with account.instance() as real:
        assert in_state(real, "forms", "MATERIALIZED") == studies[1:2]
    for key in (studies[0], *studies[2:]):
        assert f"{key} stays: the filter excludes it." in done.out
        assert f"`orch-assets studies retire {key}`" in done.out


def test_a_study_that_left_the_registry_is_neither_run_nor_retired(account, studies):
    account.know(studies[0], "GONE", *studies[1:])
    done = account.command(*RUN)
    assert done.code == 0, done.out
    assert account.known == [studies[0], "GONE", *studies[1:]]
    assert (
        "GONE is not in the registry: study_registry_sensor, if it is on, retires it after 3"
        in done.out
    )
    with account.instance() as real:
        assert in_state(real, "forms", "MATERIALIZED") == studies
        assert in_state(real, "forms", None) == ["GONE"]


def test_a_registry_that_lost_many_studies_stops_a_run_of_all_until_that_is_accepted(account):
    account.know("GONE-1", "GONE-2", *account.server.registry.study_keys())
    done = account.command("run")
    assert done.code == 2
    assert "accept the loss for as long as it takes: ORCH_ACCEPT_STUDY_LOSS=2." in done.err
    assert account.command(*RUN, ORCH_ACCEPT_STUDY_LOSS="2").code == 0


# --- studies retire ---


def test_a_person_retires_what_the_registry_or_the_filter_lacks(account, studies):
    account.know("GONE", *studies)
    asked = account.command("studies", "retire", IMEDNET_BLACKLIST=studies[0])
    assert asked.code == 1
    assert "GONE: the registry doesn't list it" in asked.out
    assert f"{studies[0]}: the filter excludes it" in asked.out
    assert "--yes retires without asking" in asked.err
    assert account.known == ["GONE", *studies]
    assert account.command("studies", "retire", "--yes", IMEDNET_BLACKLIST=studies[0]).code == 0
    assert account.known == studies[1:]
    again = account.command("studies", "retire", "--yes", IMEDNET_BLACKLIST=studies[0])
    assert (again.code, "nothing to retire" in again.out) == (0, True)


def test_a_person_retires_by_key_without_the_registry(account, studies):
    account.know(*studies)
    account.server.stop()
    unknown = account.command("studies", "retire", studies[0], f"{studies[1]}X", "--yes")
    assert unknown.code == 2
    assert f"Did you mean {studies[1]}? Nothing was retired." in unknown.err
    assert account.command("studies", "retire", studies[0], "--yes").code == 0
    assert account.known == studies[1:]


def test_nobody_is_retired_while_a_run_goes_on(account, studies):
    """The advice works: once the run was terminated, its studies are retired."""
    account.know(*studies)
    run = dg.DagsterRun(
        job_name="study_pipelines",
        run_id="2f3a1e0c-0000-4000-8000-000000000001",
        status=dg.DagsterRunStatus.STARTED,
        tags=range_tags(studies[0], studies[-1]),
    )
    with account.instance() as real:
        real.add_run(run)
    done = account.command("studies", "retire", studies[0], "--yes")
    assert done.code == 2
    assert f"would break run {run.run_id}. Wait for its end, or terminate it" in done.err
    assert account.known == studies
    with account.instance() as real:
        real.report_run_canceled(run)  # as the UI does for a run whose process is gone
    assert account.command("studies", "retire", studies[0], "--yes").code == 0
    assert account.known == studies[1:]
