"""The charts of a study: what they show of its counts, and when they say something instead."""

from hypothesis import given
from hypothesis import strategies as st

from orch_assets.charts.categories import ENTRY_LAGS, QUERY_AGES, categories
from orch_assets.charts.drawing import described, draw, png, small_png
from orch_assets.charts.summary_panels import cell_label, named_label, panels

SERIOUSNESS = ("serious", "not serious", "unknown")
MONTHS = [f"{year}-{month:02}" for year in (2021, 2022, 2023, 2024) for month in range(1, 13)]


def row(measure, category, count, *, site="", month=None):
    return {
        "measure": measure, "site_name": site, "category": category, "count": count, "month": month
    }  # fmt: skip


def titled(rows, limit=5):
    return {panel.title: panel for panel in panels(rows, limit)}


def shown(panel):
    """Return the cells of a chart: their labels and counts."""
    name = named_label if panel.kind == "bars" else cell_label
    return [(name(cell), *cell.counts) for cell in panel.cells]


ROWS = st.one_of(
    st.builds(row, st.just("enrolled_by_month"), st.just("enrolled"), st.integers(1, 9),
              month=st.sampled_from(MONTHS)),
    st.builds(row, st.just("enrolled_by_site"), st.just("enrolled"), st.integers(0, 9),
              site=st.text(min_size=1, max_size=3)),
    st.builds(row, st.just("adverse_events_by_month"), st.sampled_from(SERIOUSNESS),
              st.integers(1, 9), month=st.sampled_from([*MONTHS, "unknown"])),
    st.builds(row, st.just("open_queries_by_age"), st.sampled_from(categories(QUERY_AGES)),
              st.integers(1, 9)),
    st.builds(row, st.just("records_by_entry_lag"), st.sampled_from(categories(ENTRY_LAGS)),
              st.integers(1, 9)),
)  # fmt: skip


@given(
    st.lists(ROWS, max_size=60, unique_by=lambda r: (r["measure"], r["site_name"], r["category"],
                                                     r["month"])),
    st.integers(1, 8),
)  # fmt: skip
def test_no_chart_shows_a_small_count_and_each_adds_up(rows, limit):
    measures = {
        "Enrolled subjects": "enrolled_by_month",
        "Enrolled subjects by site": "enrolled_by_site",
        "Open queries by age": "open_queries_by_age",
        "Adverse events by month": "adverse_events_by_month",
        "Days from visit to entry": "records_by_entry_lag",
    }
    for title, panel in titled(rows, limit).items():
        total = sum(each["count"] for each in rows if each["measure"] == measures.get(title))
        assert not any(cell.has_small(limit) for cell in panel.cells)
        if panel.instead is None:
            assert sum(cell.total for cell in panel.cells) == total
        else:
            assert total < limit


def test_months_are_merged_until_no_count_is_small():
    rows = [row("enrolled_by_month", "enrolled", n, month=m) for m, n in
            (("2024-11", 6), ("2025-01", 3), ("2025-02", 4), ("2025-03", 2))]  # fmt: skip
    assert shown(titled(rows)["Enrolled subjects"]) == [
        ("2024-11", 6), ("2024-12", 0), ("2025-01 to 2025-03", 9)
    ]  # fmt: skip
    assert len(titled(rows, 1)["Enrolled subjects"].cells) == 5


def test_ages_are_merged_into_the_span_of_their_days():
    rows = [row("open_queries_by_age", *each) for each in
            (("0-7 days", 9), ("8-30 days", 3), ("31-90 days", 4), ("unknown", 1))]  # fmt: skip
    assert shown(titled(rows)["Open queries by age"]) == [
        ("0-7 days", 9),
        ("8-30 days or later, or unknown", 8),
    ]
    assert shown(titled(rows[:3])["Open queries by age"]) == [
        ("0-7 days", 9),
        ("8-90 days", 7),
        ("over 90 days", 0),
    ]


def test_many_sites_are_merged_into_others():
    rows = [row("enrolled_by_site", "enrolled", 10 + n, site=f"site {n}") for n in range(20)]
    cells = shown(titled(rows)["Enrolled subjects by site"])
    assert [label for label, _ in cells] == [*(f"site {n}" for n in range(19, 12, -1)), "13 others"]


def test_frequent_events_are_shown_by_month_and_seriousness():
    rows = [row("adverse_events_by_month", each, 7, month=month)
            for each in SERIOUSNESS for month in MONTHS[:4]]  # fmt: skip
    panel = titled(rows)["Adverse events by month"]
    assert panel.series == SERIOUSNESS
    assert shown(panel) == [(month, 7, 7, 7) for month in MONTHS[:4]]


def test_rare_serious_events_dont_merge_all_months():
    rows = [row("adverse_events_by_month", "not serious", 8, month=month) for month in MONTHS]
    rows += [row("adverse_events_by_month", "serious", 1, month=month) for month in MONTHS[::8]]
    panel = titled(rows)["Adverse events by month"]
    assert panel.note == "6 serious, 384 not serious"
    assert len(panel.cells) == 36
    assert panel.cells[0].labels[0] == MONTHS[0]


def test_a_study_without_an_adverse_events_form_is_not_shown_as_without_events():
    def instead(category):
        return titled([row("adverse_events_by_month", category, 0)])["Adverse events by month"]

    assert instead("no form").instead == "no adverse events form"
    assert instead("several forms").instead == "several adverse events forms"
    assert instead("any").instead == "none"


def test_an_earlier_releases_counts_are_not_shown_as_zero():
    found = titled([row("open_queries_by_age", "0-7 days", 9)])
    assert found["Open queries by age"].instead is None
    assert found["Overdue visits by days overdue"].instead.startswith("not counted yet")


def test_a_total_below_the_limit_is_shown_without_its_number():
    panel = titled([row("open_queries_by_age", "0-7 days", 3)])["Open queries by age"]
    assert (panel.instead, panel.cells) == ("fewer than 5", ())
    assert described(panel) == "Open queries by age: fewer than 5."


# --- the picture ---


def a_study():
    rows = [row("enrolled_by_month", "enrolled", 7, month=month) for month in MONTHS]
    rows += [row("enrolled_by_site", "enrolled", 9, site=site) for site in ("$x$", "東京", "Bern")]
    rows += [row("open_queries_by_age", name, 8) for name in categories(QUERY_AGES)]
    rows += [row("adverse_events_by_month", "serious", 6, month=month) for month in MONTHS]
    return panels(rows, 5)


def test_the_same_counts_give_the_same_bytes():
    picture = png(draw(a_study(), "ONC-301"))
    assert picture == png(draw(a_study(), "ONC-301"))
    assert small_png(picture) == small_png(picture)
    assert picture != png(draw(a_study(), "ONC-302"))


def test_the_small_picture_has_a_few_kilobytes():
    """It is in the event log, in base64."""
    assert len(small_png(png(draw(a_study(), "ONC-301")))) < 12_000
