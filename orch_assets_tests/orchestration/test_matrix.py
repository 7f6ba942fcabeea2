"""The matrix of results on a terminal: row counts, and what changed since the last run."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from orch_assets.commands.grids import print_matrix
from orch_assets.orchestration.reporting.matrix import MatrixEntry, as_markdown

READ_WHOLE = MatrixEntry(
    study_key="ONC-301",
    pipeline="forms",
    status="SUCCESS",
    data=None,
    error=None,
    duration_seconds=1.0,
    rows=14,
    uri="file:///x",
    sha256="0" * 64,
    run_id="1",
    finished_at=datetime(2026, 11, 28, tzinfo=UTC),
    event_id=1,
    refresh="read whole",
    rows_new=14,
)
COUNTED = replace(
    READ_WHOLE,
    pipeline="records",
    rows=20_011,
    refresh="counted",
    rows_new=1_012,
    rows_changed=4,
    rows_deleted=1,
    rows_vanished=1,
    requests_saved=38,
)
SAME = replace(COUNTED, rows_new=0, rows_changed=0, rows_deleted=0, rows_vanished=0)
CARRIED = replace(
    READ_WHOLE, pipeline="form_tables", refresh="carried forward", rows=20_011, rows_new=None
)


def printed(entries, width):
    console = Console(width=width)
    with console.capture() as captured:
        print_matrix(console, entries)
    return [" ".join(line.split()) for line in captured.get().splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("entry", "changes"),
    [
        (COUNTED, "+1,012 ~3 \N{MINUS SIGN}2"),
        (replace(COUNTED, rows_changed=1, rows_vanished=0), "+1,012 \N{MINUS SIGN}1"),
        (SAME, "="),
        (CARRIED, "="),
        (replace(SAME, refresh=None, rows_changed=5), "~5"),
        (READ_WHOLE, None),
        (replace(SAME, refresh="read whole"), "="),
        (replace(COUNTED, refresh="read whole", rows_deleted=0, rows_vanished=0), "+1,012 ~4"),
        (replace(SAME, refresh="read whole", rows_changed=None), "~"),
        (replace(READ_WHOLE, refresh=None, rows_new=None), None),
        (replace(COUNTED, status="FAILED"), None),
    ],
)
def test_a_result_says_how_its_rows_changed_if_they_were_compared(entry, changes):
    """A deleted row counts once: as removed, not as changed."""
    assert entry.changes == changes


def test_a_wide_table_has_rows_and_changes():
    lines = printed([COUNTED, READ_WHOLE, CARRIED], 90)
    assert lines[0] == (
        "Rows of each study's tables; + new, ~ changed, \N{MINUS SIGN} removed, = unchanged; "
        "✗ is a failure."
    )
    assert lines[-1] == "ONC-301 20,011 = 14 20,011 +1,012 ~3 \N{MINUS SIGN}2"


def test_a_narrower_table_has_the_changes_alone():
    lines = printed([COUNTED, READ_WHOLE, CARRIED], 38)
    assert lines[-1] == "ONC-301 = 14 +1,012 ~3 \N{MINUS SIGN}2"


def test_where_no_table_fits_a_paragraph_names_only_what_changed():
    """Its lines break only between results."""
    lines = printed([COUNTED, READ_WHOLE, CARRIED, replace(SAME, pipeline="queries")], 36)
    assert lines[-3:] == [
        "ONC-301 forms 14,",
        "records 20,011 +1,012 ~3 \N{MINUS SIGN}2,",
        "2 unchanged",
    ]


def test_without_a_refresh_the_table_is_the_same_as_ever():
    lines = printed([replace(READ_WHOLE, refresh=None, rows_new=None)], 90)
    assert lines[0] == "Rows of each study's tables; ✗ is a failure."
    assert lines[-1] == "ONC-301 14"


def test_the_matrix_in_the_ui_has_rows_and_changes():
    lines = as_markdown([COUNTED, SAME], ["records"]).splitlines()
    assert lines[2] == "| ONC-301 | 20,011 = |"
