"""Which process executes a run: written down where it begins, asked for when nobody hears of it."""

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
# Linux's own, which every machine has outside of containers.
_FIRST_NAMESPACE: Final = "pid:[4026531836]"
_DEAD: Final = frozenset("ZX")
# Of /proc/<pid>/stat behind the name, which stands in parentheses and may hold anything: proc(5).
_STATE: Final = 0
_START: Final = 19


@dataclass(frozen=True)
class Process:
    """A process, so that no other one is taken for it.

    Where a system doesn't tell something, it is empty.

    Attributes:
        host: the machine's name; a container's.
        pid: the process's number, which another one gets sooner or later.
        started: ticks from the machine's start to the process's: no clock changes them.
        machine: a hash of the machine's identity, which stays when it starts anew.
        boot: the machine's start.
        namespace: inside which the number means this process; another one in each container.
    """

    host: str
    pid: int
    started: str = ""
    machine: str = ""
    boot: str = ""
    namespace: str = ""

    @classmethod
    def this(cls) -> "Process":
        """Return the process that asks."""
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
        """Return it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Process | None":
        """Return what text tells; None where it tells of no process."""
        try:
            found = cls(**json.loads(text))
        except (ValueError, TypeError, RecursionError):
            return None
        is_one = type(found.pid) is int and found.pid > 0 and isinstance(found.host, str)
        return found if is_one else None

    def lives(self) -> bool | None:
        """Tell whether it still runs; None where that can't be known from here."""
        here = Process.this()
        if (self.host, self.machine) != (here.host, here.machine):
            return None
        if self.boot != here.boot:
            # Of a container, it may be another one on another machine.
            was_here = self.namespace == here.namespace == _FIRST_NAMESPACE
            return False if was_here else None
        return self._lives_here() if self.namespace == here.namespace else None

    def _lives_here(self) -> bool:
        try:
            os.kill(self.pid, 0)  # sends nothing
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass  # another user's
        state, started = _state_and_start(self.pid)
        is_same = not (self.started and started) or self.started == started
        return is_same and state not in _DEAD


def _state_and_start(pid: int) -> tuple[str, str]:
    """Return a process's state and its start, as Linux has them; empty where it doesn't tell."""
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return (fields[_STATE], fields[_START]) if len(fields) > _START else ("", "")


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
