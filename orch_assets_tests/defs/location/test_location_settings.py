"""The settings that are read at load: nothing runs on an account before they switch it on."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import RemoteInstigatorOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from orch_assets import build_definitions
from orch_assets.defs.location.graph_assets import graph_keys_of
from orch_assets.defs.location.location_settings import LocationSettings
from orch_assets.errors import SettingError
from orch_assets_tests.defs.instances import temporary_instance
from orch_assets_tests.support.processes import Home

VARIABLES = (
    "ORCH_SCHEDULE",
    "ORCH_UPKEEP",
    "ORCH_AUTOMATION",
    "ORCH_STUDIES_PER_RUN",
    "ORCH_STUDIES_FILE",
    "ORCH_EXPORTS",
)
BOOKKEEPING = {"study_results_sensor", "study_alerts_sensor", "study_freshness_sensor"}


@pytest.fixture
def read(monkeypatch):
    """Read the settings with these variables only."""

    def from_environment(**variables):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return LocationSettings.from_environment()

    return from_environment


def running(settings):
    """Return the names of the sensors and schedules that are on unless a user stops them."""
    defs = build_definitions(settings=settings)
    return {
        each.name
        for each in (*defs.sensors, *defs.schedules)
        if each.default_status.value == "RUNNING"
    }


def test_nothing_is_set_without_variables(read):
    assert read() == read(**dict.fromkeys(VARIABLES, "  ")) == LocationSettings()


def test_each_variable_is_read(read):
    settings = read(
        ORCH_SCHEDULE="30 4 * * 1-5 Europe/Berlin",
        ORCH_AUTOMATION="on",
        ORCH_STUDIES_PER_RUN="50",
        ORCH_STUDIES_FILE="studies.yaml",
        ORCH_EXPORTS="xpt, dataset-json",
    )
    assert settings == LocationSettings(
        schedule="30 4 * * 1-5 Europe/Berlin",
        automation=True,
        studies_per_run=50,
        studies_file=Path("studies.yaml"),
        exports=("xpt", "dataset-json"),
    )

    assert settings.cron_and_zone() == ("30 4 * * 1-5", "Europe/Berlin")


@pytest.mark.parametrize(
    ("schedule", "cron_and_zone"),
    [
        ("0 5 * * *", ("0 5 * * *", "UTC")),
        (" 0  5 * * MON-FRI   CET ", ("0 5 * * MON-FRI", "CET")),
        ("@daily America/New_York", ("@daily", "America/New_York")),
        ("*/30 * * * *", ("*/30 * * * *", "UTC")),
    ],
)
def test_a_schedule_is_a_cron_schedule_and_a_zone(schedule, cron_and_zone):
    assert LocationSettings(schedule=schedule).cron_and_zone() == cron_and_zone
    defs = build_definitions(settings=LocationSettings(schedule=schedule))
    daily = defs.resolve_schedule_def("daily_refresh")
    assert (daily.cron_schedule, daily.execution_timezone) == cron_and_zone


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("ORCH_SCHEDULE", "5am", "is '5am', which is no cron schedule. Give five cron fields"),
        ("ORCH_SCHEDULE", "0 5 * *", "is no cron schedule"),
        ("ORCH_SCHEDULE", "0 5 31 2 *", "is no cron schedule"),
        ("ORCH_SCHEDULE", "Europe/Berlin 0 5 * * *", "is no cron schedule"),
        ("ORCH_SCHEDULE", "0 5 * * * Europe/Berln", "'Europe/Berln' is no known time zone"),
        ("ORCH_SCHEDULE", "0 5 * * * *", "'*' is no known time zone"),
        ("ORCH_AUTOMATION", "yes", "must be on or off, not 'yes'"),
        ("ORCH_STUDIES_PER_RUN", "0", "must be a whole number of at least 1, not '0'"),
        ("ORCH_STUDIES_PER_RUN", "all", "must be a whole number of at least 1, not 'all'"),
    ],
)
def test_a_wrong_value_is_told_by_its_name(read, variable, value, told):
    with pytest.raises(SettingError) as caught:
        read(**{variable: value})
    assert str(caught.value).startswith(f"{variable} ")
    assert told in str(caught.value)


def test_a_wrong_value_in_code_is_told_too():
    with pytest.raises(SettingError, match="studies_per_run must be at least 1, not 0"):
        LocationSettings(studies_per_run=0)


# --- what runs ---


def test_nothing_that_reads_an_account_runs_before_it_is_switched_on():
    """Those that do run read Dagster's own events, and send nothing to the account."""
    assert running(LocationSettings()) == BOOKKEEPING


