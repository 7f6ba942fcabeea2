"""Retention killed at any step neither loses nor duplicates a publication."""

from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from orch_assets.stores import PipelineStore, open_store
from orch_assets.study import study_context
from orch_assets_tests.support.forking import Forks

# As in test_killed.py and test_killed_in_buckets.py. Each retains in a store of its own, and steps
# count from the first request to delete something.
RETAINERS = """
import os, signal, sys
import boto3, google.cloud.storage, botocore.session
from orch_assets.stores import open_store

address, keep_last, steps = sys.argv[1], int(sys.argv[2]), 0
client = open_store(address)._backend._client if "://" in address else None

def kill_at(last):
    def step():
        global steps
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)
    def watch(event, args):
        if event == "open":
            writes = isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
            if writes and (steps or not client):
                step()
        elif event == "http.client.send":
            if steps or bytes(args[1]).startswith(b"DELETE"):
                step()
        elif event in ("os.remove", "os.rename", "os.mkdir") and (steps or not client):
            step()
    sync = os.fsync
    os.fsync = lambda descriptor: (step(), sync(descriptor))
    sys.addaudithook(watch)

status, number = 9, 0
while status:
    number += 1
    child = os.fork()
    if not child:
        store = open_store(f"{address}/{number}")
        if client:
            store._backend._connected.append(client)
        kill_at(number)
        store.retain(keep_last=keep_last)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
print(number)
"""
FRAMES = [pd.DataFrame({"n": range(size)}) for size in (1, 2, 3)]
PUBLISHED = [0, 1, 1, 2, 2, 2, 1, 1, 1]  # the version 0 is one too many
FEWER = [0, 1, 1, 1]


def publish(store: PipelineStore, published: list[int]) -> None:
    for number, which in enumerate(published):
        with study_context(f"S-{number}"):
            store.upload(FRAMES[which], "x")


def told(store: PipelineStore) -> list[tuple[int | None, str | None]]:
    """Return the rows and the study of every publication, in order."""
    found = sorted(
        (each.published_at, version.content.rows, each.study)
        for version in store.versions("x")
        for each in version.publications
    )
    return [(rows, study) for _, rows, study in found]


@pytest.mark.parametrize(
    ("cloud", "published", "keep_last", "folders"),
    [("", PUBLISHED, 2, 60), ("s3", FEWER, 1, 30), ("gs", FEWER, 1, 30)],
    ids=["local", "s3", "gs"],
)
def test_killed_at_each_step(
    cloud: str,
    published: list[int],
    keep_last: int,
    folders: int,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    forked: Forks,
) -> None:
    """Interrupt it between writing the compacted object and removing the last entry."""
    address = str(tmp_path / "store")
    if cloud:
        bucket = request.getfixturevalue("s3_bucket" if cloud == "s3" else "gcs_bucket")
        address = f"{cloud}://{bucket}"
    stores = [open_store(f"{address}/{number}") for number in range(1, folders + 1)]
    if cloud:  # to make a client takes longer than all the rest
        for store in stores:
            store._backend._connected.append(
                request.getfixturevalue("s3" if cloud == "s3" else "gcs")
            )
    for store in stores:
        publish(store, published)
    done = forked.run(RETAINERS, address, str(keep_last))
    assert done.returncode == 0, done.stderr
    killed = int(done.stdout)
    assert 12 < killed <= folders, "the last one was not killed, and found something to do"
    everything = [(which + 1, f"S-{number}") for number, which in enumerate(published)]
    for store in stores[:killed]:
        assert told(store) in (everything, everything[1:])
        assert_frame_equal(store.download("x"), FRAMES[1])
        assert all(fault.leftover for fault in store.verify())
        store.retain(keep_last=keep_last)
        assert told(store) == everything[1:]
        assert store.verify() == []
