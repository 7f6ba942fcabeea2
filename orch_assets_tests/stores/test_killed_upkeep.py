"""An upkeep that is killed at any step leaves nothing wrong, and the next one completes it."""

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from orch_assets.stores import ArtifactKind, PipelineStore, open_store
from orch_assets.stores.backends.local import LocalDisk
from orch_assets.stores.maintenance.upkeep_terms import Cutoffs

REPORT = "failures/0b3c8f5e-1111-4222-8333-444455556666/labs/ONC-301"
STEPS = 40


class KilledError(BaseException):
    """The process is gone."""


def fill(store: PipelineStore) -> None:
    for size in (1, 2, 2, 2):
        frame = pd.DataFrame({"n": range(size)})
        store.upload(frame, "x")
        store.publish_set({"a": frame}, "y")
    store.publish_json({}, REPORT)


def keep_up(store: PipelineStore) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    store.upkeep().run(Cutoffs(manifests=later, versions=later, reports=later, leftovers=later))


def test_killed_at_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step removes a file."""
    remove = LocalDisk.delete_all

    def dying(backend: LocalDisk, keys: list[str]) -> None:
        nonlocal left
        for key in keys:
            if not left:
                raise KilledError
            left -= 1
            remove(backend, [key])

    monkeypatch.setattr(LocalDisk, "delete_all", dying)
    for step in range(STEPS):
        store, left = open_store(tmp_path / str(step)), step
        fill(store)
        try:
            keep_up(store)
        except KilledError:
            is_killed = True
        else:
            is_killed = False
        assert all(each.leftover for each in store.verify())
        assert len(store.download("x")) == len(store.download_set("y")["a"]) == 2
        left = STEPS
        keep_up(store)
        assert store.verify() == []
        assert store.list_artifacts() == ["x", "y"]
        assert len(store.versions("x")) == len(store.versions("y", kind=ArtifactKind.SET)) == 1
        if not is_killed:
            break
    assert 10 < step < STEPS - 1


def test_a_killed_process_likewise(tmp_path: Path) -> None:
    """With a signal, in the middle of a removal."""
    store = open_store(tmp_path / "store")
    fill(store)
    child = os.fork()
    if not child:
        unlinked = 0

        def watch(event: str, _: object) -> None:
            nonlocal unlinked
            unlinked += event == "os.remove"
            if event == "os.remove" and unlinked == 5:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        keep_up(store)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert all(each.leftover for each in store.verify())
    keep_up(store)
    assert store.verify() == []
