"""A study's charts and its report, made from a real account: counts, and no value of a subject."""

import re
import stat

import pytest

from orch_assets import LocalPipelineStore
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.stores import ArtifactKind
from orch_assets_tests.scenarios.end_to_end.account import Account
from orch_assets_tests.support.browser import CHROMIUM, open_page

STUDY = "ONC-301"
PLANTED = ("plantagenet-jane", "1961-07-04", "plantagenet-free-text", "plantagenet-user")


@pytest.fixture
def account(tmp_path, monkeypatch, capsys):
    with DemoServer(DemoRegistry(studies=2, subjects=40)) as server:
        plant(server.registry)
        yield Account(server, tmp_path, monkeypatch, capsys)


def plant(registry):
    """Put strings into subjects, answers, queries and reasons for changes."""
    name, born, text, user = PLANTED
    with registry.edit(STUDY) as edit:
        for row in registry.rows("records", STUDY)[:300]:
            if row["formKey"] == "AE":
                edit.records.change(row["recordId"], {"AETERM": text}, reason=user)
            if row["formKey"] == "DM":
                edit.records.change(row["recordId"], {"ICDAT": born, "INITIALS": name})
    for row in registry.rows("subjects", STUDY):
        registry.update_row("subjects", STUDY, row["subjectId"], subjectKey=name)
    for row in registry.rows("queries", STUDY):
        comments = [{**each, "comment": text, "user": user} for each in row["queryComments"]]
        registry.update_row("queries", STUDY, row["annotationId"], queryComments=comments)


def secrets(account):
    return (*PLANTED, account.server.api_key, account.server.security_key)


def test_a_report_is_written_and_holds_no_value_and_no_key(account):
    assert account.command("run").code == 0
    done = account.command("report", "--study", STUDY)
    assert (done.code, done.out) == (0, f"Report about study {STUDY}: report-{STUDY}.html\n")
    path = account.working_folder / f"report-{STUDY}.html"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    page = path.read_text(encoding="utf-8")
    assert [text for text in secrets(account) if text in page] == []
    assert "10 of 10 tables have as many rows as iMednet counts." in page
    store = LocalPipelineStore(account.home / "artifacts")
    assert store.manifest(f"subjects/{STUDY}").content.sha256 in page
    events = b"".join(each.read_bytes() for each in account.home.rglob("*.db*"))
    assert [text for text in secrets(account) if text.encode() in events] == []


def test_an_unknown_study_and_one_without_a_run_are_told(account):
    account.know(STUDY, "CARD-202")
    unknown = account.command("report", "--study", "ONC-30")
    assert unknown.code == 2
    assert "ONC-30 is not a known study. Did you mean ONC-301?" in unknown.err
    never = account.command("report", "--study", STUDY)
    assert never.code == 2
    assert f"Nothing has been run for study {STUDY} yet." in never.err
    assert list(account.working_folder.iterdir()) == []


def test_a_failed_study_is_reported_with_cause_and_place_but_without_messages(account):
    account.server.registry.forbid_study(STUDY)
    assert account.command("run", "--study", STUDY).code == 1
    path = account.working_folder / "failed.html"
    assert account.command("report", "--study", STUDY, "--to", str(path)).code == 0
    page = path.read_text(encoding="utf-8")
    assert re.search(r"RegistryRefusedError</td><td><code>\w+\.py:\d+ in \w+", page)
    # A part of the error's message. Its "403" alone also occurs in hashes and times.
    assert "may not read this" not in page


def test_a_file_that_cannot_be_written_is_told(account):
    account.know(STUDY)
    assert account.command("run", "--study", STUDY, "--pipeline", "sites").code == 0
    done = account.command("report", "--study", STUDY, "--to", "none/report.html")
    assert done.code == 2
    assert "none/report.html can't be written: No such file or directory." in done.err


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_report_opens_without_a_network(account):
    assert account.command("run", "--study", STUDY).code == 0
    assert account.command("report", "--study", STUDY).code == 0
    path = account.working_folder / f"report-{STUDY}.html"
    with open_page() as page:
        asked, said = [], []
        page.context.set_offline(True)
        page.route(path.as_uri(), lambda route: route.continue_())  # nothing else is let through
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(path.as_uri())
        assert page.get_by_role("heading", name=f"Study {STUDY}").is_visible()
        size = "image => [image.complete, image.naturalWidth]"
        assert page.locator("img").evaluate(size) == [True, 1200]
        shown = page.inner_text("body")
    assert (asked, said) == ([path.as_uri()], [])
    assert [text for text in secrets(account) if text in shown] == []


def test_without_matplotlib_the_charts_are_skipped_and_the_counts_are_not(account, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert account.command("run", "--study", STUDY).code == 0
    store = LocalPipelineStore(account.home / "artifacts")
    assert store.exists(f"study_summary/{STUDY}")
    assert not store.exists(f"study_charts/{STUDY}", kind=ArtifactKind.PNG)
    done = account.command("report", "--study", STUDY)
    assert done.code == 2
    assert 'pip install "orch-assets[charts]"' in done.err
