"""The portfolio: states and ages of all results, as a picture, as Markdown and on a terminal."""

import re
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from orch_assets.commands.grids import print_matrix, print_portfolio
from orch_assets.orchestration.reporting.matrix import MatrixEntry, as_markdown, newest, with_ages
from orch_assets.orchestration.reporting.matrix_picture import matrix_svg
from orch_assets.orchestration.reporting.portfolio import Portfolio, State, age_text
from orch_assets.orchestration.reporting.portfolio_page import portfolio_page

NOW = datetime(2026, 11, 28, 20, tzinfo=UTC)
REFUSED = "RegistryRefusedError: iMednet registry, /studies/{}/{}: HTTP 403 (at http.py:152 in get)"
TWENTY = [f"pipeline_{number:02}" for number in range(20)]
SVG = "{http://www.w3.org/2000/svg}"


def entry(study, pipeline, hours=2.0, *, event=1, **changed):
    """Return a success that was recorded some hours ago."""
    at = NOW - timedelta(hours=hours)
    made = MatrixEntry(
        study, pipeline, "SUCCESS", None, None, 1.0, 14, "file:///x", "0" * 64, "run-1", at, event
    )
    return replace(made, **changed)


def failed(study, pipeline, hours=1.0, *, event=1, report=None, run_id="run-2", error=REFUSED):
    return entry(
        study,
        pipeline,
        hours,
        event=event,
        status="FAILED",
        error=error.format(study, pipeline),
        failure_report=report,
        run_id=run_id,
    )


def portfolio(entries, pipelines=("forms", "labs"), studies=None):
    studies = studies or list(dict.fromkeys(each.study_key for each in entries))
    found = newest(entries, studies, pipelines)
    return Portfolio(with_ages(found, NOW), list(pipelines), NOW)


FIVE_STATES = portfolio(
    [
        entry("ONC-1", "forms"),
        entry("ONC-1", "labs", 24 * 9),
        entry("R&D|2", "forms", 30),
        failed("R&D|2", "forms", event=2, report="s3://r/failures/run-2/forms/R&D|2.json"),
        entry("R&D|2", "labs", skipped="no PK in this study"),
        failed("<b>3", "forms", event=9, report="s3://r/2.json"),
        failed("<b>3", "labs", event=4, error="UpstreamFailed: forms"),
        entry("ONC-4", "forms", 0.2),
    ]
)


def cells(found):
    return [[found.cell(study, pipeline) for pipeline in found.pipelines] for study in found.rows]


def test_a_cell_has_the_age_of_the_last_success_and_a_symbol_for_all_else():
    """No state depends on a color."""
    assert cells(FIVE_STATES) == [["2h", "9d!"], ["✗30h", "–"], ["✗", "✗"], ["0h", "·"]]
    states = {FIVE_STATES.state(study, p) for study in FIVE_STATES.rows for p in ("forms", "labs")}
    assert states == set(State)
    assert FIVE_STATES.summary == (
        "4 studies × 2 pipelines: 3 failed, 1 old, 2 recent, 1 skipped, 1 never run"
    )


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (-5, "0h"),
        (0.99, "0h"),
        (47.9, "47h"),
        (48, "2d"),
        (24 * 99.9, "99d"),
        (24 * 100, "14w"),
        (24 * 729, "104w"),
        (24 * 730, "2y"),
    ],
)
def test_an_age_is_a_short_text(hours, text):
    assert age_text(timedelta(hours=hours)) == text


def test_the_worst_studies_come_first_and_others_keep_their_order():
    assert FIVE_STATES.worst_first == ["<b>3", "R&D|2", "ONC-1", "ONC-4"]


def test_ages_in_the_table_are_hours_at_its_moment():
    """They have one decimal; a study that never succeeded, or was skipped since, has none."""
    ages = [each.age_hours for each in FIVE_STATES.entries]
    assert ages == [2.0, 216.0, 30.0, None, None, None, 0.2]


def picture(page):
    return ET.fromstring(b64decode(re.search(r"base64,([\w+/=]+)\)", page)[1]))


def texts(svg):
    return [each.text for each in svg.iter(f"{SVG}text")]


