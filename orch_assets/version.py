"""Which code this is: its version and, in a checkout, the commit."""

import functools
import os
import subprocess
import threading
from pathlib import Path
from typing import Final

VERSION = "0.2.0"

_PACKAGE: Final = Path(__file__).resolve().parent
_GIT_SECONDS: Final = 10.0
_asking = threading.Lock()


def code_version() -> str:
    """Return the version of this code, with the commit where it runs from a checkout.

    Git is asked once in a process. Where there is no git, or it doesn't answer, the version
    stands alone.

    Returns:
        ``0.2.0``; from a checkout ``0.2.0+<commit>``, the commit's 40 digits, with ``.modified``
        where the checkout differs from it: a tracked file was changed, or the package has a file
        that git doesn't know.
    """
    with _asking:  # studies at work at once would each ask
        return _version_of(_PACKAGE)


@functools.cache
def _version_of(package: Path) -> str:
    try:
        return VERSION + _commit(package)
    except (OSError, subprocess.SubprocessError, ValueError):
        return VERSION


def _commit(package: Path) -> str:
    """Return what a checkout adds to the version; nothing for a package in others' repository."""
    folder = package.parent
    root, commit = _git(folder, "rev-parse", "--show-toplevel", "HEAD").splitlines()
    if not Path(root).samefile(folder):
        return ""
    _git(folder, "ls-files", "--error-unmatch", f"{package.name}/__init__.py")
    changes = _git(folder, "status", "--porcelain", "-z", "--untracked-files=all").split("\0")
    unknown, ours = "?? ", f"?? {package.name}/"
    modified = any(
        change and (change.startswith(ours) or not change.startswith(unknown)) for change in changes
    )
    return f"+{commit}{'.modified' if modified else ''}"


def _git(folder: Path, *arguments: str) -> str:
    # Git's own variables, as a hook has them, would name another repository; its monitor of files
    # would outlive the question.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    answer = subprocess.run(  # noqa: S603 - fixed words and our own folder
        ["git", "-c", "core.fsmonitor=false", *arguments],  # noqa: S607 - the user's own git
        cwd=folder,
        env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_GIT_SECONDS,
        check=True,
    )
    return os.fsdecode(answer.stdout)
