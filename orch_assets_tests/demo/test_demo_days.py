"""The days of the demo's account: counted in DAGSTER_HOME, never backwards."""

import subprocess
import sys

import pytest

from orch_assets.demo.demo_days import MOST_DAYS, begin_demo_day, demo_days
from orch_assets.errors import SettingError


def test_the_first_run_sees_the_account_as_it_is_and_each_further_one_a_day_later(tmp_path):
    assert demo_days(tmp_path) == 0
    assert [begin_demo_day(tmp_path) for _ in range(3)] == [0, 1, 2]
    assert demo_days(tmp_path) == 2


def test_reading_the_days_begins_none(tmp_path):
    assert [demo_days(tmp_path), demo_days(tmp_path)] == [0, 0]
    assert list(tmp_path.iterdir()) == []
    assert demo_days(None) == demo_days(tmp_path / "missing") == 0


def test_an_account_ends_to_change_so_that_its_start_stays_fast(tmp_path):
    (tmp_path / "demo_days").write_text(f"{MOST_DAYS - 1}\n")
    assert [begin_demo_day(tmp_path) for _ in range(2)] == [MOST_DAYS, MOST_DAYS]


def test_processes_that_begin_days_at_once_begin_different_days(tmp_path):
    code = (
        "import pathlib, sys; from orch_assets.demo.demo_days import begin_demo_day;"
        "print([begin_demo_day(pathlib.Path(sys.argv[1])) for _ in range(20)])"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    days = [
        int(day) for each in processes for day in each.communicate()[0].strip("[]\n").split(",")
    ]
    assert sorted(days) == list(range(40))


def test_a_file_that_a_killed_process_left_empty_counts_as_none(tmp_path):
    (tmp_path / "demo_days").touch()
    assert demo_days(tmp_path) == 0
    assert begin_demo_day(tmp_path) == 0


@pytest.mark.parametrize("text", ["-1", "one", "1.5"])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "demo_days").write_text(text)
    for call in (demo_days, begin_demo_day):
        with pytest.raises(SettingError, match=r"demo_days must hold the number of days\. Delete"):
            call(tmp_path)
