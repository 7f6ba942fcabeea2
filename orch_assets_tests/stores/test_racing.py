"""Publishers in processes of their own, which may be killed at any time, on disk, S3 and GCS."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orch_assets.stores import ArtifactKind, PipelineStore, open_store
from orch_assets_tests.support.stored_tables import lasting_problems

# Each adds one to the value, so often as it is told, and again whenever another one was faster. It
# prints the version after each success.
ADDER = """
import sys
from orch_assets.errors import ArtifactReplacedError
from orch_assets.stores import ArtifactKind, open_store

store, times = open_store(sys.argv[1]), int(sys.argv[2])
while times:
    base = store.manifest("x", kind=ArtifactKind.JSON).content.sha256
    value = store.download_json("x", base)
    try:
        published = store.publish_json(value + 1, "x", replaces=base)
    except ArtifactReplacedError:
        continue
    print(published.sha256, flush=True)
    times -= 1
"""
# Publishes values that nobody else publishes.
WRITER = """
import sys
from orch_assets.stores import open_store

store = open_store(sys.argv[1])
for number in range(int(sys.argv[2])):
    print(store.publish_json([sys.argv[3], number], "x").sha256, flush=True)
"""


@pytest.fixture(params=["disk", "s3", "gs"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "disk":
        return str(tmp_path / "store")
    bucket = request.getfixturevalue("s3_bucket" if request.param == "s3" else "gcs_bucket")
    return f"{request.param}://{bucket}/prod"


def started(script: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def output(process: "subprocess.Popen[str]") -> list[str]:
    printed, _ = process.communicate(timeout=200)
    return printed.split()


def chain(store: PipelineStore) -> list[int]:
    """Return the numbers of the versions that were current, from the first one."""
    publications = {
        version.content.sha256: version.publications
        for version in store.versions("x", kind=ArtifactKind.JSON)
    }
    version, numbers = store.manifest("x", kind=ArtifactKind.JSON).content.sha256, [10**9]
    while version:  # a refused merge may have made the same version
        earlier = [each for each in publications[version] if each.number < numbers[-1]]
        numbers.append(earlier[-1].number)
        version = earlier[-1].replaces
    return numbers[:0:-1]


def test_merges_of_several_processes_lose_no_update(address: str) -> None:
    store = open_store(address)
    store.publish_json(0, "x")
    adders = [started(ADDER, address, 5) for _ in range(3)]
    published = [version for adder in adders for version in output(adder)]
    assert store.download_json("x") == 15 == len(set(published))
    assert len(chain(store)) == 16
    assert store.verify() == [] or all(problem.leftover for problem in store.verify())


def test_merges_that_are_killed_at_any_time_lose_no_update(address: str) -> None:
    """What one says that it published is in the chain of what was current; others go on."""
    store = open_store(address)
    store.publish_json(0, "x")
    chance, said = random.Random(1), []
    for _ in range(3):
        adder = started(ADDER, address, 10**6)
        assert adder.stdout
        said.append(adder.stdout.readline().strip())
        time.sleep(chance.uniform(0.0, 0.1))
        adder.kill()
        said += adder.stdout.read().split()
        adder.wait()
        adder.stdout.close()
    (last,) = output(started(ADDER, address, 1))
    value = store.download_json("x")
    numbers = chain(store)
    assert store.manifest("x", kind=ArtifactKind.JSON).content.sha256 == last
    assert len(numbers) == value + 1, "each merge that was current added one"
    assert numbers == sorted(set(numbers))
    assert {store.download_json("x", version) for version in said} <= set(range(value + 1))
    assert len(set(said)) == len(said)


def test_publications_of_several_processes_have_an_order(address: str) -> None:
    writers = [started(WRITER, address, 5, name) for name in "abc"]
    published = [version for writer in writers for version in output(writer)]
    store = open_store(address)
    versions = store.versions("x", kind=ArtifactKind.JSON)
    numbers = [version.publications[0].number for version in versions]
    assert numbers == list(range(1, 16))
    assert {version.content.sha256 for version in versions} == set(published)
    numbers = chain(store)
    assert numbers == sorted(numbers)
    assert store.verify() == []


# Publishes sets of which each has other tables and rows, and every second one has a table more.
SET_WRITER = """
import itertools, sys
import pyarrow as pa
from orch_assets.stores import open_store

store = open_store(sys.argv[1])
print("ready", flush=True)
for number in range(int(sys.argv[2])):
    table = pa.table({"writer": [sys.argv[3]], "number": [number]})
    store.publish_set({"AE": table, "DM": table, **({"VS": table} if number % 2 else {})}, "x")
"""


def assert_copies_are_current(store: PipelineStore) -> None:
    current = store.manifest("x", kind=ArtifactKind.SET)
    for member in ("AE", "DM", "VS"):
        found = store.publication_of("x", member)
        assert (found.version if found else None) == (
            current.content.sha256 if member in store.members("x") else None
        )
    assert lasting_problems(store) == []


def test_the_copies_of_sets_end_as_those_of_the_current_one(address: str) -> None:
    writers = [started(SET_WRITER, address, 4, name) for name in "ab"]
    for writer in writers:
        output(writer)
        assert writer.returncode == 0
    assert_copies_are_current(open_store(address))


def test_the_next_set_completes_the_copies_of_killed_ones(address: str) -> None:
    chance = random.Random(1)
    for turn in range(2):
        pair = [started(SET_WRITER, address, 10**6, f"{turn}{name}") for name in "ab"]
        for writer in pair:
            assert writer.stdout
            writer.stdout.readline()
        time.sleep(chance.uniform(0.1, 0.4))
        for writer in pair:
            writer.kill()
            writer.communicate()
    store = open_store(address)
    store.publish_set(store.previous_members("x") or {}, "x")  # the same again
    store.retain(keep_last=1)  # also removes what belongs to no publication
    assert_copies_are_current(store)
