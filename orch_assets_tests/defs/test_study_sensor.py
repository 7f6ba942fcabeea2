"""The sensor and the job that make Dagster's partitions the registry's studies."""

from datetime import timedelta

import dagster as dg
import pytest

from orch_assets.defs.partitions import STUDIES_NAME, range_tags, studies
from orch_assets.defs.resources import OrchestrationResource, RegistryResource
from orch_assets.defs.runs import run_states
from orch_assets.defs.study_sensor import build_study_sensor, build_sync_job, retire_studies
from orch_assets.demo import DemoServer
from orch_assets.errors import (
    CredentialsError,
    FilterConflictError,
    NoStudiesError,
    RegistryRefusedError,
    RegistryUnreachableError,
    SettingError,
    StudiesInUseError,
    StudyLossError,
)
from orch_assets_tests.support.harness import instance

RAW = dg.AssetKey("raw")
BUSY = {"status": dg.DagsterRunStatus.STARTED, "tags": range_tags("ONC-301", "ONC-301")}


@pytest.fixture
def server():
    with DemoServer(studies=6, subjects=2) as running:
        yield running


@dg.asset(key=RAW, partitions_def=studies)
def raw():
    pass


JOB = dg.define_asset_job("all", selection=[raw])


class Account:
    """A registry, an instance, and the sensor between them, ticking as the daemon ticks it."""

    def __init__(self, server, real, **orchestration):
        self.server = server
        self.real = real
        self.orchestration = OrchestrationResource(**orchestration)
        self.sensor = build_study_sensor(JOB, [RAW])
        self.cursor = None

    @property
    def registry(self):
        return RegistryResource(
            kind="imednet",
            api_key=self.server.api_key,
            security_key=self.server.security_key,
            base_url=self.server.base_url,
        )

    def tick(self):
        """Evaluate the sensor and do what the daemon does with its result."""
        result = self.evaluate(self.registry)
        for request in result.dynamic_partitions_requests or []:
            if isinstance(request, dg.AddDynamicPartitionsRequest):
                self.real.add_dynamic_partitions(STUDIES_NAME, request.partition_keys)
            else:
                for key in request.partition_keys:
                    self.real.delete_dynamic_partition(STUDIES_NAME, key)
        for request in result.run_requests:
            self.run(request.tags)
        self.cursor = result.cursor
        return result

    def run(self, tags):
        """Create a run and end it; what it would do doesn't matter here."""
        job = dg.Definitions(assets=[raw], jobs=[JOB]).resolve_job_def("all")
        self.real.report_run_failed(self.real.create_run_for_job(job, tags=tags))

    def evaluate(self, registry):
        """Evaluate the sensor and change nothing."""
        resources = {"registry": registry, "orchestration": self.orchestration}
        with dg.build_sensor_context(
            instance=self.real, cursor=self.cursor, resources=resources
        ) as context:
            return self.sensor(context)

    @property
    def known(self):
        return list(self.real.get_dynamic_partitions(STUDIES_NAME))


def test_new_studies_are_added_and_run_once_over_their_range(server):
    with instance() as real:
        account = Account(server, real)
        first = account.tick()
        keys = server.registry.study_keys()
        assert account.known == keys
        assert [dict(request.tags) for request in first.run_requests] == [
            range_tags(keys[0], keys[-1])
        ]
        assert not account.tick().run_requests
        server.registry.add_study("NEW-1")
        server.registry.add_study("NEW-2")
        assert [dict(request.tags) for request in account.tick().run_requests] == [
            range_tags("NEW-1", "NEW-2")
        ]


def test_a_study_that_left_is_retired_at_the_third_tick_and_runs_again_when_it_returns(server):
    with instance() as real:
        account = Account(server, real)
        account.tick()
        gone = account.known[2]
        server.registry.hide_study(gone)
        for _ in range(2):
            account.tick()
            assert gone in account.known
        account.tick()
        assert gone not in account.known
        server.registry.show_study(gone)
        back = account.tick()
        assert account.known[-1] == gone
        assert [dict(request.tags) for request in back.run_requests] == [range_tags(gone, gone)]


