"""Marks: names for the versions that a run of a study made, to be read again by that name.

A mark is one object for each study, which holds the version of each artifact. It is written only if
the study has no mark of that name, so that a name never moves. Retention keeps marked versions.

Marks lie below the prefix of their store, outside every listing. A store with a shorter prefix
reaches the same artifacts, and so their marks, too.
"""

import contextlib
import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, TypeVar

from orch_assets.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    MarkError,
    StoreUnavailableError,
    StudyKeyError,
)
from orch_assets.marked_names import named, named_uri
from orch_assets.stores.backends.base import Backend, Listed
from orch_assets.stores.formats.checked_json import from_checked_json, to_checked_json
from orch_assets.stores.manifest import known
from orch_assets.stores.names import decode_path, encode_name
from orch_assets.stores.object_keys import ArtifactKeys, mark_key, mark_prefix, marks_folder
from orch_assets.stores.spooling import spool
from orch_assets.study import check_study_key

T = TypeVar("T")

# How many of the marks of a name an error names.
_SHOWN: Final = 5
_A_MOMENT: Final = "2026-03-31T18:00:00+02:00"


@dataclass(frozen=True)
class MarkedVersion:
    """A version that a mark holds.

    Attributes:
        artifact: Name of the artifact in the store of the mark.
        kind: An ``ArtifactKind``, such as ``table``.
        extension: Extension of the current object.
        version: SHA-256 of the version.
    """

    artifact: str
    kind: str
    extension: str
    version: str

    def keys(self, prefix: str) -> ArtifactKeys:
        """Return the keys of the artifact in a store with this prefix."""
        return ArtifactKeys.of(self.artifact, prefix, self.kind, self.extension)


