"""A process is known by more than its number, which another one gets sooner or later."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.defs.runs.processes import Process

_NAMES_ITSELF = """
import sys
from orch_assets.defs.runs.processes import Process
print(Process.this().to_json(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def child() -> "Iterator[subprocess.Popen[str]]":
    with subprocess.Popen(
        [sys.executable, "-c", _NAMES_ITSELF],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def named_by(process: "subprocess.Popen[str]") -> Process:
    assert process.stdout
    found = Process.from_json(process.stdout.readline())
    assert found is not None
    assert found.pid == process.pid
    return found


def test_a_process_lives_until_it_is_killed(child) -> None:
    """Also before its parent asks how it ended."""
    named = named_by(child)
    assert named.lives() is True
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert named.lives() is False
    child.wait()
    assert named.lives() is False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process began")
def test_another_process_of_the_same_number_is_not_taken_for_it(child) -> None:
    named = named_by(child)
    assert replace(named, started=str(int(named.started) - 1)).lives() is False


@pytest.mark.parametrize(
    "elsewhere", [{"host": "other"}, {"machine": "other"}, {"namespace": "pid:[1]"}]
)
def test_of_another_host_or_container_nothing_is_known(elsewhere: dict[str, str]) -> None:
    """Whether its number is taken here or not."""
    for pid in (Process.this().pid, 2**22 + 1):
        assert replace(Process.this(), pid=pid, **elsewhere).lives() is None


def test_what_ran_before_the_machine_started_anew_never_seems_to_live() -> None:
    assert replace(Process.this(), boot="earlier").lives() is not True


@given(
    st.text()
    | st.dictionaries(
        st.sampled_from(["host", "pid", "started", "x"]), st.integers() | st.text() | st.none()
    ).map(json.dumps)
    | st.fixed_dictionaries({"host": st.text() | st.none(), "pid": st.integers()}).map(json.dumps)
)
def test_any_text_tells_of_a_process_or_of_none(text: str) -> None:
    """Whoever may launch runs may give them tags."""
    found = Process.from_json(text)
    assert found is None or found.lives() in (True, False, None)