def test_each_switch_turns_on_its_own_part():
    scheduled, automated = LocationSettings(schedule="0 5 * * *"), LocationSettings(automation=True)
    assert running(scheduled) - BOOKKEEPING == {"daily_refresh"}
    assert running(LocationSettings(upkeep="0 3 * * *")) - BOOKKEEPING == {"daily_upkeep"}
    assert running(automated) - BOOKKEEPING == {"study_registry_sensor", "study_automation_sensor"}


@pytest.mark.parametrize(
    ("stored", "automation", "runs"),
    [
        # Dagster notes this when a daemon meets what is running by default.
        (InstigatorStatus.DECLARED_IN_CODE, "off", False),
        (InstigatorStatus.DECLARED_IN_CODE, "on", True),
        # A user's own click.
        (InstigatorStatus.RUNNING, "off", True),
        (InstigatorStatus.STOPPED, "on", False),
    ],
)
def test_of_an_older_instance_only_what_a_user_switched_stays(
    monkeypatch, stored, automation, runs
):
    """A sensor that only ran by default stops; one that a user started or stopped stays so."""
    monkeypatch.setenv("ORCH_AUTOMATION", automation)
    module = "orch_assets_tests.defs.location.settled_location"
    monkeypatch.delitem(sys.modules, module, raising=False)
    target = LoadableTargetOrigin(
        executable_path=sys.executable, module_name=module, attribute="defs"
    )
    with temporary_instance() as real, in_process_test_workspace(real, target) as workspace:
        (location,) = workspace.code_locations
        (repository,) = location.get_repositories().values()
        sensor = repository.get_sensor("study_registry_sensor")
        origin = RemoteInstigatorOrigin(repository.get_remote_origin(), sensor.name)
        state = InstigatorState(origin, InstigatorType.SENSOR, stored)
        assert sensor.get_current_instigator_state(state).is_running is runs


@pytest.mark.timeout(120)
def test_a_wrong_value_is_the_text_of_the_error_by_which_the_location_is_not_loaded(tmp_path):
    """In the UI, the code location has this text as its error; nothing of it runs meanwhile."""
    home = Home(tmp_path / "home", {"ORCH_AUTOMATION": "perhaps", "ORCH_REGISTRY": "demo"})
    checked = home.run("dagster", "definitions", "validate", "-m", "orch_assets")
    told = "ORCH_AUTOMATION must be on or off, not 'perhaps'."
    assert checked.returncode != 0
    assert f"SettingError: {told}" in checked.stdout + checked.stderr
    ran = home.run("python", "-m", "orch_assets", "run")  # a process that hasn't loaded it yet
    assert (ran.returncode, ran.stderr) == (2, f"SettingError: {told}\n")
    with home.instance() as real:
        assert real.get_runs() == []


def test_a_switched_on_schedule_asks_for_each_of_its_ticks():
    """A schedule of several ticks a day runs at each, not only at the first."""
    settings = LocationSettings(schedule="0 */6 * * *")
    schedule = build_definitions(settings=settings).resolve_schedule_def("daily_refresh")
    keys = set()
    with temporary_instance() as real:
        real.add_dynamic_partitions("studies", ["S1"])
        for tick in (0, 6):
            now = datetime(2026, 3, 2, tick, tzinfo=UTC)
            with dg.build_schedule_context(instance=real, scheduled_execution_time=now) as context:
                (request,) = schedule(context)
            keys.add(request.run_key)
    assert len(keys) == 2


def test_a_wrong_format_of_exports_is_refused_with_a_near_name(read):
    with pytest.raises(SettingError) as raised:
        read(ORCH_EXPORTS="csv,xlxs")
    expected = "ORCH_EXPORTS names 'xlxs', which is not a format. Did you mean xlsx? Use xpt, xpt8,"
    assert str(raised.value).startswith(expected)


def test_each_export_is_an_asset_of_the_study_graph_and_duckdb_one_over_all_studies():
    defs = build_definitions(settings=LocationSettings(exports=("dataset-json",)), exports=None)
    assert dg.AssetKey("form_tables_dataset_json") in graph_keys_of(defs)
    defs = build_definitions(settings=LocationSettings(), exports=["csv", "duckdb"])
    assert dg.AssetKey("form_tables_csv") in graph_keys_of(defs)
    graph = defs.resolve_asset_graph()
    account = graph.get(dg.AssetKey("form_tables_duckdb"))
    assert not account.is_partitioned
    assert account.parent_keys == {dg.AssetKey("form_tables")}
    job = defs.resolve_job_def("study_pipelines")
    assert dg.AssetKey("form_tables_csv") in job.asset_layer.executable_asset_keys
    assert dg.AssetKey("form_tables_duckdb") not in job.asset_layer.executable_asset_keys
