"""Every fault at every request of a refresh: the right table, or a failure that touches nothing.

The faults are those of the matrix of whole readings. Where they stay, a refresh may still read the
whole table, or fail; it never stores another table.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets_tests.scenarios.extraction.test_fault_matrix import KINDS, TIMEOUT, Kind
from orch_assets_tests.scenarios.refresh.studies import Study, Tables, study
from orch_assets_tests.support.wire import SpoiledAnswers, Wire, wires_to

NAMES: Final = ("variables", "records")
# Each request of a refresh: the revisions, the changed records, the count. The count comes second.
REQUESTS: Final = ("revisions", "changed rows", "count")
# Rows of the registry that are changed in place, which has nothing to do with one request.
_CHANGES: Final = {
    "rows shifted by an insert",
    "rows shifted by a delete",
    "half a surrogate pair",
    "nested too deeply",
}
_FAULTS: Final = [name for name, kind in KINDS.items() if name not in _CHANGES and not kind.brought]


class Bench:
    """A study with a stored earlier version, and an account that has changed since.

    Attributes:
        server: The simulator.
        study: The study.
        earlier: The tables of the earlier version.
        expected: What a whole reading gives.
    """

    def __init__(self, at: Study, folder: Path) -> None:
        self.server = at.server
        self.study = at
        self._folder = folder
        at.succeed(*NAMES)
        self.earlier = at.stored(NAMES)
        shutil.copytree(folder / "stores", folder / "earlier")
        change(at)
        with study(at.server, str(folder / "anew")) as anew:
            anew.succeed(*NAMES)
            self.expected = anew.stored(NAMES)

    def reset(self) -> None:
        """Put the stores back to the earlier version, and end all faults."""
        self.server.faults.clear()
        with self.server.registry._lock:
            self.server.registry._hooks.clear()
        shutil.rmtree(self._folder / "stores")
        shutil.copytree(self._folder / "earlier", self._folder / "stores")

    def outcome(self, **options: Any) -> str:
        """Refresh the table; return how that ended."""
        result = self.study.run(*NAMES, **options)["records"]
        stored = self.study.stored(NAMES)
        if result.failure is not None:
            return "failed" if same(stored, self.earlier) else "touched"
        return "right" if same(stored, self.expected) else "wrong"


def same(tables: Tables, others: Tables) -> bool:
    return tables.keys() == others.keys() and all(
        table.equals(others[name]) for name, table in tables.items()
    )


def change(at: Study, number: int = 0) -> None:
    """Change, add and delete records, an open answer and a withheld one among them."""
    records = [row for row in at.registry.rows("records", at.key) if not row["deleted"]]
    vitals = [row for row in records if row["formKey"] == "VS"]
    kit, other = [row for row in records if row["formKey"] == "RAND"][:2]
    with at.registry.edit(at.key) as edit:
        edit.records.change(vitals[0]["recordId"], {"SYSBP": 131 + number})
        edit.records.change(kit["recordId"], {"KITNO": other["recordData"]["KITNO"]})
        edit.records.delete(vitals[1]["recordId"])
        edit.records.add("AE", vitals[0]["subjectId"], {"AETERM": "Headache"})


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("refresh")
    with (
        DemoServer(DemoRegistry(studies=1, subjects=6)) as server,
        study(server, str(folder / "stores")) as opened,
    ):
        yield Bench(opened, folder)


@pytest.fixture(scope="module")
def wires(on: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Wire]]:
    """What is in front of the registry, without and with TLS, which clients trust."""
    with wires_to(on.server.base_url, tmp_path_factory.mktemp("tls")) as opened:
        yield opened


@pytest.fixture(scope="module")
def counted() -> Iterator["Counter[str]"]:
    """How the cases ended; printed at the end (``pytest -s``)."""
    outcomes: Counter[str] = Counter()
    yield outcomes
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    print(f"\nfaults of refreshes: {told}, {outcomes['wrong']} wrong tables")  # noqa: T201


@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
@pytest.mark.parametrize("name", _FAULTS)
def test_a_fault_gives_the_right_table_or_a_failure_that_touches_nothing(
    name: str,
    times: int | None,
    on: Bench,
    wires: dict[bool, Wire],
    counted: "Counter[str]",
) -> None:
    kind = KINDS[name]
    for request in REQUESTS if times else REQUESTS[:2]:  # a fault that stays is met by the first
        on.reset()
        wires[kind.tls].spoiled[:] = []
        endpoint = "recordRevisions" if request == "revisions" else "records"

        def begin(_: object = None, endpoint: str = endpoint) -> None:
            switch_on(on, kind, endpoint, times, wires[kind.tls])

        if request == "count":
            on.server.registry.after_page("records", 0, begin)
        else:
            begin()
        outcome = on.outcome(**options_of(kind, times, wires))
        counted[outcome] += 1
        assert outcome in {"right", "failed"}, request
        assert outcome == "right" or times is None or not kind.once, request


def switch_on(on: Bench, kind: Kind, endpoint: str, times: int | None, wire: Wire) -> None:
    if kind.arrange is not None:
        kind.arrange(on, endpoint, 0, times)  # type: ignore[arg-type]  # it needs the server only
    if kind.spoil is not None:
        wire.spoiled[:] = [SpoiledAnswers(endpoint, 0, kind.spoil, times)]


def options_of(kind: Kind, times: int | None, wires: dict[bool, Wire]) -> dict[str, Any]:
    """Return the options of the SDK with which a kind of fault shows."""
    options: dict[str, Any] = {"retries": 0}
    if kind.impatient:
        options |= {"timeout": TIMEOUT, "attempts": 2 if times is None else 5}
    if kind.bounded:
        options |= {"answer_timeout": TIMEOUT, "max_answer_mb": 1}
    if kind.spoil is not None:
        options["base_url"] = wires[kind.tls].base_url
    return options


def test_without_a_fault_only_what_changed_is_read(on: Bench) -> None:
    """Else the matrix would be one of whole readings."""
    on.reset()
    assert not same(on.earlier, on.expected)
    assert ("restricted", "records") in on.expected
    assert on.study.succeed(*NAMES)["records"]["refresh"] == "counted"
    assert same(on.study.stored(NAMES), on.expected)
