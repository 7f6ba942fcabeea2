"""Two runs of one study at once: one table replaces another only if it was made from it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orch_assets.defs.io import output_writer
from orch_assets.defs.pipeline_runner import PipelineRunner
from orch_assets.demo import DemoRegistry, DemoServer, Fault
from orch_assets.stores.publishing import Publisher
from orch_assets_tests.scenarios.refresh.studies import PIPELINES, Study, study


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Study, Study]]:
    """Two runners of one study, on the same stores."""
    location = str(tmp_path / "stores")
    with (
        DemoServer(DemoRegistry(studies=1, subjects=5)) as server,
        study(server, location) as one,
        study(server, location) as other,
    ):
        one.succeed()
        yield one, other


def test_two_runs_at_once_end_in_one_whole_table_after_the_next(
    pair: tuple[Study, Study], tmp_path: Path
) -> None:
    """A run that came second says so, and stores nothing."""
    one, _ = pair
    kinds = set()
    for day in range(3):
        one.registry.live_day()
        # Both have read what they start from before either publishes.
        one.server.faults.add(Fault("delay", "records", seconds=0.2))
        with ThreadPoolExecutor(2) as pool:
            results = [*pool.map(lambda each: each.run(), pair)]
        one.server.faults.clear()
        kinds |= {each.failure.kind for run in results for each in run.values() if each.failure}
        for name in PIPELINES:
            failures = [run[name].failure for run in results]
            assert None in failures, f"{name}: neither run stored it"
        if day == 2:
            one.succeed()
            one.assert_whole(tmp_path / "anew")
    assert kinds <= {"ArtifactReplacedError", "UpstreamFailed"}
    assert "ArtifactReplacedError" in kinds


@pytest.mark.parametrize("was_blinded", [False, True], ids=["first blinding", "further blinding"])
@pytest.mark.parametrize("full", [False, True], ids=["counted", "whole"])
def test_an_older_reading_does_not_show_again_what_another_run_has_withheld(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool, was_blinded: bool
) -> None:
    """One run reads; a variable is blinded and the other run withholds it; then the one commits."""
    names, location = ("variables", "records"), str(tmp_path / "stores")
    registry = DemoRegistry(studies=1, subjects=5)
    with (
        DemoServer(registry) as server,
        study(server, location) as one,
        study(server, location) as other,
    ):
        with registry.edit(one.key) as edit:
            variables = edit.rows("variables").values()
            for each in variables:
                edit.variables.change(each["variableId"], blinded=False)
            pulse, temperature = (
                edit.variables.find(formKey="VS", variableName=name) for name in ("PULSE", "TEMP")
            )
            edit.variables.change(temperature["variableId"], blinded=was_blinded)
        one.succeed(*names)
        with registry.edit(one.key) as edit:
            records = edit.rows("records").values()
            record = next(each for each in records if each["formKey"] == "VS")
            edit.records.change(record["recordId"], {"PULSE": "101"})
        commit = Publisher.commit

        def late(self: Publisher, keys: Any, *args: Any) -> Any:
            if keys.name.startswith("records/"):
                monkeypatch.setattr(Publisher, "commit", commit)
                with registry.edit(one.key) as edit:
                    edit.variables.change(pulse["variableId"], blinded=True)
                other.succeed(*names)
            return commit(self, keys, *args)

        monkeypatch.setattr(Publisher, "commit", late)
        failure = one.run(*names, full=full)["records"].failure
        assert failure is not None
        assert failure.kind == "ArtifactReplacedError"
        shown = {
            name: str(other.store(name).download_table(f"records/{one.key}").to_pylist())
            for name in ("artifacts", "restricted")
        }
        assert ['"PULSE"' in each for each in shown.values()] == [False, True]
        one.succeed(*names)
        one.assert_whole(tmp_path / "anew", *names)


def test_form_tables_are_built_from_the_records_of_their_own_run(
    pair: tuple[Study, Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records are too large to be held, and another run removes one before they are loaded."""
    one, other = pair
    monkeypatch.setattr(output_writer, "_HELD_BYTES", 0)
    registry = one.registry
    with registry.edit(one.key) as edit:
        row = next(each for each in edit.rows("records").values() if each["formKey"] == "VS")
        edit.records.change(row["recordId"], {"PULSE": "101"})
    (row,) = (
        each for each in registry.rows("records", one.key) if each["recordId"] == row["recordId"]
    )
    finish = PipelineRunner._finish

    def overtaken(self: PipelineRunner, call: Any, *args: Any) -> Any:
        output = finish(self, call, *args)
        if call.step.name == "forms":
            monkeypatch.setattr(PipelineRunner, "_finish", finish)
            with registry.edit(one.key) as edit:
                edit.records.remove(row["recordId"])
            other.succeed("variables", "records")
        return output

    monkeypatch.setattr(PipelineRunner, "_finish", overtaken)
    one.succeed("variables", "records", "forms", "form_tables")
    registry.insert_row("records", one.key, row)  # with its former date
    one.succeed()
    one.assert_whole(tmp_path / "anew")
