"""What came of a run is printed, and told by the exit code, whatever the stored matrix becomes."""

import io
import re
import sys

from orch_assets import LocalPipelineStore
from orch_assets_tests.support.harness import in_state


class Trap(io.StringIO):
    """Standard output that does something once, at the moment that a text is printed."""

    def __init__(self, pattern, act):
        super().__init__()
        self._pattern, self._act = re.compile(pattern), act

    def write(self, text):
        if self._act and self._pattern.search(text):
            act, self._act = self._act, None
            act()
        return super().write(text)


def assert_matrix(text, studies):
    grid = text.partition("✗ is a failure.\n")[2]
    assert [line.split()[0] for line in grid.splitlines() if "-" in line[:8]][: len(studies)] == (
        studies
    )


def test_a_matrix_that_the_store_refuses_is_printed_and_ends_with_1(account):
    """Its results are stored, and the last line doesn't say otherwise."""
    store = account.home / "artifacts"
    (store / ".orch").mkdir(parents=True)
    (store / ".orch" / "study_results").write_text("in the way")
    done = account.command("run")
    studies = account.server.registry.study_keys()
    assert done.code == 1, done.said
    assert done.err.startswith("The matrix study_results could not be stored: ")
    assert len(done.err.splitlines()) == 1
    assert_matrix(done.out, studies)
    with account.instance() as real:
        assert in_state(real, "forms", "MATERIALIZED") == studies


def test_a_store_that_fails_after_the_last_result_ends_with_1_and_the_matrix(account, monkeypatch):
    """Not with 2, which says that no study could be run."""
    store, moved = account.home / "artifacts", account.home / "moved"

    def lose_the_store():
        store.rename(moved)
        store.write_text("no folder")

    trap = Trap(r"^(\d+) of \1 results", lose_the_store)
    monkeypatch.setattr(sys, "stdout", trap)
    done = account.command("run")
    studies = account.server.registry.study_keys()
    assert moved.is_dir(), trap.getvalue()
    assert done.code == 1, done.err
    assert "StoreUnavailableError: The store in " in done.err + trap.getvalue()
    assert "Traceback" not in done.err + trap.getvalue()
    assert_matrix(trap.getvalue(), studies)
    assert len(LocalPipelineStore(moved).list_artifacts("forms")) == len(studies)
