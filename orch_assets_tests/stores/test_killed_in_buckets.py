"""A publisher to a bucket that is killed at any step leaves the old artifact or the new one."""

import os
import subprocess
import sys

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from orch_assets.stores import ArtifactKind, PipelineStore, open_store

# As in test_killed.py; the steps are what is sent to the server, headers and each piece of a body,
# and the files that are opened to be written or removed.
PUBLISHERS = """
import os, signal, sys
import pandas as pd, pyarrow.parquet, boto3, google.cloud.storage, botocore.session
from orch_assets.stores import open_store

address, what = sys.argv[1:]
old, new = pd.DataFrame({"n": [1, 2]}), pd.DataFrame({"n": range(50_000)})

def publish(store, table):
    if what == "table":
        store.publish(table, "folder/x")
    else:
        store.publish_set({"a": table, "b": old}, "folder/x")

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

status, step = 9, 0
while status:
    step += 1
    child = os.fork()
    if not child:
        store = open_store(f"{address}/{step}")
        publish(store, old)
        kill_at(step)
        publish(store, new)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
print(step)
"""

OLD, NEW = pd.DataFrame({"n": [1, 2]}), pd.DataFrame({"n": range(50_000)})


def read(store: PipelineStore, kind: ArtifactKind) -> int:
    if kind is ArtifactKind.TABLE:
        return len(store.download("folder/x"))
    tables = store.download_set("folder/x")
    assert_frame_equal(tables["b"], OLD)
    return len(tables["a"])


@pytest.mark.parametrize(
    ("cloud", "kind"),
    [("s3", ArtifactKind.TABLE), ("gs", ArtifactKind.TABLE), ("gs", ArtifactKind.SET)],
)
def test_killed_at_each_step(
    cloud: str, kind: ArtifactKind, request: pytest.FixtureRequest
) -> None:
    bucket = request.getfixturevalue("s3_bucket" if cloud == "s3" else "gcs_bucket")
    address = f"{cloud}://{bucket}"
    done = subprocess.run(
        [sys.executable, "-c", PUBLISHERS, address, kind.value],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=200,
        env=dict(os.environ),
    )
    steps = int(done.stdout)
    seen = []
    for step in range(1, steps + 1):
        store = open_store(f"{address}/{step}")
        seen.append(read(store, kind))
        if kind is ArtifactKind.TABLE:
            store.publish(NEW, "folder/x")
        else:
            store.publish_set({"a": NEW, "b": OLD}, "folder/x")
        assert read(store, kind) == len(NEW)
        assert store.verify() == [], "running again ends right"
    assert steps > 12
    assert seen[0] == 2
    assert seen[-1] == 50_000
    assert seen == [2] * seen.count(2) + [50_000] * seen.count(50_000), "one step commits"
