"""The server answers while other threads edit: each answer is of one moment."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx

from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets_tests.demo.conftest import Client

STUDY = "ONC-301"
EDITS = 60


def edit_often(registry: DemoRegistry, study_key: str) -> None:
    """Change one record, and add and delete another, again and again: three revisions a time."""
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


def test_an_edit_is_served_as_a_whole() -> None:
    """Who has read an added record finds its three revisions in the next answer."""
    with DemoServer(studies=0) as server:
        registry = server.registry
        registry.add_study(STUDY, subjects=300)
        url = f"{server.base_url}/api/v1/edc/studies/{STUDY}"
        before = {name: len(registry.rows(name, STUDY)) for name in ("records", "recordRevisions")}
        done = threading.Event()

        def read() -> list[dict[str, int]]:
            answers = []
            with httpx.Client(headers=server.headers) as client:
                while not done.is_set():
                    pages = {name: client.get(f"{url}/{name}?size=1").json() for name in before}
                    answers.append(
                        {
                            name: page["pagination"]["totalElements"] - before[name]
                            for name, page in pages.items()
                        }
                    )
            return answers

        with ThreadPoolExecutor(3) as pool:
            readers = [pool.submit(read) for _ in range(3)]
            edit_often(registry, STUDY)
            done.set()
        answers = [answer for reader in readers for answer in reader.result()]
        assert len({answer["records"] for answer in answers}) > 5
        assert [each for each in answers if each["recordRevisions"] < 3 * each["records"]] == []


def test_an_edit_happens_between_two_pages(server: DemoServer, client: Client) -> None:
    first, *_ = [row["recordId"] for row in server.registry.rows("records", STUDY)]

    def remove(registry: DemoRegistry) -> None:
        with registry.edit(STUDY) as edit:
            edit.records.remove(first)

    server.registry.after_page("records", 0, remove)
    records = f"/studies/{STUDY}/records"
    assert client.ids(records, "recordId", size=1) == [first]
    assert first not in client.ids(records, "recordId", size=500)
