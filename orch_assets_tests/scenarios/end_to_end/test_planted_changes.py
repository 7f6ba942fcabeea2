"""Planted strings in what changes between two runs: none of them in what anybody may read."""

import logging

import pytest

from orch_assets import LocalPipelineStore
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets_tests.scenarios.end_to_end.account import Account
from orch_assets_tests.support.harness import materializations

PLANTED = tuple(
    f"plantagenet-{kind}" for kind in ("old", "new", "deleted", "blinded later", "blinded")
)


@pytest.fixture
def account(tmp_path, monkeypatch, capsys):
    """One study with several pages of records."""
    with DemoServer(DemoRegistry(studies=1, subjects=60)) as server:
        yield Account(server, tmp_path, monkeypatch, capsys)


def readable(account, *texts):
    """Return which strings are in DAGSTER_HOME, outside of its stores, or in texts."""
    files = [path for path in account.home.rglob("*") if path.is_file()]
    outside = [path for path in files if account.home / "artifacts" not in path.parents]
    parts = [text.encode() for text in texts] + [path.read_bytes() for path in outside]
    return {text for text in PLANTED if any(text.encode() in part for part in parts)}


def test_no_changed_deleted_or_blinded_value_can_be_read_outside_of_the_stores(account, caplog):
    caplog.set_level(logging.DEBUG)
    registry = account.server.registry
    (study,) = registry.study_keys()
    rows = [row for row in registry.rows("records", study) if not row["deleted"]]
    vitals = [row for row in rows if row["formKey"] == "VS"]
    kits = [row for row in rows if row["formKey"] == "RAND"]
    events = [row for row in rows if row["formKey"] == "AE"]
    variable = next(
        row
        for row in registry.rows("variables", study)
        if row["formKey"] == "AE" and row["variableName"] == "AETERM"
    )

    def answer(record, text):
        with registry.edit(study) as edit:
            edit.records.change(record["recordId"], {"SYSBP": text}, reason=text)

    def run(*arguments):
        done = account.command("run", *arguments)
        assert done.code == 0, done.said
        return done.said

    said = [run()]
    answer(vitals[0], PLANTED[0])
    answer(vitals[1], PLANTED[2])
    with registry.edit(study) as edit:
        edit.records.change(events[0]["recordId"], {"AETERM": PLANTED[3]})
        edit.records.change(kits[0]["recordId"], {"KITNO": PLANTED[4]}, reason=PLANTED[4])
    said.append(run())
    answer(vitals[0], PLANTED[1])
    with registry.edit(study) as edit:
        edit.records.delete(vitals[1]["recordId"], reason=PLANTED[2])
        edit.records.delete(kits[0]["recordId"], reason=PLANTED[4])
    said.append(run())
    with account.instance() as real:
        told = materializations(real, "records")[study]
    assert [(each["refresh"], each["rows_changed"]) for each in told[1:]] == [
        ("counted", 4),
        ("counted", 3),
    ]
    with registry.edit(study) as edit:
        edit.variables.change(variable["variableId"], blinded=True)
    said.append(run())
    said.append(account.command("failures").said)
    stored = [
        " ".join(LocalPipelineStore(folder).download(f"records/{study}")["record_data"])
        for folder in (account.home / "artifacts", account.home / "artifacts" / "restricted")
    ]
    assert [[text for text in PLANTED if text in data] for data in stored] == [
        [PLANTED[1], PLANTED[2]],
        [PLANTED[3], PLANTED[4]],
    ]
    assert readable(account, *said, caplog.text) == set()


def test_what_looks_for_the_strings_finds_them(account):
    """The control."""
    (account.home / "storage").mkdir(exist_ok=True)
    (account.home / "storage" / "event").write_text(f"x{PLANTED[0]}y")
    assert readable(account, f"said {PLANTED[1]}") == set(PLANTED[:2])
