"""Identifies the process that executes a run, and checks later whether it still exists."""

import hashlib
import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_MACHINE: Final = Path("/etc/machine-id")
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = Path("/proc/self/ns/pid")
# The initial PID namespace of Linux, which every machine has outside containers.
_FIRST_NAMESPACE: Final = "pid:[4026531836]"
_DEAD: Final = frozenset("ZX")
# Indexes of fields in /proc/<pid>/stat after the name, which is in parentheses and may contain any
# characters: see proc(5).
_STATE: Final = 0
_START: Final = 19


@dataclass(frozen=True)
class Process:
    """A process, identified so that it can't be mistaken for another one.

    What a system doesn't provide is empty.

    Attributes:
        host: Name of the machine or the container.
        pid: ID of the process, which the system reuses sooner or later.
        started: Clock ticks between the machine's boot and the start of the process. Setting the
            clock doesn't change them.
        machine: A hash of the machine's ID, which doesn't change when it reboots.
        boot: ID of the machine's boot.
        namespace: The PID namespace in which the ID is valid. Each container has its own.
    """

    host: str
    pid: int
    started: str = ""
    machine: str = ""
    boot: str = ""
    namespace: str = ""

    @classmethod
    def this(cls) -> "Process":
        """Return the current process."""
        pid, machine = os.getpid(), _text(_MACHINE) or f"{uuid.getnode():x}"
        return cls(
            host=socket.gethostname(),
            pid=pid,
            started=_state_and_start(pid)[1],
            machine=hashlib.sha256(machine.encode()).hexdigest()[:16],
            boot=_text(_BOOT),
            namespace=str(_NAMESPACE.readlink()) if _NAMESPACE.is_symlink() else "",
        )

    def to_json(self) -> str:
        """Return the process as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Process | None":
        """Return the process in a text; None if the text doesn't describe one."""
        try:
            process = cls(**json.loads(text))
        except (ValueError, TypeError, RecursionError):
            return None
        is_valid = type(process.pid) is int and process.pid > 0 and isinstance(process.host, str)
        return process if is_valid else None

    def lives(self) -> bool | None:
        """Whether the process still runs; None if that can't be known from this process."""
        here = Process.this()
        if (self.host, self.machine) != (here.host, here.machine):
            return None
        if self.boot != here.boot:
            # A container with the same name and machine ID may run on another machine.
            was_here = self.namespace == here.namespace == _FIRST_NAMESPACE
            return False if was_here else None
        return self._lives_here() if self.namespace == here.namespace else None

    def _lives_here(self) -> bool:
        try:
            os.kill(self.pid, 0)  # signal 0 only checks that the process exists
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass  # it exists, and belongs to another user
        state, started = _state_and_start(self.pid)
        is_same = not (self.started and started) or self.started == started
        return is_same and state not in _DEAD


def _state_and_start(pid: int) -> tuple[str, str]:
    """Return the state and the start time of a process from Linux's /proc; empty if unavailable."""
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return (fields[_STATE], fields[_START]) if len(fields) > _START else ("", "")


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
