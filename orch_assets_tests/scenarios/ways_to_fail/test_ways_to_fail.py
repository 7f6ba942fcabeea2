"""Pipelines that fail with data in what they raise: it is in the failure report and nowhere else.

``ways.py`` says what a way is; the ways themselves are in the files beside it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orch_assets.demo import DemoServer
from orch_assets_tests.scenarios.ways_to_fail import location
from orch_assets_tests.scenarios.ways_to_fail.ways import FOUND, WAYS
from orch_assets_tests.support.graphql import ask
from orch_assets_tests.support.harness import observations, states
from orch_assets_tests.support.machines import ROLE
from orch_assets_tests.support.processes import Home, registry_settings
from orch_assets_tests.support.state_machine_servers import step_functions_server

EVERYTHING = """
fragment Values on MetadataEntry {
  __typename label description
  ... on TextMetadataEntry { text }
  ... on JsonMetadataEntry { jsonString }
  ... on UrlMetadataEntry { url }
  ... on PathMetadataEntry { path }
  ... on MarkdownMetadataEntry { mdStr }
  ... on IntMetadataEntry { intValue }
  ... on FloatMetadataEntry { floatValue }
  ... on TableSchemaMetadataEntry { schema { columns { name type } } }
}
fragment Errors on PythonError {
  className message stack
  causes { className message stack }
  errorChain { error { className message stack } }
}
query Everything {
  runsOrError { ... on Runs { results {
    id status runConfigYaml tags { key value }
    eventConnection(limit: 20000) { events {
      __typename
      ... on MessageEvent { runId message level stepKey }
      ... on ErrorEvent { error { ...Errors } }
      ... on DisplayableEvent { label description metadataEntries { ...Values } }
      ... on ExecutionStepFailureEvent {
        failureMetadata { label description metadataEntries { ...Values } }
      }
    } }
  } } }
  assetNodes {
    assetKey { path } description
    assetMaterializations { partition metadataEntries { ...Values } tags { key value } }
    assetObservations { partition metadataEntries { ...Values } tags { key value } }
  }
}
"""


@dataclass
class Ended:
    """What the runs left.

    Attributes:
        errors: of the studies that failed.
        reports: the texts of failure reports, by study.
        found: where each way's text was found, but for the restricted store: files, and answers.
        complete: what was looked through.
    """

    errors: dict[str, str] = field(default_factory=dict)
    reports: dict[str, str] = field(default_factory=dict)
    found: dict[str, set[str]] = field(default_factory=dict)
    complete: dict[str, bytes] = field(default_factory=dict)

    def look_through(self, where: str, content: bytes) -> None:
        """Note the ways whose texts something has."""
        self.complete[where] = content
        for name in FOUND.findall(content):
            self.found.setdefault(name.decode().lower(), set()).add(where)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """What is there when every way was run, in a process of its own."""
    folder = tmp_path_factory.mktemp("ways")
    with DemoServer(studies=1, subjects=1) as registry, step_functions_server() as aws:
        settings = {
            **registry_settings(registry),
            "AWS_ENDPOINT_URL": aws.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "ORCH_STEP_FUNCTIONS_ROLE": ROLE,
            "TMPDIR": str(tmp_path_factory.mktemp("temporary")),
        }
        home = Home(folder, settings)
        done = home.run("python", "-m", "orch_assets_tests.scenarios.ways_to_fail.run", timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    left = Ended()
    left.look_through("stdout", done.stdout.encode())
    left.look_through("stderr", done.stderr.encode())
    with home.instance() as real:
        for pipeline in location.PIPELINES:
            for study, failure in observations(real, pipeline.name).items():
                left.errors[study] = failure["error"]
                report = Path(str(failure.get("failure_report")).removeprefix("file://"))
                left.reports[study] = report.read_text("utf-8") if report.is_file() else ""
            for study, state in states(real, pipeline.name).items():
                assert (state == "FAILED") == (study in left.errors) or state is None, study
        left.look_through(
            "GraphQL",
            json.dumps(
                ask(real, "orch_assets_tests.scenarios.ways_to_fail.location", EVERYTHING, {})
            ).encode(),
        )
    for path in folder.rglob("*"):
        if path.is_file() and "restricted" not in path.parts:
            left.look_through(str(path.relative_to(folder)), path.read_bytes())
    return left


def _files(ended: Ended) -> set[str]:
    """Return what kinds of files were looked through."""
    return {Path(where).suffix or where for where in ended.complete}


def test_there_are_at_least_61_ways_and_all_that_many_may_read_was_looked_through(ended) -> None:
    assert len(WAYS) >= 61
    assert {".db", ".out", ".err", ".jsonl", "stdout", "stderr", "GraphQL"} <= _files(ended)
    for where in ("stderr", "GraphQL", "history/runs/index.db"):
        text = ended.complete[where].decode(errors="replace")
        for study in ("message", "pandas_type", "task", "cause_of_a_state"):
            assert study in text, (where, study)


@pytest.mark.parametrize("name", WAYS)
def test_a_way_to_fail_tells_its_type_and_place_and_no_data(ended, name) -> None:
    """The full text is in the failure report, and nowhere else but where the pipeline shows it."""
    way, error = WAYS[name], ended.errors.get(name)
    assert (error is None) == (way.error is None)
    assert (error or "").startswith(way.error or "")
    assert (way.text in ended.reports.get(name, "")) == way.reported
    found = {each for each in ended.found.get(name, ()) if not each.startswith("artifacts/")}
    assert bool(found) == way.shows, found


def test_a_result_alone_is_in_the_open_store(ended) -> None:
    """What failed published nothing, under no name and in no manifest."""
    stored = {
        name
        for name, places in ended.found.items()
        if any(each.startswith("artifacts/") for each in places)
    }
    assert stored == {"output_of_a_machine"}


def test_no_other_text_was_found(ended) -> None:
    assert set(ended.found) <= set(WAYS)