def test_no_study_is_retired_while_a_run_of_the_graph_is_unfinished(server):
    with instance() as real:
        account = Account(server, real)
        account.tick()
        gone = account.known[0]
        server.registry.hide_study(gone)
        run = real.add_run(make_run(asset_selection={RAW}))
        for _ in range(5):
            account.tick()
        assert gone in account.known
        real.report_run_canceled(run)
        account.tick()
        assert gone not in account.known


def make_run(asset_selection, **facts):
    return dg.DagsterRun(
        job_name="all",
        run_id="2f3a1e0c-0000-4000-8000-000000000001",
        asset_selection=frozenset(asset_selection),
        **BUSY | facts,
    )


def test_a_run_that_was_made_and_never_begun_holds_nothing_up_for_long(server, monkeypatch):
    with instance() as real:
        account = Account(server, real)
        account.tick()
        real.add_run(make_run({RAW}, status=dg.DagsterRunStatus.NOT_STARTED))
        server.registry.hide_study(account.known[0])
        for _ in range(4):
            account.tick()
        assert len(account.known) == 6
        monkeypatch.setattr(run_states, "_TIME_TO_BEGIN", timedelta(0))
        account.tick()
        assert len(account.known) == 5


def test_a_run_of_other_assets_holds_nothing_up(server):
    with instance() as real:
        account = Account(server, real)
        account.tick()
        real.add_run(make_run(asset_selection={dg.AssetKey("elsewhere")}))
        server.registry.hide_study(account.known[0])
        for _ in range(3):
            account.tick()
        assert len(account.known) == 5


def test_a_registry_that_lost_studies_changes_nothing_until_the_loss_is_accepted(server):
    with instance() as real:
        account = Account(server, real)
        account.tick()
        before = account.known
        for key in before[:2]:
            server.registry.hide_study(key)
        for _ in range(4):
            with pytest.raises(StudyLossError, match="ORCH_ACCEPT_STUDY_LOSS=2"):
                account.tick()
        assert account.known == before
        account.orchestration = OrchestrationResource(accept_study_loss=2)
        for _ in range(3):
            account.tick()
        assert account.known == before[2:]


def test_an_empty_registry_changes_nothing(server):
    with instance() as real:
        account = Account(server, real)
        account.tick()
        for key in account.known:
            server.registry.hide_study(key)
        with pytest.raises(StudyLossError):
            account.tick()
        assert len(account.known) == 6


def test_a_study_that_the_filter_comes_to_exclude_is_retired_at_once(server):
    with instance() as real:
        account = Account(server, real)
        account.tick()
        keep = account.known[1]
        account.orchestration = OrchestrationResource(whitelist=[keep])
        account.tick()
        assert account.known == [keep]


def test_both_filters_fail_the_tick_before_any_request(server):
    with instance() as real:
        account = Account(server, real, whitelist=["A"], blacklist=["B"])
        with pytest.raises(FilterConflictError, match=r"Whitelist: A\. Blacklist: B\."):
            account.tick()
        assert not server.traffic.log


def test_a_whitelist_that_names_nobody_fails_the_tick_and_retires_nobody(server):
    with instance() as real:
        account = Account(server, real)
        account.tick()
        account.orchestration = OrchestrationResource(whitelist=["NOBODY"])
        with pytest.raises(NoStudiesError, match=r"IMEDNET_WHITELIST.*NOBODY"):
            account.tick()
        assert len(account.known) == 6


def test_filters_come_from_the_environment_and_a_blank_one_is_none(server, monkeypatch):
    keys = server.registry.study_keys()
    monkeypatch.setenv("IMEDNET_WHITELIST", f" {keys[3]} , {keys[1]},")
    monkeypatch.setenv("IMEDNET_BLACKLIST", "  ")
    with instance() as real:
        account = Account(server, real)
        account.tick()
        assert account.known == [keys[1], keys[3]]


