"""A publisher killed at any step leaves either the old artifact or the new one, complete."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from orch_assets.stores import ArtifactKind, LocalPipelineStore
from orch_assets.stores.artifacts import DOCUMENT_KINDS, Published
from orch_assets_tests.contracts import store_documents, store_fixtures
from orch_assets_tests.contracts.store_documents import DOCUMENTS
from orch_assets_tests.support.forking import Forks
from orch_assets_tests.support.stored_tables import lasting_problems

# Publishes in processes of its own, each over a copy of one store. The n-th kills itself before
# its n-th change of the disk: opening a file to write it, a rename, a new or a removed file or
# folder, a sync. The first that isn't killed is the last. Forked, as importing pandas takes longer
# than all the rest. Their clock is an hour ahead. Documents of all kinds take the same steps: each
# kind tries every third of them, beginning at another one.
PUBLISHERS = """
import os, shutil, signal, sys
from datetime import datetime, timedelta
import pandas as pd, pyarrow.parquet
from orch_assets.stores import LocalPipelineStore, manifest

class Ahead(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + timedelta(hours=1)

manifest.datetime = Ahead

before, what, first, stride = *sys.argv[1:3], *map(int, sys.argv[3:])
old, new = pd.DataFrame({"n": [1, 2]}), pd.DataFrame({"n": range(50_000)})

def publish(root):
    store = LocalPipelineStore(root)
    if what == "table":
        store.publish(new, "folder/x")
    elif what == "set":
        store.publish_set({"a": new, "b": old}, "folder/x")
    elif what == "files":
        from orch_assets_tests.contracts import store_documents, store_fixtures
        from pathlib import Path
        old_file, new_file = Path(store_documents.__file__), Path(store_fixtures.__file__)
        store.publish_files({"a": new_file, "b": old_file}, "folder/x", "py")
    elif what == "json":
        store.publish_json({"n": 2}, "folder/x")
    else:
        from orch_assets_tests.contracts.store_documents import DOCUMENTS
        from orch_assets.stores.artifacts import DOCUMENT_KINDS
        (media_type,) = [m for m, kind in DOCUMENT_KINDS.items() if kind.value == what]
        store.publish_document(DOCUMENTS[media_type] + b"2", "folder/x", media_type)

def kill_at(last, root):
    steps = 0
    def step():
        nonlocal steps
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)
    def watch(event, args):
        if event == "open":
            path, _, flags = args
            writes = flags & (os.O_WRONLY | os.O_RDWR)
            if writes and not isinstance(path, int) and os.fspath(path).startswith(root):
                step()
        elif event in ("os.rename", "os.link", "os.mkdir", "os.remove"):
            step()
    sync = os.fsync
    os.fsync = lambda descriptor: (step(), sync(descriptor))
    sys.addaudithook(watch)

status, step = 9, first - stride
while status:
    step += stride
    root = f"{before}-{step}"
    shutil.copytree(before, root)
    child = os.fork()
    if not child:
        kill_at(step, root)
        publish(root)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