@dataclass(frozen=True)
class Mark:
    """A name for the versions that a run of a study made.

    Attributes:
        name: The name.
        study: Key of the study.
        run: ID of the run; None if the mark isn't of a run.
        marked_at: UTC, ISO 8601.
        user: Account name in the operating system of whoever set it.
        host: Name of the machine.
        versions: The versions, one for each artifact.
    """

    name: str
    study: str
    run: str | None
    marked_at: str
    user: str
    host: str
    versions: tuple[MarkedVersion, ...]

    def __str__(self) -> str:
        by_run = f"run {self.run} of " if self.run else ""
        return f"{by_run}study {self.study}, set by {self.user} at {self.marked_at}"

    def marks_the_same(self, other: "Mark") -> bool:
        """Return whether another mark holds the same versions of the same run."""
        return (self.study, self.run, set(self.versions)) == (
            other.study,
            other.run,
            set(other.versions),
        )

    def to_bytes(self) -> bytes:
        """Return the stored form, with a checksum."""
        return to_checked_json("mark", asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Mark":
        """Read a stored mark.

        Raises:
            ValueError: The data is not a mark.
        """
        value = from_checked_json("mark", data)
        try:
            versions = tuple(MarkedVersion(**known(MarkedVersion, v)) for v in value["versions"])
            return cls(**{**known(cls, value), "versions": versions})
        except (KeyError, TypeError) as error:
            raise ValueError(type(error).__name__) from None


def check_mark_name(name: str) -> str:
    """Return the name of a mark unchanged if it is valid.

    The rules are those of study keys. A name that is also a moment in ISO 8601 is refused, because
    ``as_of`` takes both.

    Raises:
        MarkError: The name is not valid.
    """
    try:
        check_study_key(name)
    except StudyKeyError as error:
        raise MarkError(f"Mark {named(name)} {error.reason}.") from None
    if is_moment(name):
        raise MarkError(
            f"Mark {named(name)} is also a moment in ISO 8601, which as_of takes, too. Choose a "
            "name with letters."
        )
    return name


def is_moment(text: str) -> bool:
    """Return whether text is a moment in ISO 8601, with or without a time zone."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


class Marks:
    """The marks that a store reaches.

    Args:
        backend: Holds the bytes.
        prefix: Prefix of the store.
    """

    def __init__(self, backend: Backend, prefix: str) -> None:
        self._backend = backend
        self._prefix = prefix

    def put(self, mark: Mark) -> tuple[Mark, bool]:
        """Store a mark; return it, and whether it is new. The same mark may exist already.

        Raises:
            MarkError: The study has another mark of that name, which stays.
        """
        key = mark_key(self._prefix, mark.name, mark.study)
        with self._backend.spool() as path:
            spooled = spool(path, lambda file: file.write(mark.to_bytes()))
            if self._backend.put_new(spooled, key):
                return mark, True
            existing = self.read(key)
            if existing is None:  # where there are no hard links, a killed process leaves it empty
                self._backend.put(spooled, key)
                return mark, True
        if existing.marks_the_same(mark):
            return existing, False
        raise MarkError(
            f"The mark {named(mark.name)} is already that of {existing}. A mark never moves: "
            "choose another name, or remove that one first."
        )

    def overwrite(self, key: str, mark: Mark) -> None:
        """Store a mark in the place of another one; only for a redaction."""
        with self._backend.spool() as path:
            self._backend.put(spool(path, lambda file: file.write(mark.to_bytes())), key)

    def remove(self, name: str, study: str) -> None:
        """Remove a mark.

        Raises:
            ArtifactNotFoundError: There is no such mark.
        """
        key = mark_key(self._prefix, name, study)
        if not self._backend.exists(key):
            raise ArtifactNotFoundError(f"Study {study} has no mark {named(name)}.")
        self._backend.delete(key)

    def read(self, key: str) -> Mark | None:
        """Read a mark; return None if there is none, or it was never written completely.

        Raises:
            ArtifactCorruptError: It can't be read.
        """
        try:
            with self._backend.open(key) as file:
                data = file.read()
            return Mark.from_bytes(data) if data else None
        except ArtifactNotFoundError:
            return None
        except ValueError:
            uri = named_uri(self._backend.uri(key), key)
            raise ArtifactCorruptError(
                f"The mark at {uri} is not what was written there. Remove that object, and set the "
                "mark again."
            ) from None

    def own(self) -> list[Mark]:
        """Return the marks of this store, sorted by name and study."""
        listed = self._backend.list(marks_folder(self._prefix), hidden=True)
        marks = filter(None, map(self.read, listed))
        return sorted(marks, key=lambda mark: (mark.name, mark.study))

    def keys(self, folder: str, listed: Iterable[str] | None = None) -> list[str]:
        """Return the keys of all marks that may hold artifacts in a folder.

        Args:
            folder: The folder.
            listed: The keys below it, the hidden ones too, if they are known.
        """
        found = self._backend.list(folder, hidden=True) if listed is None else listed
        below = {key for key in found if mark_prefix(key) is not None}
        return sorted(below.union(*map(self._in_prefix, _above(folder))))

    def objects(self, path: str) -> dict[str, Listed]:
        """Return the objects of the marks that may hold an artifact at a path, by key.

        Whoever lists them twice sees whether a mark was set in between, and needn't read any.
        """
        return {
            each.key: each
            for prefix in dict.fromkeys([self._prefix, *_above(path)])
            for each in self._if_reached(prefix, self._backend.listing)
        }

    def pinned(self, folder: str) -> Iterator[tuple[str, str]]:
        """Yield each marked version, after the key of its artifact's current object.

        Args:
            folder: A folder that holds all of the artifacts.

        Raises:
            ArtifactCorruptError: A mark can't be read.
        """
        for key in self.keys(folder):
            mark = self.read(key)
            for each in mark.versions if mark else ():
                yield each.keys(mark_prefix(key) or "").current, each.version

    def version(self, keys: ArtifactKeys, name: str) -> str:
        """Return the version of an artifact that a mark holds.

        Args:
            keys: Keys of the artifact.
            name: Name of the mark.

        Raises:
            ArtifactNotFoundError: There is no such mark, or it doesn't hold the artifact.
            ArtifactCorruptError: The mark can't be read.
        """
        marks, versions = [], set()
        for mark, version in self._about(keys, name) if _is_name(name) else ():
            if version and mark.study == _study_of(keys):
                return version
            marks.append(mark)
            versions |= {version} if version else set()
        if len(versions) == 1:
            return versions.pop()
        if not marks:
            raise self._unknown(keys, name)
        problem = "several versions of the" if versions else "no"
        listed = "; ".join(map(str, marks[:_SHOWN])) + ("; …" if len(marks) > _SHOWN else "")
        raise ArtifactNotFoundError(
            f"The mark {named(name)} holds {problem} {keys.kind} {named(keys.name)}. It is that of "
            f"{listed}.",
            artifact=keys.name,
        )

    def holding(self, keys: ArtifactKeys) -> list[Mark]:
        """Return the marks that hold a version of an artifact."""
        return [mark for mark, version in self._about(keys) if version]

    def refuse_held(self, keys: ArtifactKeys) -> None:
        """Raise if a mark holds a version of an artifact.

        Raises:
            MarkError: Names the marks.
        """
        if marks := self.holding(keys):
            listed = "; ".join(f"{mark.name} ({mark})" for mark in marks)
            raise MarkError(
                f"{named(keys.name)} has marked versions, so its history can't be removed: "
                f"{listed}. Remove these marks first.",
                artifact=keys.name,
            )

    def _about(
        self, keys: ArtifactKeys, name: str | None = None
    ) -> Iterator[tuple[Mark, str | None]]:
        """Yield the marks that may hold an artifact, and the version that each of them holds.

        That of its own study is the first one, since there may be hundreds.
        """
        own = f"/{encode_name(_study_of(keys))}"
        for prefix in dict.fromkeys([self._prefix, *_above(keys.path)]):
            listed = sorted(self._in_prefix(prefix, name), key=lambda key: not key.endswith(own))
            for mark in filter(None, map(self.read, listed)):
                held = (each for each in mark.versions if each.keys(prefix).current == keys.current)
                yield mark, next((each.version for each in held), None)

    def _unknown(self, keys: ArtifactKeys, name: str) -> ArtifactNotFoundError:
        names = {key.split("/")[-2] for key in self._in_prefix(self._prefix)}
        plain = {decode_path(each).casefold(): decode_path(each) for each in names}
        close = difflib.get_close_matches(name.strip().casefold(), plain, n=3)
        hint = f" Did you mean {' or '.join(plain[each] for each in close)}?" if close else ""
        return ArtifactNotFoundError(
            f"There is no mark {named(name)} for as_of, and no moment in ISO 8601 such as "
            f"{_A_MOMENT}.{hint} `orch-assets marks` lists all marks.",
            artifact=keys.name,
        )

    def _in_prefix(self, prefix: str, name: str | None = None) -> list[str]:
        """Return the keys of the marks of a store with this prefix.

        There are none above the store's own prefix if its credentials don't reach there.
        """
        return sorted(
            self._if_reached(prefix, lambda folder: self._backend.list(folder, hidden=True), name)
        )

    def _if_reached(
        self, prefix: str, listing: Callable[[str], Iterable[T]], name: str | None = None
    ) -> list[T]:
        with contextlib.ExitStack() as stack:
            if prefix != self._prefix and prefix in _above(self._prefix):
                stack.enter_context(contextlib.suppress(StoreUnavailableError))
            return [*listing(marks_folder(prefix, name))]
        return []


def _above(folder: str) -> list[str]:
    """Return the folders above a folder, from the next one up to the root; "" is the root."""
    parts = folder.split("/") if folder else []
    return ["/".join(parts[:end]) for end in range(len(parts) - 1, -1, -1)]


def _study_of(keys: ArtifactKeys) -> str:
    """Return the last part of an artifact's name, which in those of pipelines is the study."""
    return keys.name.rpartition("/")[2]


def _is_name(text: str) -> bool:
    try:
        check_mark_name(text)
    except MarkError:
        return False
    return True
