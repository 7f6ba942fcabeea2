"""What holds for every edit: all or nothing, one at a time, refused where the account would."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from orch_assets.demo import DemoRegistry
from orch_assets.demo.changes.study_edit import StudyEdit
from orch_assets_tests.demo.changes.conftest import STUDY, first, watched


def test_an_edit_that_fails_changes_nothing(registry: DemoRegistry) -> None:
    record = registry.rows("records", STUDY)[0]
    failing = pytest.raises(KeyError, match="no row 0")
    with watched(registry) as difference, failing, registry.edit(STUDY) as edit:
        edit.records.change(record["recordId"], {})
        edit.records.delete(0)
    assert difference == {}


def test_an_edit_sees_its_own_changes_and_others_do_not_before_its_end(
    registry: DemoRegistry,
) -> None:
    record = first(registry, "records", deleted=False)
    with registry.edit(STUDY) as edit:
        edit.records.delete(record["recordId"])
        assert edit.row("records", record["recordId"])["deleted"] is True
        assert registry.table("records", STUDY).get(record["recordId"]) == record
    new = registry.table("records", STUDY).get(record["recordId"])
    assert new is not None
    assert new["deleted"] is True


def test_an_edit_within_an_edit_of_the_study_is_refused(registry: DemoRegistry) -> None:
    """It would wait for itself."""
    with registry.edit(STUDY), pytest.raises(RuntimeError, match="is open in this thread"):
        registry.live_day()
    with registry.edit(STUDY) as edit:
        edit.records.change(edit.records.find()["recordId"], {})


def test_a_change_of_other_rows_during_an_edit_is_kept(registry: DemoRegistry) -> None:
    one, other = registry.rows("records", STUDY)[:2]
    with registry.edit(STUDY) as edit:
        edit.records.change(one["recordId"], {})
        registry.update_row("records", STUDY, other["recordId"], recordStatus="Meanwhile")
    now = registry.table("records", STUDY).get(other["recordId"])
    assert now is not None
    assert now["recordStatus"] == "Meanwhile"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda e: e.records.change(0, {}), KeyError, "no row 0"),
        (lambda e: e.records.change(_event(e), {"AETRM": ""}), KeyError, "no variable AETRM"),
        (lambda e: e.records.add("NOPE", e.subjects.find()["subjectId"], {}), KeyError, "no form"),
        (lambda e: e.records.add("AE", 0, {}), KeyError, "subjects has no row 0"),
        (
            lambda e: e.records.delete(e.records.find(deleted=True)["recordId"]),
            ValueError,
            "already",
        ),
        (lambda e: e.records.find(formKey="NOPE"), KeyError, "no row with"),
        (lambda e: e.queries.open(_event(e), "PULSE", ""), KeyError, "no answer PULSE"),
        (lambda e: e.sites.change(e.sites.find()["siteId"], siteId=1), ValueError, "siteId"),
        (lambda e: e.sites.change(e.sites.find()["siteId"], size=1), ValueError, "size"),
        (lambda e: e.sites.remove(e.subjects.find()["siteId"]), ValueError, "has subjects"),
        (
            lambda e: e.visits.restore(e.visits.find(deleted=False)["visitId"]),
            ValueError,
            "not del",
        ),
        (lambda e: e.variables.add("AE", "AETERM"), ValueError, "already has"),
        (lambda e: e.variables.add("NOPE", "A"), KeyError, "no form NOPE"),
        (lambda e: e.forms.add("AE", "Again"), ValueError, "already has"),
    ],
)
def test_what_the_account_would_refuse_is_refused(
    registry: DemoRegistry,
    change: Callable[[StudyEdit], object],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message), registry.edit(STUDY) as edit:
        change(edit)


def _event(edit: StudyEdit) -> int:
    return int(edit.records.find(formKey="AE")["recordId"])


def test_an_unknown_user_or_a_date_without_a_zone_is_refused(registry: DemoRegistry) -> None:
    naive = datetime(2025, 7, 1)  # noqa: DTZ001 - what is refused
    with pytest.raises(KeyError, match="no user nobody"), registry.edit(STUDY, user="nobody"):
        pass
    with pytest.raises(ValueError, match="time zone"), registry.edit(STUDY, at=naive):
        pass
    with pytest.raises(ValueError, match="time zone"):
        registry.clock.set(naive)


def test_the_clock_gives_each_edit_a_date_of_its_own_and_steps_back(registry: DemoRegistry) -> None:
    record = registry.rows("records", STUDY)[0]["recordId"]

    def edited(at: datetime | None = None) -> str:
        with registry.edit(STUDY, at=at) as edit:
            return str(edit.records.change(record, {})["dateModified"])

    assert [edited(), edited()] == ["2025-07-01 08:00:00", "2025-07-01 08:00:01"]
    registry.clock.tick = timedelta(0)
    registry.clock.advance(timedelta(minutes=-30))
    assert [edited(), edited()] == ["2025-07-01 07:30:02"] * 2
    registry.clock.late = timedelta(hours=2)  # committed now, and begun two hours ago
    assert edited() == "2025-07-01 05:30:02"
    assert edited(datetime(2024, 1, 1, tzinfo=UTC)) == "2024-01-01 00:00:00"
    assert registry.clock.text == "2025-07-01 07:30:02"
