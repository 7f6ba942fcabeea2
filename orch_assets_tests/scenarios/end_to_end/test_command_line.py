"""The commands, most as processes: what they print, what they leave behind, how they exit."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from orch_assets import LocalPipelineStore, pipelines
from orch_assets.defs.discovery import discover_pipelines
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.stores.names import encode_name
from orch_assets_tests.support.harness import in_state, materializations, observations, states
from orch_assets_tests.support.processes import Home, free_port, registry_settings

PIPELINES = {each.name for each in discover_pipelines(pipelines) if not each.on_request}
LOCATION = "orch_assets.definitions"
MATERIALIZE = ("dagster", "asset", "materialize", "-m", LOCATION)

# --- the main job on the simulator ---


def test_the_demo_succeeds_and_prints_the_matrix(demo):
    _, done = demo
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "Every study succeeded." in done.stdout
    lines = {line.strip() for line in done.stdout.splitlines()}
    for study in DemoRegistry(12, 40).study_keys():
        assert any(line.startswith(study) for line in lines), study


def test_the_demo_leaves_every_study_materialized_by_one_run(demo):
    home, _ = demo
    studies = DemoRegistry(12, 40).study_keys()
    with home.instance() as real:
        assert list(real.get_dynamic_partitions(STUDIES_NAME)) == studies
        runs = [run for run in real.get_runs() if run.job_name == "study_pipelines"]
        assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS]
        for pipeline in sorted(PIPELINES):
            assert states(real, pipeline) == dict.fromkeys(studies, "MATERIALIZED"), pipeline
        assert not materializations(real, "users")  # runs on request only


def artifact_uri(home, name):
    return (home.folder / "artifacts" / f"{encode_name(name)}.parquet").as_uri()


def test_the_demos_artifacts_are_readable_and_say_where_they_are_from(demo):
    home, _ = demo
    registry = DemoRegistry(12, 40)
    store = LocalPipelineStore(home.folder / "artifacts")
    with home.instance() as real:
        for study in registry.study_keys():
            (event,) = materializations(real, "subjects")[study]
            name = f"subjects/{study}"
            assert event["registry"] == "demo"
            assert event["dagster/uri"] == artifact_uri(home, name)
            assert event["dagster/row_count"] == len(registry.rows("subjects", study))
            assert len(store.download(name)) == event["dagster/row_count"]
            assert store.manifest(name).publications[-1].provenance["registry"] == "demo"


def test_the_demos_results_are_stored(demo):
    home, _ = demo
    table = LocalPipelineStore(home.folder / "artifacts").download("study_results")
    assert len(table) == 12 * len(PIPELINES)
    assert set(table["pipeline"]) == PIPELINES
    assert set(table["status"]) == {"SUCCESS"}
    with home.instance() as real:
        (event,) = materializations(real, "study_results")[None]
    assert "| ONC-301 |" in event["matrix"]
    assert (event["studies"], event["failed_studies"]) == (12, 0)


# --- commands on an account ---


@pytest.fixture(scope="module")
def server():
    with DemoServer(studies=4, subjects=1) as running:
        _, second, _, last = running.registry.study_keys()
        running.registry.forbid_study(second)
        running.registry.hide_study(last)
        row = running.registry.rows("studies")[-1]
        refused = {**row, "studyId": row["studyId"] + 1, "studyKey": "A/B"}
        running.registry.insert_row("studies", None, refused)
        yield running


@pytest.fixture(scope="module")
def studies(server):
    return server.registry.study_keys()[:3]


@pytest.fixture(scope="module")
def outcomes(server, studies, tmp_path_factory):
    """What came of each command: its DAGSTER_HOME and its ended process, by name.

    They are independent, so two processes run at a time. After the first that can't start, the
    others run in this process.
    """
    first, second, third = studies
    good = registry_settings(server)
    key = {"IMEDNET_API_KEY": "planted-wrong-key"}
    keys = {**good, "IMEDNET_BASE_URL": "https://registry.test"}
    main = ("here", "run")
    nobody = {"AWS_EC2_METADATA_DISABLED": "true"}  # boto3 looks for a role of the machine
    commands = {
        "no keys": ({}, [], ("python", "-m", "orch_assets", "run")),
        "wrong keys": ({**good, **key}, [], main),
        "registry down": (
            {**good, "IMEDNET_BASE_URL": f"http://127.0.0.1:{free_port()}"}, [], main,
        ),
        "both filters": (
            {**good, "IMEDNET_WHITELIST": first, "IMEDNET_BLACKLIST": second}, [], main,
        ),
        "bad proxy": (
            {**keys, "HTTPS_PROXY": "http://user:planted/word@proxy.example:3128"}, [], main,
        ),
        "SOCKS": ({**keys, "all_proxy": "socks5://user:planted@proxy.example"}, [], main),
        "nobody": ({**good, "IMEDNET_WHITELIST": "NOBODY"}, [], main),
        "no credentials": (
            {**good, **nobody, "ORCH_STORE": "s3://bucket/prod"}, [], main,
        ),
        "no store": ({**good, "ORCH_STORE": str(Path(__file__))}, [], main),
        "no home": ({**good, "DAGSTER_HOME": ""}, None, main),
        "plan": (
            {**good, "IMEDNET_BLACKLIST": f"{second},NOBODY"},
            [*(f"OLD-{n}" for n in range(9)), first, second],
            ("python", "-m", "orch_assets.studies"),
        ),
        "plan without keys": ({}, [], ("here", "studies")),
        "one study": (good, studies, (*MATERIALIZE, "--select", "forms", "--partition", first)),
        "a range": (
            good, studies,
            (*MATERIALIZE, "--select", "forms,sites", "--partition-range", f"{first}...{third}"),
        ),
        "a reversed range": (
            good, studies,
            (*MATERIALIZE, "--select", "forms", "--partition-range", f"{third}...{first}"),
        ),
        "preview": (
            good, [first],
            ("dagster", "sensor", "preview", "-m", LOCATION, "study_registry_sensor"),
        ),
        "validate": ({}, [], ("dagster", "definitions", "validate", "-w", "workspace.yaml")),
    }  # fmt: skip
    commands["plan"][0]["ORCH_ACCEPT_STUDY_LOSS"] = "9"
    commands["plan"][0]["HTTP_PROXY"] = f"http://127.0.0.1:{free_port()}"  # not for loopback

    def run(name):
        settings, known, command = commands[name]
        home = Home(tmp_path_factory.mktemp("home"), settings)
        if known:
            with home.instance() as real:
                real.add_dynamic_partitions(STUDIES_NAME, known)
        program, *arguments = command
        return home, home.run_here(*arguments) if program == "here" else home.run(*command)

    here = [name for name, (_, _, command) in commands.items() if command[0] == "here"]
    processes = [name for name in commands if name not in here]
    with ThreadPoolExecutor(2) as pool:
        ended = dict(zip(processes, pool.map(run, processes), strict=True))
    return ended | {name: run(name) for name in here}


def test_a_failed_study_makes_the_exit_code_1_and_is_named(failed_run):
    studies, home, done = failed_run
    first, forbidden, third = studies
    assert done.returncode == 1
    told = done.stdout.partition("1 of 3 studies failed:\n")[2].splitlines()
    assert told[0].startswith("- RegistryRefusedError: iMednet registry, /studies/")
    assert "HTTP 403" in told[0]
    assert told[1] == f"  study: {forbidden}"
    own = {"forms", "intervals", "sites", "subjects", "variables"}  # the others' come after them
    assert told[2].startswith("  5 pipelines: ")
    assert set(told[2].partition(": ")[2].split(", ")) == own
    assert told[3].startswith("  failure report (the first of 5): ")
    assert told[4] == f"{len(PIPELINES) - 6} more results are missing because an upstream failed."
    assert max(map(len, told)) < 400
    assert "Traceback" not in done.stdout + done.stderr
    with home.instance() as real:
        # "study" is the registry's list, which names what it forbids.
        assert in_state(real, "study", "MATERIALIZED") == studies
        for pipeline in sorted(PIPELINES - {"study"}):
            assert in_state(real, pipeline, "MATERIALIZED") == [first, third], pipeline
            assert in_state(real, pipeline, "FAILED") == [forbidden], pipeline
        assert observations(real, "forms")[forbidden]["registry"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no keys", "CredentialsError: No iMednet keys: set IMEDNET_API_KEY and "),
        ("wrong keys", "RegistryRefusedError: iMednet registry, /studies, page 0: HTTP 401"),
        ("registry down", "RegistryUnreachableError: iMednet registry, /studies, page 0: "),
        ("both filters", "FilterConflictError: Whitelist and blacklist exclude each other"),
        ("bad proxy", "SettingError: HTTPS_PROXY is not the address of a proxy"),
        ("SOCKS", "SettingError: all_proxy names a SOCKS proxy, which is not supported"),
        ("nobody", "NoStudiesError: The whitelist leaves none of the registry's 4 studies."),
        (
            "no credentials",
            (
                "StoreUnavailableError: ORCH_STORE: The store at s3://bucket/prod/.orch/_probe "
                "can't be used. AWS credentials are missing"
            ),
        ),
        ("no store", "StoreUnavailableError: ORCH_STORE: The store in "),
        ("no home", "SettingError: DAGSTER_HOME is not set"),
        ("plan without keys", "CredentialsError: No iMednet keys"),
    ],
)
def test_what_cannot_start_exits_2_with_one_clear_line(outcomes, server, name, said):
    home, done = outcomes[name]
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1
    for secret in ("planted", server.api_key, server.security_key):
        assert secret not in done.stdout + done.stderr
        assert not [f for f in home.folder.rglob("*.db") if secret.encode() in f.read_bytes()]


@pytest.mark.parametrize("name", ["no credentials", "no store"])
def test_a_store_that_can_not_be_used_is_found_before_anything_changes(outcomes, name):
    home, done = outcomes[name]
    assert "Reading the registry" not in done.stdout
    with home.instance() as real:
        assert real.get_dynamic_partitions(STUDIES_NAME) == []
        assert real.get_runs() == []


def test_the_plan_says_what_would_change_and_why_and_changes_nothing(outcomes, studies):
    first, second, third = studies
    home, done = outcomes["plan"]
    assert done.returncode == 0, done.stderr
    old = [f"OLD-{n}" for n in range(9)]
    assert done.stdout.splitlines() == [
        "Registry: 127.0.0.1",
        "Selected: 2",
        f"  {first}",
        f"  {third}",
        "Excluded by the filter: 1",
        f"  {second}",
        "In the filter, but not in the registry: 1",
        "  NOBODY",
        "Refused: 1",
        "  A/B: holds '/', which no partition key can carry",
        "Would be added: 1",
        f"  {third}: new in the registry",
        "Would be retired: 1",
        f"  {second}: the filter excludes it",
        (
            "Not in the registry, retired by study_registry_sensor, if it is on, after 3 "
            "consecutive ticks: 9"
        ),
        *(f"  {key}" for key in old),
        "Nothing was changed.",
    ]
    with home.instance() as real:
        assert list(real.get_dynamic_partitions(STUDIES_NAME)) == [*old, first, second]
        assert real.get_runs() == []


def test_one_study_by_command(outcomes, studies):
    home, done = outcomes["one study"]
    assert done.returncode == 0, done.stderr
    with home.instance() as real:
        assert in_state(real, "forms", "MATERIALIZED") == studies[:1]


def test_a_range_by_command_exits_1_for_its_failed_study_with_exact_states(outcomes, studies):
    first, forbidden, third = studies
    home, done = outcomes["a range"]
    assert done.returncode == 1
    assert "1 of 3 studies failed:" in done.stderr
    assert "- RegistryRefusedError: iMednet registry, " in done.stderr
    assert f"study: {forbidden}" in done.stderr
    with home.instance() as real:
        for pipeline in ("forms", "sites"):
            assert in_state(real, pipeline, "MATERIALIZED") == [first, third]
            assert in_state(real, pipeline, "FAILED") == [forbidden]


def test_a_reversed_range_is_refused_and_materializes_nothing(outcomes, studies):
    first, _, third = studies
    home, done = outcomes["a reversed range"]
    assert done.returncode == 1
    assert f"The range {third}...{first} contains no study" in done.stderr
    with home.instance() as real:
        assert materializations(real, "forms") == {}


def test_a_preview_of_the_sensor_asks_for_one_run_and_changes_nothing(outcomes, studies):
    home, done = outcomes["preview"]
    assert done.returncode == 0, done.stderr
    assert "run requests for 1 run(s)" in done.stdout
    with home.instance() as real:
        assert list(real.get_dynamic_partitions(STUDIES_NAME)) == studies[:1]
        assert real.get_runs() == []


def test_the_definitions_are_valid_without_any_setting(outcomes):
    _, done = outcomes["validate"]
    assert done.returncode == 0, done.stderr
    assert "Validation successful for code location orch_assets" in done.stdout
