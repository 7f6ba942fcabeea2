"""The server answers while other threads edit: each answer is of one moment."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx

from orch_assets.demo import DemoRegistry, DemoServer

STUDY = "ONC-301"
EDITS = 60


def edit_often(registry: DemoRegistry, study_key: str) -> None:
    """Let one record differ from the others, again and again: one deleted, one restored."""
    first, *_ = [row["recordId"] for row in registry.rows("records", study_key)]
    subject = registry.rows("subjects", study_key)[0]["subjectId"]
    for number in range(EDITS):
        with registry.edit(study_key) as edit:
            edit.records.change(first, {}, reason=f"edit {number}")
            new = edit.records.add("AE", subject, {"AETERM": "Nausea"})
            edit.records.delete(new["recordId"])


def test_edits_of_several_threads_are_all_kept_and_each_has_its_own_date_and_ids() -> None:
    registry = DemoRegistry(studies=2, subjects=3)
    before = {key: len(registry.rows("recordRevisions", key)) for key in registry.study_keys()}
    with ThreadPoolExecutor(4) as pool:
        for key in (*registry.study_keys(), *registry.study_keys()):
            pool.submit(edit_often, registry, key)
    dates = []
    for key, count in before.items():
        revisions = registry.rows("recordRevisions", key)[count:]
        assert len({row["recordRevisionId"] for row in revisions}) == 2 * 3 * EDITS
        dates += [row["dateCreated"] for row in revisions]
        records = registry.rows("records", key)
        numbers = [
            row["recordRevision"] for row in revisions if row["recordId"] == records[0]["recordId"]
        ]
        assert [number - numbers[0] for number in numbers] == list(range(2 * EDITS))
    assert len(set(dates)) == 4 * EDITS


def test_each_answer_is_of_one_moment_and_fits_what_was_read_before() -> None:
    with DemoServer(studies=1, subjects=3) as server:
        url = f"{server.base_url}/api/v1/edc/studies/{STUDY}"
        done = threading.Event()
        problems: list[str] = []

        def read() -> None:
            client = httpx.Client(headers=server.headers)
            while not done.is_set():
                counts = {}
                for name in ("records", "recordRevisions"):
                    page = client.get(f"{url}/{name}?size=500").json()
                    counts[name] = page["pagination"]["totalElements"]
                    rows = page["data"]
                    if counts[name] < 500 and len(rows) != counts[name]:
                        problems.append(f"{name}: {len(rows)} rows of {counts[name]}")
                    if name == "records" and any(
                        row["recordData"]["dateModified"] != row["dateModified"] for row in rows
                    ):
                        problems.append("half of an edit")
                added = counts["records"] - counted["records"]
                if counts["recordRevisions"] < counted["recordRevisions"] + 3 * added:
                    problems.append("a record before its revisions")

        counted = {
            name: len(server.registry.rows(name, STUDY)) for name in ("records", "recordRevisions")
        }
        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        edit_often(server.registry, STUDY)
        server.registry.live_day()
        done.set()
        for reader in readers:
            reader.join()
        assert problems == []
