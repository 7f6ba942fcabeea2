"""After any sequence of edits and refreshes, each table is what a whole reading gives."""

import itertools
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orch_assets import ImednetSDK
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.demo.changes.study_edit import StudyEdit
from orch_assets_tests.imednet.refresh.stored import Refresher, Result

TABLES = ("records", "record_revisions", "visits", "subjects", "queries", "sites", "forms")
OVERLAP = 3600


class Life:
    """A study that is edited at random."""

    def __init__(self, registry: DemoRegistry, study_key: str, seed: int) -> None:
        self._registry = registry
        self._study = study_key
        self._random = random.Random(seed)
        self._removed: list[tuple[str, str, dict[str, Any]]] = []
        self._latest = registry.clock.now

    def act(self, action: str) -> None:
        with self._registry.edit(self._study) as edit:
            rows = edit.rows(TABLE_OF.get(action, "records"))
            if rows:
                ACTIONS[action](edit, self._random, self._random.choice(list(rows.values())))

    def step(self, seconds: int) -> None:
        """Set the clock back or ahead; never further behind the newest date than the overlap."""
        clock = self._registry.clock
        self._latest = max(self._latest, clock.now)
        earliest = self._latest - timedelta(seconds=OVERLAP - 60)
        clock.set(max(clock.now + timedelta(seconds=seconds), earliest))

    def remove(self, endpoint: str, id_name: str) -> None:
        rows = self._registry.rows(endpoint, self._study)
        if rows:
            row = self._random.choice(list(rows))
            self._registry.delete_row(endpoint, self._study, row[id_name])
            self._removed.append((endpoint, id_name, row))

    def bring_back(self) -> None:
        """A removed row comes back, with a new date."""
        if self._removed:
            endpoint, _, row = self._removed.pop()
            row = {**row, "dateModified": self._registry.clock.text}
            self._registry.insert_row(endpoint, self._study, row)


def _toggle(table: str, id_name: str) -> Callable[[StudyEdit, random.Random, Any], None]:
    def act(edit: StudyEdit, _: random.Random, row: Any) -> None:
        edits = getattr(edit, table)
        (edits.restore if row["deleted"] else edits.delete)(row[id_name])

    return act


def _change_record(edit: StudyEdit, rng: random.Random, row: Any) -> None:
    names = [name for name in row["recordData"] if name.isupper()]
    answers = {rng.choice(names): f"new {rng.random()}"} if names else {}
    edit.records.change(row["recordId"], answers)


def _add_record(edit: StudyEdit, _: random.Random, row: Any) -> None:
    answers = {name: each for name, each in row["recordData"].items() if name.isupper()}
    edit.records.add(row["formKey"], row["subjectId"], answers)


def _blind(edit: StudyEdit, _: random.Random, row: Any) -> None:
    edit.variables.change(row["variableId"], blinded=not row["blinded"])


def _close_or_reopen(edit: StudyEdit, _: random.Random, row: Any) -> None:
    is_closed = row["queryComments"][-1]["annotationStatus"] == "Query Closed"
    (edit.queries.reopen if is_closed else edit.queries.close)(row["annotationId"], "text")


def _ask(edit: StudyEdit, rng: random.Random, row: Any) -> None:
    edit.queries.open(row["recordId"], rng.choice(list(row["recordData"])), "why?")


ACTIONS: dict[str, Callable[[StudyEdit, random.Random, Any], None]] = {
    "change record": _change_record,
    "add record": _add_record,
    "toggle record": _toggle("records", "recordId"),
    "toggle visit": _toggle("visits", "visitId"),
    "toggle subject": _toggle("subjects", "subjectId"),
    "add subject": lambda edit, _, row: edit.subjects.add(row["siteId"]) and None,
    "blind": _blind,
    "ask": _ask,
    "close": _close_or_reopen,
    "form": lambda edit, _, row: edit.forms.change(row["formId"], allowCopy=False) and None,
}
TABLE_OF = {
    "toggle visit": "visits",
    "toggle subject": "subjects",
    "add subject": "sites",
    "blind": "variables",
    "close": "queries",
    "form": "forms",
}
REMOVED = {"records": "recordId", "queries": "annotationId", "visits": "visitId"}

often = ["change record", "change record", "add record", "toggle record"]
steps = st.one_of(
    st.tuples(st.just("act"), st.sampled_from([*often, *ACTIONS])),
    st.tuples(st.just("clock"), st.integers(-OVERLAP, OVERLAP)),
    st.tuples(st.just("remove"), st.sampled_from(sorted(REMOVED))),
    st.tuples(st.just("bring back"), st.none()),
    st.tuples(st.just("refresh"), st.sampled_from([TABLES, TABLES[:2], TABLES[:1]])),
)


@pytest.fixture(scope="module")
def served() -> Iterator[DemoServer]:
    with DemoServer(DemoRegistry(studies=1, subjects=1)) as server:
        yield server


_numbers = itertools.count()


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    todo=st.lists(steps, min_size=4, max_size=18),
    seed=st.integers(0, 10**6),
    page_size=st.sampled_from([4, 30]),
)
@example(
    todo=[
        ("act", "change record"),
        ("refresh", TABLES),
        ("clock", -3000),
        ("act", "toggle subject"),
        ("remove", "records"),
        ("refresh", TABLES),
        ("bring back", None),
        ("act", "blind"),
    ],
    seed=1,
    page_size=4,
)
def test_tables_stay_whole_over_any_sequence(
    served: DemoServer, todo: list[tuple[str, Any]], seed: int, page_size: int
) -> None:
    registry, study_key = served.registry, f"S-{next(_numbers)}"
    registry.add_study(study_key, subjects=2)
    keys = (served.api_key, served.security_key, served.base_url)
    with (
        ImednetSDK(*keys, page_size=page_size, overlap=OVERLAP) as sdk,
        ImednetSDK(*keys) as others,
    ):
        refresher = Refresher(sdk, study_key, others)
        life = Life(registry, study_key, seed)
        results: dict[str, Result] = {}
        for kind, value in [("refresh", TABLES), *todo, ("refresh", TABLES), ("refresh", TABLES)]:
            if kind == "act":
                life.act(value)
            elif kind == "clock":
                life.step(value)
            elif kind == "remove":
                life.remove(value, REMOVED[value])
            elif kind == "bring back":
                life.bring_back()
            else:
                results |= refresher.run(*value, previous=results)
                for name in value:
                    refresher.assert_whole(name, results[name])
        # Nothing happened between the last two refreshes.
        counted = [each for each in results.values() if each.changes.reading == "counted"]
        assert all(result.unchanged for result in counted)
    registry.hide_study(study_key)