print(step)
"""

STRIDES = {kind: (1 + n % 3, 3) for n, kind in enumerate(DOCUMENT_KINDS.values())}
OLD_DOCUMENTS = {kind: DOCUMENTS[media_type] for media_type, kind in DOCUMENT_KINDS.items()}
OLD_FILE, NEW_FILE = Path(store_documents.__file__), Path(store_fixtures.__file__)
OLD, NEW = pd.DataFrame({"n": [1, 2]}), pd.DataFrame({"n": range(50_000)})


def read(store: LocalPipelineStore, kind: ArtifactKind) -> Any:
    if kind is ArtifactKind.JSON:
        return store.download_json("folder/x")
    if kind is ArtifactKind.SET:
        return {name: len(table) for name, table in store.download_set("folder/x").items()}
    if kind is ArtifactKind.FILES:
        return {name: each.bytes for name, each in store.files("folder/x").items()}
    if kind in OLD_DOCUMENTS:
        return store.download_document("folder/x", kind=kind)
    return len(store.download("folder/x"))


STATES = {
    ArtifactKind.TABLE: (2, 50_000),
    ArtifactKind.SET: ({"a": 2, "b": 50_000}, {"a": 50_000, "b": 2}),
    ArtifactKind.FILES: (
        {"a": OLD_FILE.stat().st_size, "b": NEW_FILE.stat().st_size},
        {"a": NEW_FILE.stat().st_size, "b": OLD_FILE.stat().st_size},
    ),
    ArtifactKind.JSON: ({"n": 1}, {"n": 2}),
    **{kind: (old, old + b"2") for kind, old in OLD_DOCUMENTS.items()},
}


def publish_old(store: LocalPipelineStore, kind: ArtifactKind) -> Published:
    if kind is ArtifactKind.TABLE:
        return store.publish(OLD, "folder/x")
    if kind is ArtifactKind.SET:
        return store.publish_set({"a": OLD, "b": NEW}, "folder/x")
    if kind is ArtifactKind.FILES:
        return store.publish_files({"a": OLD_FILE, "b": NEW_FILE}, "folder/x", "py")
    if kind is ArtifactKind.JSON:
        return store.publish_json({"n": 1}, "folder/x")
    media_type = {of: media_type for media_type, of in DOCUMENT_KINDS.items()}[kind]
    return store.publish_document(OLD_DOCUMENTS[kind], "folder/x", media_type)


@pytest.mark.parametrize("kind", list(ArtifactKind))
def test_killed_at_each_step(tmp_path: Path, kind: ArtifactKind, forked: Forks) -> None:
    before = tmp_path / "store"
    store = LocalPipelineStore(before)
    for each in STATES:
        publish_old(store, each)
    first, stride = STRIDES.get(kind, (1, 1))
    done = forked.run(PUBLISHERS, str(before), kind.value, str(first), str(stride))
    assert done.returncode == 0, done.stderr
    steps = int(done.stdout)
    tried = range(first, steps + 1, stride)
    seen, left = [], []
    for step in tried:
        killed = LocalPipelineStore(f"{before}-{step}")
        seen.append(read(killed, kind))
        assert killed.list_artifacts(kind=kind) == ["folder/x"]
        left += killed.verify()
    old, new = STATES[kind]
    assert steps > 12
    assert left, "the version is there before anything points at it"
    copies = [fault for fault in left if not fault.leftover]
    assert all("/folder/x/" in each.uri or "/readable/" in each.uri for each in copies)
    assert bool(copies) is (kind in {ArtifactKind.SET, ArtifactKind.FILES})
    assert seen[0] == old
    assert seen[-1] == new
    assert seen == [old] * seen.count(old) + [new] * seen.count(new), "one step commits"
    for step in tried:
        _is_newest_when_published(LocalPipelineStore(f"{before}-{step}"), kind)


def _is_newest_when_published(store: LocalPipelineStore, kind: ArtifactKind) -> None:
    """Publish the old state; it comes after the killed publication, whose clock was ahead.

    A killed publication that was not current then never was.
    """
    then = datetime.now(UTC) + timedelta(hours=2)
    before = store.manifest("folder/x", kind=kind)
    assert store.manifest("folder/x", kind=kind, as_of=then) == before
    published = publish_old(store, kind)
    assert read(store, kind) == STATES[kind][0]
    assert store.manifest("folder/x", kind=kind).publications[-1].replaces == before.content.sha256
    assert store.versions("folder/x", kind=kind)[-1].content.sha256 == published.sha256
    store.retain(keep_last=1)
    assert len(store.versions("folder/x", kind=kind)) == 1
    assert lasting_problems(store) == []


def test_what_a_killed_publisher_left_behind_is_swept_once_it_is_old(tmp_path: Path) -> None:
    LocalPipelineStore(tmp_path).upload(OLD, "x")
    spool = tmp_path / ".orch-spool"
    old, young, theirs = "0" * 32, "1" * 32, "somebody's own"
    (tmp_path / "elsewhere").write_bytes(b"kept")
    for name in (old, young, theirs):
        (spool / name).write_bytes(b"cut")
    (spool / ("2" * 32)).symlink_to(tmp_path / "elsewhere")
    long_ago = time.time() - 30 * 24 * 3600
    for path in (spool / old, spool / theirs, tmp_path / "elsewhere"):
        os.utime(path, (long_ago, long_ago))
    LocalPipelineStore(tmp_path).upload(NEW, "x")
    assert {path.name for path in spool.iterdir()} == {young, theirs, "2" * 32}
    assert LocalPipelineStore(tmp_path).list_artifacts() == ["x"]


WRITER = """
import sys, itertools, pandas as pd
from orch_assets.stores import LocalPipelineStore
store = LocalPipelineStore(sys.argv[1])
frames = [pd.DataFrame({"n": range(size)}) for size in (10, 300_000)]
print("ready", flush=True)
for turn in itertools.count():
    store.upload(frames[turn % 2], "x")
"""


def test_killed_at_any_time(tmp_path: Path) -> None:
    """It may be killed in the middle of a write, too."""
    store = LocalPipelineStore(tmp_path)
    store.upload(pd.DataFrame({"n": range(10)}), "x")
    chance = random.Random(1)
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout
            writer.stdout.readline()
            time.sleep(chance.uniform(0.05, 0.4))
            writer.send_signal(signal.SIGKILL)
        frame = store.download("x")
        assert_frame_equal(frame, pd.DataFrame({"n": range(len(frame))}))
        assert len(frame) in (10, 300_000)