def test_the_picture_has_a_name_for_each_row_and_column_and_a_text_for_each_row():
    svg = ET.fromstring(matrix_svg(FIVE_STATES, FIVE_STATES.rows))
    assert texts(svg) == [
        "forms",
        "labs",
        "ONC-1",
        "R&D|2",
        "<b>3",
        "ONC-4",
        "  2h  9d! ",
        "✗30h    – ",
        "   ✗    ✗ ",
        "  0h    · ",
    ]
    colored = {path.get("fill"): path.get("d") for path in svg.iter(f"{SVG}path")}
    assert colored["#e8813c"] == "M0 18h36v18h-36zM0 36h72v18h-72z"  # neighbors are one


def test_the_page_says_why_studies_failed_and_which_results_are_oldest():
    """Names can't become markup, and links work below any path: they are relative."""
    page = portfolio_page(FIVE_STATES)
    shown = re.sub(r"base64,[\w+/=]+", "base64,…", page)
    assert shown == (
        "**4 studies × 2 pipelines: 3 failed, 1 old, 2 recent, 1 skipped, 1 never run** "
        "(2026-11-28 20:00 UTC)\n\n"
        "5h, 9d: age of the last success; !: older than 7d; ✗: failed; –: skipped; "
        "·: never run\n\n"
        "![4 studies × 2 pipelines: 3 failed, 1 old, 2 recent, 1 skipped, 1 never run]"
        "(data:image/svg+xml;base64,…)\n\n"
        "### Why studies failed\n\n"
        "- RegistryRefusedError: iMednet registry, /studies/R\\&D\\|2/forms: HTTP 403 "
        "\\(at http.py:152 in get\\)\n"
        "  - 2 studies: R\\&D\\|2, \\<b\\>3\n"
        "  - pipeline: forms\n"
        "  - failure report (the first of 2): s3://r/failures/run\\-2/forms/R\\&D\\|2.json\n"
        "  - [newest run run-2](../runs/run-2)\n\n"
        "1 more result is missing because an upstream failed.\n\n"
        "### Oldest results\n\n"
        "| study | pipeline | last success | age |\n"
        "|---|---|---|---:|\n"
        "| [ONC\\-1](../assets/labs?view=partitions&partition=ONC-1) | labs | 2026-11-19 20:00 "
        "| 9d |\n"
    )


def test_a_cause_links_to_the_run_of_its_last_failure():
    page = portfolio_page(
        portfolio([failed("B", "forms", event=7, run_id="new"), failed("A", "forms", run_id="old")])
    )
    assert "[newest run new](../runs/new)" in page
    assert "../runs/old" not in page


def many(studies, pipelines=TWENTY):
    """Return a portfolio of which a seventh failed, a few are old, and the rest is recent."""
    return portfolio(
        [
            failed(f"ONC-{s}", p, report=f"s3://restricted/failures/run-2/{p}/ONC-{s}.json")
            if (s + n) % 7 == 0
            else entry(f"ONC-{s}", p, hours=24 * 30 if (s + n) % 20 == 0 else 5)
            for s in range(studies)
            for n, p in enumerate(pipelines)
        ],
        pipelines,
    )


@pytest.mark.parametrize(
    ("studies", "pipelines", "most"), [(12, 17, 14_000), (50, 20, 44_000), (500, 20, 50_000)]
)
def test_the_pages_of_an_event_are_small_however_many_studies_there_are(studies, pipelines, most):
    found = many(studies, TWENTY[:pipelines])
    markdown = as_markdown(found.entries, found.pipelines)
    assert len(portfolio_page(found).encode()) + len(markdown.encode()) < most


def test_pages_say_how_many_studies_they_leave_out_and_where_all_are():
    found = many(500)
    sentence = "440 more studies are not shown here: see `orch-assets results`, or the table"
    assert sentence in portfolio_page(found)
    assert sentence in as_markdown(found.entries, found.pipelines)
    shown = texts(picture(portfolio_page(found)))[20:80]
    assert shown == found.worst_first[:60]


