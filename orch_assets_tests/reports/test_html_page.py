"""A report as an HTML page: escaped, complete without a network, and without small counts."""

import os
import re
import stat
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from orch_assets.charts.summary_panels import panels
from orch_assets.reports.html_page import html_page
from orch_assets.reports.study_report import (
    ReportedChange,
    ReportedResult,
    ReportedVersion,
    StudyReport,
)
from orch_assets.reports.whole_file import write_whole

MOMENT = datetime(2025, 6, 1, 12, 30, tzinfo=UTC)
EVIL = '<script>alert("x")</script>&amp;'


def report(study_key="ONC-301", name="subjects", rows=57, limit=5, **changed):
    counts = [
        {"measure": "open_queries_by_age", "category": age, "count": count, "month": None,
         "site_name": ""}
        for age, count in (("0-7 days", 9), ("8-30 days", 3), ("31-90 days", 8))
    ]  # fmt: skip
    counts += [
        {"measure": "enrolled_by_site", "category": "enrolled", "count": 9, "month": None,
         "site_name": name}
    ]  # fmt: skip
    facts = {
        "study_key": study_key,
        "made_at": MOMENT,
        "limit": limit,
        "results": [
            ReportedResult(name, True, MOMENT, "run-1", rows, rows, "counted"),
            ReportedResult("labs", False, MOMENT, "run-1", cause=name, place=name),
            ReportedResult("pk", True, MOMENT, "run-1", skipped=True),
        ],
        "versions": [
            ReportedVersion(name, "ab12", 1234, "2025-06-01T12:29:00", "run-1", name, {name: name})
        ],
        "panels": panels(counts, limit),
        "dictionary_changes": [ReportedChange(MOMENT, "retyped", name, name)],
    }
    return StudyReport(**{**facts, **changed})


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def of(self, tag):
        return [attributes for each, attributes in self.elements if each == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_names_are_escaped_wherever_they_are():
    page = Page(html_page(report(EVIL, EVIL)))
    assert page.of("script") == []
    assert page.text.count(EVIL) == 12
    assert f"Study {EVIL}" in page.text


def test_a_page_needs_no_other_file_and_runs_nothing():
    text = html_page(report())
    page = Page(text)
    links = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in {"src", "href", "action", "data", "srcset"}
    ]
    assert [link[:22] for link in links] == ["data:image/png;base64,"]
    assert not re.search(r"https?:|//|url\(|@import", re.sub(r"base64,[^\"]+", "", text))
    policies = [each["content"] for each in page.of("meta") if "http-equiv" in each]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_a_page_can_be_read_without_seeing_it():
    page = Page(html_page(report()))
    assert page.of("html") == [{"lang": "en"}]
    assert len(page.of("h1")) == 1
    assert len(page.of("caption")) == len(page.of("table")) > 3
    assert all(each["scope"] in {"row", "col"} for each in page.of("th"))
    (picture,) = page.of("img")
    assert "Open queries by age: 20 in all." in picture["alt"]


def test_small_counts_are_merged_and_small_tables_have_no_number():
    page = Page(html_page(report(rows=3)))
    assert "8-90 days 11" in page.text
    assert "8-30 days" not in page.text
    assert "counted fewer than 5 fewer than 5 yes" in page.text


def test_tables_without_subjects_have_their_number():
    assert "counted 3 3 yes" in Page(html_page(report(name="forms", rows=3))).text


def test_a_page_says_what_failed_and_what_did_not_reconcile():
    results = [ReportedResult("subjects", True, MOMENT, "run-1", 57, 58, "counted")]
    page = Page(html_page(report(results=results)))
    assert "0 of 1 tables have as many rows as iMednet counts." in page.text
    assert "counted 57 58 no" in page.text
    page = Page(html_page(report()))
    assert "1 of 3 pipelines succeeded at their last attempt; 1 skipped the study." in page.text
    assert "pk 2025-06-01 12:30 skipped" in page.text


def test_a_study_without_counts_has_no_empty_charts():
    page = Page(html_page(report(panels=panels([], 5))))
    assert page.of("img") == []
    assert "Open queries by age: not counted yet: run study_summary." in page.text


def test_the_same_report_is_the_same_page():
    assert html_page(report()) == html_page(report())


def test_a_file_is_written_whole_and_for_its_owner_only(tmp_path):
    path = tmp_path / "report.html"
    write_whole(path, "first")
    write_whole(path, "zweiter – ü")
    assert path.read_text(encoding="utf-8") == "zweiter – ü"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_only_a_regular_file_is_replaced(tmp_path, kind):
    """Whoever is root could replace a device such as /dev/null."""
    path = tmp_path / "report.html"
    {"pipe": os.mkfifo, "link": lambda link: link.symlink_to("target"), "folder": Path.mkdir}[kind](
        path
    )
    before = path.lstat()
    with pytest.raises(OSError, match="isn't a regular file; name another"):
        write_whole(path, "text")
    assert path.lstat() == before
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_a_file_that_cannot_be_written_leaves_the_earlier_one(tmp_path):
    path = tmp_path / "report.html"
    write_whole(path, "first")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "half \ud800")
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text() == "first"
