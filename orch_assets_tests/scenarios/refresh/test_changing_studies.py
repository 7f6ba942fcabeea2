"""Sequences of changes to a study: after each run, all tables are what a whole reading gives."""

import random
import shutil
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.demo.changes.study_edit import StudyEdit
from orch_assets.demo.row_tables import Row
from orch_assets_tests.scenarios.refresh.studies import Study, study

Move = Callable[[Study, random.Random], None]


def _chosen(edit: StudyEdit, endpoint: str, rng: random.Random, **fields: object) -> Row | None:
    rows = [
        row
        for row in edit.rows(endpoint).values()
        if all(row.get(name) == value for name, value in fields.items())
    ]
    return rng.choice(rows) if rows else None


def a_day(at: Study, rng: random.Random) -> None:
    """Edits, additions and deletions of records; queries, codings, subjects."""
    at.registry.live_day(rng.randrange(1000))


def delete_a_subject(at: Study, rng: random.Random) -> None:
    with at.registry.edit(at.key) as edit:
        if subject := _chosen(edit, "subjects", rng, deleted=False):
            edit.subjects.delete(subject["subjectId"])


def restore_a_record(at: Study, rng: random.Random) -> None:
    with at.registry.edit(at.key) as edit:
        if record := _chosen(edit, "records", rng, deleted=True):
            edit.records.restore(record["recordId"])


def remove_records(at: Study, rng: random.Random) -> None:
    """Without a trace, as many as fit two pages of nothing."""
    with at.registry.edit(at.key) as edit:
        for _ in range(rng.randint(1, 3)):
            if record := _chosen(edit, "records", rng):
                edit.records.remove(record["recordId"])


def withhold_a_variable(at: Study, rng: random.Random) -> None:
    with at.registry.edit(at.key) as edit:
        if variable := _chosen(edit, "variables", rng, blinded=False):
            edit.variables.change(variable["variableId"], blinded=True)


def show_a_variable(at: Study, rng: random.Random) -> None:
    with at.registry.edit(at.key) as edit:
        if variable := _chosen(edit, "variables", rng, blinded=True):
            edit.variables.change(variable["variableId"], blinded=False)


def step_the_clock_back(at: Study, rng: random.Random) -> None:
    """By less than the overlap, even if each move is one; then something is edited."""
    at.registry.clock.advance(timedelta(minutes=-rng.randint(1, 6)))
    with at.registry.edit(at.key) as edit:
        if record := _chosen(edit, "records", rng, deleted=False):
            edit.records.set_status(record["recordId"], "Record Incomplete")


def visit_a_day_later(at: Study, rng: random.Random) -> None:
    with at.registry.edit(at.key) as edit:
        if visit := _chosen(edit, "visits", rng, deleted=False):
            edit.visits.change(visit["visitId"], visitDate="2025-07-01")


MOVES: tuple[Move, ...] = (
    a_day,
    delete_a_subject,
    restore_a_record,
    remove_records,
    withhold_a_variable,
    show_a_variable,
    step_the_clock_back,
    visit_a_day_later,
)
_STEPS = st.lists(st.sampled_from(MOVES), min_size=1, max_size=3)


# Not shrunk: an example takes seconds, and is short.
@settings(max_examples=3, deadline=None, database=None, phases=[Phase.generate])
@given(runs=st.lists(_STEPS, min_size=2, max_size=3), seed=st.integers(0, 99))
def test_after_each_run_all_tables_are_what_a_whole_reading_gives(
    runs: list[list[Move]], seed: int
) -> None:
    rng = random.Random(seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        DemoServer(DemoRegistry(studies=1, subjects=5, seed=seed)) as server,
        study(server, f"{folder}/stores") as at,
    ):
        at.succeed()
        for number, moves in enumerate(runs):
            for move in moves:
                move(at, rng)
            at.succeed()
            at.assert_whole(Path(folder) / f"{number}")


def test_a_lost_restricted_store_is_filled_again_though_nothing_else_has_changed(
    tmp_path: Path,
) -> None:
    """A withheld part is stored even if it has no rows, as after the first run."""
    with (
        DemoServer(DemoRegistry(studies=1, subjects=2)) as server,
        study(server, f"{tmp_path}/stores") as at,
    ):
        at.succeed()
        first = at.stored()
        assert any(not table.num_rows for (store, *_), table in first.items() if "restr" in store)
        shutil.rmtree(tmp_path / "stores" / "restricted")
        at.succeed()
        found = at.stored()
        assert found.keys() == first.keys()
        assert [key for key, table in first.items() if not found[key].equals(table)] == []
        assert (
            at.succeed("codings")["codings"]["rows_unchanged"]
            == first["artifacts", "codings"].num_rows
        )
