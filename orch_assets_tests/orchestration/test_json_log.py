"""Log lines as JSON."""

import io
import json
import logging

import pytest

from orch_assets.orchestration import JsonLogFormatter
from orch_assets_tests.orchestration.registries import execute


@pytest.fixture
def lines():
    """Return the lines logged so far."""
    stream, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLogFormatter())
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


def test_every_line_of_a_study_carries_it_whoever_logs(lines):
    def work(study_key, sdk, study_logger):
        study_logger.info("read %d pages", 3, extra={"pages": 3})
        logging.getLogger("somebody.else").warning("two\nlines")

    execute(work, "A", "B", max_workers=1)
    shown = ("level", "logger", "message", "study_key", "pages")
    assert [{name: line[name] for name in shown if name in line} for line in lines()] == [
        line
        for key in "AB"
        for line in (
            {
                "level": "INFO",
                "logger": "orch_assets.study",
                "message": "read 3 pages",
                "study_key": key,
                "pages": 3,
            },
            {
                "level": "WARNING",
                "logger": "somebody.else",
                "message": "two\nlines",
                "study_key": key,
            },
        )
    ]


def test_outside_of_a_study_the_key_is_null(lines):
    logging.getLogger("x").info("hello")
    (line,) = lines()
    assert line["study_key"] is None
    assert line["time"].endswith("+00:00")
    assert set(line) == {"time", "level", "logger", "message", "study_key"}


def test_an_exceptions_text_and_what_json_cannot_hold_are_left_out(lines):
    class Table:
        def __repr__(self):
            return "Ms Jones"

    def work(study_key, sdk, study_logger):
        try:
            int("Ms Jones, 1962")
        except ValueError:
            study_logger.exception("no age", extra={"table": Table()})

    execute(work, "A")
    (line,) = lines()
    assert line["error"].startswith("ValueError (at test_json_log.py:")
    assert line["table"] == "<Table>"
    assert "Jones" not in json.dumps(line)


def test_a_caller_can_neither_break_nor_fake_a_line(lines):
    logging.getLogger("x").info("hello", extra={"time": "never", "level": 0, "error": "mine"})
    (line,) = lines()
    assert (line["level"], line["error"]) == ("INFO", "mine")
    assert line["time"] != "never"
