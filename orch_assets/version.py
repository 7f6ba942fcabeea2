"""The version of this code and, in a checkout, its commit."""

import functools
import hashlib
import os
import subprocess
import threading
from pathlib import Path
from typing import Final

VERSION = "0.2.0"

_PACKAGE: Final = Path(__file__).resolve().parent
_GIT_SECONDS: Final = 10.0
_git_lock = threading.Lock()


def code_version() -> str:
    """Return the version of this code, with the commit if it runs from a checkout.

    Git runs once per process. If git isn't installed, fails or doesn't answer in time, the version
    is returned without a commit.

    Returns:
        ``0.2.0``; from a checkout ``0.2.0+<commit>``, with the 40 digits of the commit. The
        suffix ``.modified`` follows if the checkout differs from the commit: a tracked file was
        changed, or the package contains an untracked file.
    """
    with _git_lock:  # else each of the studies that run at the same time would run git
        return _version_of(_PACKAGE)


@functools.cache
def _version_of(package: Path) -> str:
    try:
        return VERSION + _commit(package)
    except (OSError, subprocess.SubprocessError, ValueError):
        return VERSION


@functools.cache
def source_digest() -> str | None:
    """Return a digest of this package's Python files; None if there are none.

    :func:`code_version` is the same for every state of a modified checkout, and for every build
    between two releases. This digest is not.
    """
    files = sorted(_PACKAGE.rglob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(_PACKAGE).as_posix().encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest() if files else None


def _commit(package: Path) -> str:
    """Return a checkout's suffix of the version; empty if the package is in another repository."""
    folder = package.parent
    root, commit = _git(folder, "rev-parse", "--show-toplevel", "HEAD").splitlines()
    if not Path(root).samefile(folder):
        return ""
    _git(folder, "ls-files", "--error-unmatch", f"{package.name}/__init__.py")
    changes = _git(folder, "status", "--porcelain", "-z", "--untracked-files=all").split("\0")
    untracked, in_package = "?? ", f"?? {package.name}/"
    modified = any(
        change and (change.startswith(in_package) or not change.startswith(untracked))
        for change in changes
    )
    return f"+{commit}{'.modified' if modified else ''}"


def _git(folder: Path, *arguments: str) -> str:
    # Git's environment variables, which are set inside a hook, may name another repository. Git's
    # file system monitor would go on running after the command.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    completed = subprocess.run(  # noqa: S603 - fixed arguments and this package's folder
        ["git", "-c", "core.fsmonitor=false", *arguments],  # noqa: S607 - the user's own git
        cwd=folder,
        env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_GIT_SECONDS,
        check=True,
    )
    return os.fsdecode(completed.stdout)
