"""What only slots as files have: dead texts, forks, owners, and files that somebody removes."""

import fcntl
import os
import signal
import threading
from pathlib import Path

import pytest

from orch_assets.imednet.request_limits import FileSlots


def test_the_file_of_a_dead_process_is_ignored_and_used_again(tmp_path: Path) -> None:
    account = tmp_path / "request_limits" / "ab"
    names = ("dead0000", "living00", "another0")
    dead, living, another = (FileSlots(tmp_path).open("ab", name) for name in names)
    for each in (dead, living):
        each.publish("1 8")
    dead.close()
    assert (account / "member-0").read_text().startswith("dead0000 1 8")
    assert living.publish("1 8").texts == {}
    assert another.publish("2 8").texts == {"living00": "1 8"}
    assert living.publish("1 8").texts == {"another0": "2 8"}
    assert {each.name for each in account.iterdir()} == {"member-0", "member-1"}
    assert account.stat().st_mode & 0o777 == 0o700
    living.close()
    another.close()


def test_what_a_dead_process_wrote_is_no_text_of_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Perhaps it wrote before the machine was started anew."""
    dead, following, observer = (
        FileSlots(tmp_path).open("ab", name) for name in ("dead0000", "next0000", "observer")
    )
    dead.publish("1 8")
    dead.close()
    write, seen = os.pwrite, []

    def observed_write(file: int, text: bytes, offset: int) -> int:
        seen.append(observer._others())
        return write(file, text, offset)

    monkeypatch.setattr(os, "pwrite", observed_write)
    following.publish("2 8")
    assert seen == [{}]
    following.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # with threads, on purpose
def test_a_fork_while_a_slot_is_locked_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (FileSlots(tmp_path).open("ab", name) for name in ("first000", "second00"))
    lock, is_locked, is_forked = fcntl.flock, threading.Event(), threading.Event()

    def slow_lock(file: int, how: int) -> None:
        lock(file, how)
        is_locked.set()
        is_forked.wait(0.3)  # in vain, if the fork waits for this

    monkeypatch.setattr(fcntl, "flock", slow_lock)
    thread = threading.Thread(target=first.hold, args=(1, 1))
    thread.start()
    is_locked.wait(20)
    read, written = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover - another process
        first.abandon()
        os.write(written, b"x")
        signal.pause()
        os._exit(0)
    is_forked.set()
    thread.join(20)
    os.read(read, 1)
    try:
        assert second.hold(1, 1) == 0
        assert first.hold(0, 1) == 0
        assert second.hold(1, 1) == 1
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        second.close()
        os.close(read)
        os.close(written)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    """As of ``sudo orch-assets check``, before the service has run."""
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 12345, 12346)
    slots = FileSlots(home).open("ab", "first000")
    slots.publish("1 8")
    slots.hold(1, 8)
    slots.close()
    owners = {each.name: (each.stat().st_uid, each.stat().st_gid) for each in home.rglob("*")}
    assert owners == dict.fromkeys(("request_limits", "ab", "member-0", "slot-0"), (12345, 12346))


def test_files_that_somebody_removes_are_made_anew_and_their_locks_are_lost(tmp_path: Path) -> None:
    slots = FileSlots(tmp_path).open("ab", "first000")
    slots.publish("1 8")
    assert slots.hold(2, 2) == 2
    for each in (tmp_path / "request_limits" / "ab").iterdir():
        each.unlink()
    other = FileSlots(tmp_path).open("ab", "other000")
    other.publish("1 8")
    assert other.hold(2, 2) == 2
    assert list(slots.publish("1 8").texts.values()) == ["1 8"]
    assert slots.hold(2, 2) == 0
    slots.close()
    other.close()