@pytest.mark.parametrize("given", [",", " , ,"])
def test_a_filter_that_names_nothing_is_no_filter_by_mistake(server, monkeypatch, given):
    monkeypatch.setenv("IMEDNET_WHITELIST", given)
    with instance() as real, pytest.raises(SettingError, match="IMEDNET_WHITELIST"):
        Account(server, real).tick()


@pytest.mark.parametrize("key", ["", " ONC-301", "a/b"])
def test_a_filter_of_impossible_keys_holds_nobody_up(server, key):
    """Somebody may blacklist the registry's own impossible keys."""
    with instance() as real:
        account = Account(server, real, blacklist=[key])
        account.tick()
        assert account.known == server.registry.study_keys()


def test_no_keys_is_said_with_the_variables_that_would_give_them(server, monkeypatch):
    for name in ("IMEDNET_API_KEY", "IMEDNET_SECURITY_KEY", "ORCH_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    with instance() as real:
        account = Account(server, real)
        with pytest.raises(CredentialsError, match=r"IMEDNET_API_KEY and IMEDNET_SECURITY_KEY"):
            account.evaluate(RegistryResource())


def test_wrong_keys_fail_the_tick_without_showing_them(server):
    with instance() as real:
        account = Account(server, real)
        registry = RegistryResource(
            api_key="planted-key", security_key="planted-secret", base_url=server.base_url
        )
        with pytest.raises(RegistryRefusedError) as caught:
            account.evaluate(registry)
    assert caught.value.status == 401
    assert "planted" not in f"{caught.value!r} {caught.value}"


def test_a_registry_that_is_down_fails_the_tick_and_retires_nobody(server, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with instance() as real:
        account = Account(server, real)
        account.tick()
        server.stop()
        with pytest.raises(RegistryUnreachableError, match="studies"):
            account.tick()
        assert len(account.known) == 6


def sync(account):
    """Run the job on an account; return the failure's text, or None."""
    result = build_sync_job().execute_in_process(
        instance=account.real,
        resources={"registry": account.registry, "orchestration": account.orchestration},
        raise_on_error=False,
    )
    failures = [event for event in result.all_events if event.is_step_failure]
    return failures[0].step_failure_data.user_failure_data.description if failures else None


def test_the_job_adds_everything_at_once_and_retires_nobody(server):
    """Neither what the registry lacks nor what the filter excludes."""
    with instance("GONE") as real:
        keys = server.registry.study_keys()
        assert sync(Account(server, real)) is None
        account = Account(server, real, blacklist=[keys[0]])
        assert sync(account) is None
        assert account.known == ["GONE", *keys]


def test_the_job_names_what_was_asked_for_and_cannot_be_run_after_it_added_the_others(server):
    keys = server.registry.study_keys()
    with instance() as real:
        account = Account(server, real, whitelist=[keys[0], "TYPO"])
        assert sync(account).startswith("The whitelist names study TYPO, which is not in")
        assert account.known == keys[:1]


def test_the_sensor_goes_on_and_its_tick_names_what_cannot_be_run(server):
    """A tick that failed for one study's key would hold up all others."""
    row = server.registry.rows("studies")[-1]
    refused = {**row, "studyId": row["studyId"] + 1, "studyKey": "X/Y"}
    server.registry.insert_row("studies", None, refused)
    with instance() as real:
        account = Account(server, real)
        account.tick()
        assert account.known == server.registry.study_keys()[:6]
        said = account.tick().skip_reason.skip_message
        assert "Study key 'X/Y' holds '/', which no partition key can carry." in said


def test_studies_are_retired_by_hand_only_while_no_run_of_the_graph_is_unfinished(server):
    with instance("A", "B") as real:
        run = real.add_run(make_run(asset_selection={RAW}))
        with pytest.raises(StudiesInUseError, match=f"would break run {run.run_id}"):
            retire_studies(real, ["A"], [RAW])
        assert list(real.get_dynamic_partitions(STUDIES_NAME)) == ["A", "B"]
        real.report_run_canceled(run)
        retire_studies(real, ["A"], [RAW])
        assert list(real.get_dynamic_partitions(STUDIES_NAME)) == ["B"]