NAMES = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=70, unique=True), st.integers(1, 40))
def test_every_study_is_shown_or_counted(studies, number):
    """Whatever the keys are, the picture is sound XML."""
    pipelines = [f"p{each}" for each in range(number)]
    found = portfolio([entry(study, pipelines[0]) for study in studies], pipelines)
    page = portfolio_page(found)
    rows = texts(picture(page))[number:]
    shown = rows[: len(rows) // 2]
    left_out = re.search(r"([\d,]+) more stud(?:y is|ies are) not shown here", page)
    assert shown == found.worst_first[: len(shown)]
    assert len(shown) + (int(left_out[1]) if left_out else 0) == len(studies)


def printed(show, shown, *, width, terminal=True, height=24):
    console = Console(width=width, height=height, force_terminal=terminal, color_system=None)
    with console.capture() as captured:
        show(console, shown)
    return captured.get().splitlines()


def test_a_wide_terminal_shows_the_age_of_each_result():
    found = portfolio(
        [entry("ONC-1", "record_revisions"), failed("ONC-2", "labs")], ("labs", "record_revisions")
    )
    assert [" ".join(line.split()) for line in printed(print_portfolio, found, width=90)] == [
        "2 studies × 2 pipelines: 1 failed, 1 recent, 2 never run",
        "5h, 9d: age of the last success; !: older than 7d; ✗: failed; –: skipped; ·: never run",
        "",
        "record",
        "study labs revisions",
        "─" * 20,
        "ONC-1 · 2h",
        "ONC-2 ✗ ·",
        "",
    ]


LONG = ("adverse_events", "laboratory", "vital_signs", "visits")


def test_where_names_are_too_wide_they_stand_as_stairs():
    found = portfolio([entry("ONC-1", "visits", 24 * 9), failed("ONC-2", "laboratory")], LONG)
    assert printed(print_portfolio, found, width=32)[-6:] == [
        "       adverse_events",
        "       │   laboratory",
        "       │   │   vital_signs",
        "       │   │   │   visits",
        "ONC-1  ·   ·   ·   9d!",
        "ONC-2  ·   ✗   ·   ·",
    ]


def test_where_ages_do_not_fit_either_each_result_is_a_symbol():
    found = portfolio([entry("ONC-1", "visits", 24 * 9), entry("ONC-1", "laboratory")], LONG)
    lines = printed(print_portfolio, found, width=24)
    assert lines[-1] == "ONC-1  · ✓ · !"
    assert lines[1] == "✓: recent; !: older than 7d; ✗: failed; –: skipped; ·: never run"


def test_a_file_has_a_line_to_grep_for_each_study():
    found = portfolio([entry("ONC-1", "visits", 24 * 9), entry("ONC-1", "laboratory")], LONG)
    lines = printed(print_portfolio, found, width=38, terminal=False)
    assert lines[-2:] == ["ONC-1  adverse_events ·,", "  vital_signs ·, visits 9d!, 1 recent"]


@pytest.mark.parametrize("width", [80, 200])
def test_50_studies_and_20_pipelines_are_a_line_each_on_a_terminal(width):
    """No line is broken, and each has a cell for each pipeline."""
    found = many(50)
    for show, shown in ((print_portfolio, found), (print_matrix, found.entries)):
        lines = printed(show, shown, width=width)
        rows = [line.split() for line in lines if line.strip().startswith("ONC-")]
        assert [row[0] for row in rows] == found.rows
        assert {len(row) for row in rows} == {21}
        assert len(lines) < 80


def test_a_run_shows_symbols_only_on_a_screen_without_room_for_numbers():
    skipped = entry("ONC-2", "visits", skipped="no PK in this study")
    compared = {"refresh": "counted", "rows_new": 0, "rows_changed": 2}
    entries = [
        entry("ONC-1", "adverse_events", **compared),
        entry("ONC-1", "laboratory", refresh="carried forward"),
        failed("ONC-2", "laboratory"),
        skipped,
        entry("ONC-2", "vital_signs"),
    ]
    assert printed(print_matrix, entries, width=33, height=3)[-6:] == [
        "       adverse_events",
        "       │ laboratory",
        "       │ │ visits",
        "       │ │ │ vital_signs",
        "ONC-1  ~ = · ·",
        "ONC-2  · ✗ – ✓",
    ]
    with_room = printed(print_matrix, entries, width=33, height=24)
    assert with_room[-6:] == [
        "ONC-1  adverse_events 14 ~2,",
        "  visits ·, vital_signs ·,",
        "  1 unchanged",
        "ONC-2  adverse_events ·,",
        "  laboratory ✗, visits –,",
        "  vital_signs 14",
    ]
