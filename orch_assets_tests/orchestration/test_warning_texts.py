"""Warnings show only type and place once their texts are hidden."""

import asyncio
import gc
import logging
import subprocess
import sys
import warnings

import pytest

from orch_assets.orchestration.reporting import warning_texts


@pytest.fixture
def said(monkeypatch, caplog):
    """Hide the texts of warnings during a test; yield the loggers' output."""
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setattr(logging.getLogger("asyncio"), "filters", [])
    warning_texts.hide_warning_texts()
    warning_texts.hide_warning_texts()
    return caplog


def test_a_warning_tells_its_type_and_place(said) -> None:
    told = warnings.formatwarning(UserWarning("planted"), UserWarning, __file__, 7)
    assert told.startswith(f"{__file__}:7: UserWarning (")
    assert "planted" not in told
    made_up = warnings.formatwarning("planted", UserWarning, "planted.py", 7)
    assert made_up.startswith("<no file>: UserWarning (")
    assert "planted" not in made_up


def test_warnings_of_a_process_are_formatted_so() -> None:
    """Python writes every warning to stderr with it, those of pandas included."""
    program = (
        "import warnings\n"
        "from orch_assets.orchestration.reporting.warning_texts import hide_warning_texts\n"
        "hide_warning_texts(); warnings.warn('plan' + 'ted')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "UserWarning (its text may hold data and is left out)" in done.stderr
    assert "planted" not in done.stderr


def test_asyncio_warns_without_the_names_of_tasks(said) -> None:
    async def leave() -> None:
        waiting = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(_wait_for(waiting), name="planted")
        await asyncio.sleep(0)
        del task, waiting

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    gc.collect()
    loop.close()
    assert said.messages == ["Task was destroyed but it is pending!"]


async def _wait_for(future: "asyncio.Future[None]") -> None:
    await future


def test_what_asyncio_shows_in_one_line_is_left_out(said) -> None:
    logging.getLogger("asyncio").warning("Executing %r took %.3f seconds", object(), 1.0)
    assert said.messages == ["A warning of asyncio (its text may hold data and is left out)"]


def test_other_loggers_say_what_they_say(said) -> None:
    logging.getLogger("somebody").warning("<seven> forms")
    assert said.messages == ["<seven> forms"]
