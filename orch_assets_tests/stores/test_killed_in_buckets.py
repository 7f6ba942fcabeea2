"""A publisher to a bucket killed at any step leaves either the old artifact or the new one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from orch_assets.stores import ArtifactKind, PipelineStore, open_store
from orch_assets_tests.support.forking import Forks
from orch_assets_tests.support.stored_tables import lasting_problems

# As in test_killed.py; the steps are what is sent to the server, headers and each piece of a body,
# and the files that are opened to be written or removed. Each publishes below a folder of its own.
# Several tables or files take so many steps that only every third one is tried.
STRIDES = {ArtifactKind.TABLE: 1, ArtifactKind.SET: 3, ArtifactKind.FILES: 3}
PUBLISHERS = """
import os, signal, sys
from datetime import datetime, timedelta
from pathlib import Path
import pandas as pd, pyarrow.parquet, boto3, google.cloud.storage, botocore.session
from orch_assets.stores import manifest, open_store

class Ahead(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + timedelta(hours=1)

manifest.datetime = Ahead
address, what, stride = *sys.argv[1:3], int(sys.argv[3])
old_file, new_file = map(Path, sys.argv[4:])
old, new = pd.DataFrame({"n": [1, 2]}), pd.DataFrame({"n": range(20_000)})

store = open_store(address)
store._backend._client  # before the forks: to make one takes longer than all the rest

def publish(table, step):
    if what == "table":
        store.publish(table, f"{step}/x")
    elif what == "files":
        file = old_file if table is old else new_file
        store.publish_files({"a": file, "b": old_file}, f"{step}/x", "bin")
    else:
        store.publish_set({"a": table, "b": old}, f"{step}/x")

def kill_at(last):
    steps = 0
    def watch(event, args):
        nonlocal steps
        if event == "open":
            if not isinstance(args[2], int) or not args[2] & (os.O_WRONLY | os.O_RDWR):
                return
        elif event not in ("http.client.send", "os.remove"):
            return
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)

status, step = 9, 1 - stride
while status:
    step += stride
    child = os.fork()
    if not child:
        publish(old, step)
        kill_at(step)
        publish(new, step)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
print(step)
"""

OLD, NEW = pd.DataFrame({"n": [1, 2]}), pd.DataFrame({"n": range(20_000)})


def read(store: PipelineStore, kind: ArtifactKind, name: str) -> int:
    if kind is ArtifactKind.TABLE:
        return len(store.download(name))
    if kind is ArtifactKind.FILES:
        contents = {}
        for file in store.files(name):
            with store.open_file(name, file) as opened:
                contents[file] = len(opened.read())
        assert contents.keys() == {"a", "b"}
        assert contents["b"] == len(OLD)
        return contents["a"]
    tables = store.download_set(name)
    assert_frame_equal(tables["b"], OLD)
    return len(tables["a"])


@pytest.mark.parametrize(
    ("cloud", "kind"),
    [(cloud, kind) for cloud in ("s3", "gs") for kind in STRIDES],
)
def test_killed_at_each_step(
    cloud: str, kind: ArtifactKind, request: pytest.FixtureRequest, forked: Forks, tmp_path: Path
) -> None:
    bucket = request.getfixturevalue("s3_bucket" if cloud == "s3" else "gcs_bucket")
    address = f"{cloud}://{bucket}"
    old_file, new_file = tmp_path / "old", tmp_path / "new"  # as many bytes as the tables have rows
    old_file.write_bytes(bytes(len(OLD)))
    new_file.write_bytes(bytes(len(NEW)))
    files = str(old_file), str(new_file)
    done = forked.run(PUBLISHERS, address, kind.value, str(STRIDES[kind]), *files)
    assert done.returncode == 0, done.stderr
    steps = int(done.stdout)
    store = open_store(address)
    left = store.verify()
    seen = []
    for step in range(1, steps + 1, STRIDES[kind]):
        name = f"{step}/x"
        seen.append(read(store, kind, name))
        moment = datetime.now(UTC) + timedelta(hours=2)
        then = store.manifest(name, kind=kind, as_of=moment)
        assert then == store.manifest(name, kind=kind), "a killed publication was never current"
        if kind is ArtifactKind.TABLE:
            published = store.publish(NEW, name)
        elif kind is ArtifactKind.FILES:
            published = store.publish_files({"a": new_file, "b": old_file}, name, "bin")
        else:
            published = store.publish_set({"a": NEW, "b": OLD}, name)
        assert read(store, kind, name) == len(NEW)
        assert store.versions(name, kind=kind)[-1].content.sha256 == published.sha256
    assert lasting_problems(store) == [], "running again ends right"
    assert steps > 12
    assert left, "the version is there before anything points at it"
    copies = [fault for fault in left if not fault.leftover]
    assert all("/x/" in each.uri or "/readable/" in each.uri for each in copies)
    assert bool(copies) is (kind is not ArtifactKind.TABLE)
    assert seen[0] == 2
    assert seen[-1] == 20_000
    assert seen == [2] * seen.count(2) + [20_000] * seen.count(20_000), "one step commits"
