"""Copies of the members of a set, or of an export, that other tools read where they lie.

The current object of a set is its only commit. After it, each member is copied to a file of its own
beside it. The note of each copy names the set's publication: its place and its version. Whoever
reads single files can tell by it whether they belong together.

A publisher may be killed between the commit and the last copy. So the names of small hidden objects
say what was begun and what is complete:

- ``begun-<seconds>-<id>`` exists while a publisher may write copies. It says when that one began.
- ``<place>-<version>`` is written once all copies are those of that publication.

One listing shows whether all is well: there is the name of the current publication, and no other.
If not, the next publication copies all members again, even if it is the same version.

Publishers that copy at the same time look at the end whether the set is still theirs. If not, they
copy again what is current by then. None removes what another began less than a day ago, because
that one may be suspended, copy an older file when it goes on, and be killed before it looks.
"""

import contextlib
import re
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from orch_assets.errors import ArtifactNameError, ArtifactNotFoundError, StoreUnavailableError
from orch_assets.marked_names import named, named_uri
from orch_assets.stores.artifacts import SetIndex
from orch_assets.stores.backends.base import Backend, Copied, Stored
from orch_assets.stores.manifest import Content
from orch_assets.stores.members.member_names import plain_file, table_file
from orch_assets.stores.object_keys import INDEX_EXTENSIONS, ArtifactKeys
from orch_assets.stores.order.publication_order import PublicationOrder
from orch_assets.stores.spooling import sha256_of, spool, writes

_AT_ONCE: Final = 8
# How the names of announcements begin.
BEGUN: Final = "begun-"
# After so long, a publisher that has not finished its copies was killed.
_LONGEST_SECONDS: Final = 24 * 3600
_NOTE: Final = re.compile("(set|files)/([0-9]+)/([0-9a-f]{64})")
_INCOMPLETE: Final = (
    "it doesn't say that all files of the current publication are there: it is under way, or its "
    "publisher was killed"
)
# What reading an index raises that was removed, or that no store wrote.
_NO_INDEX: Final = (ArtifactNotFoundError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class MemberPublication:
    """A publication of a set or of files, as the note of each copy has it.

    Attributes:
        kind: ``set`` or ``files``.
        number: Its place in the order of publications; 0 for those of releases 0.1.0 and 0.2.0.
        version: SHA-256 of the version.
    """

    kind: str
    number: int
    version: str

    @property
    def note(self) -> str:
        """The note of each copy."""
        return f"{self.kind}/{self.number}/{self.version}"

    @property
    def complete(self) -> str:
        """Name of the object that says that all copies are there."""
        return f"{self.number:09}-{self.version}"

    @classmethod
    def of(cls, stored: Stored) -> "MemberPublication | None":
        """Return what the note of a copy says; None if it has none, or is no copy."""
        match = _NOTE.fullmatch(stored.note)
        return cls(match[1], int(match[2]), match[3]) if match else None


@dataclass(frozen=True)
class Begun:
    """What a publisher found, and its own mark.

    Attributes:
        found: Names of the hidden objects that it found.
        own: Name of the one that it wrote; None if all copies are those of its version already.
        wanted: Content of each copy by key; None if it wasn't needed yet.
    """

    found: frozenset[str]
    own: str | None = None
    wanted: Mapping[str, Content] | None = None


class ReadableFiles:
    """Puts copies of members where other tools read them.

    Args:
        backend: Holds the bytes.
        order: Says what is current.
    """

    def __init__(self, backend: Backend, order: PublicationOrder) -> None:
        self._backend = backend
        self._order = order

    def begin(self, keys: ArtifactKeys, version: str) -> Begun:
        """Announce copies, before the commit of a version.

        Raises:
            ArtifactNameError: Another artifact, or a file that no store wrote, lies where a copy
                must; nothing changed.
            ArtifactNotFoundError: A member was removed since it was stored; nothing changed.
        """
        found = self._names(keys)
        if len(found) == 1 and all(each.endswith(f"-{version}") for each in found):
            return Begun(found)
        index = self._whole_index(keys, version)
        self._refuse_others(keys, index, is_new=not found)
        return Begun(found, self._announce(keys), _wanted(keys, index))

    def abandon(self, keys: ArtifactKeys, begun: Begun) -> None:
        """Take an announcement back, because nothing was committed."""
        if begun.own:
            self._backend.delete(f"{keys.readable}/{begun.own}")

    def finish(self, keys: ArtifactKeys, begun: Begun, number: int | None, version: str) -> None:
        """Copy the members of the version that was committed, unless that was done.

        Raises:
            ArtifactNotFoundError: A member of what is current isn't stored; all others are copied.
        """
        if not self._finish(keys, begun, number, version):
            raise _incomplete(keys, "Publish it again: until then, it can't be read.")

    def mend(self, keys: ArtifactKeys, number: int | None, version: str) -> None:
        """Copy what a killed publisher has not; this is one request if there is nothing to do.

        Raises what :meth:`finish` raises.
        """
        self.finish(keys, Begun(self._names(keys)), number, version)

    def mend_current(self, keys: ArtifactKeys) -> None:
        """Do what :meth:`mend` does, for what is current, but pass over missing members."""
        head = self._order.head(keys)
        if head.version:
            self._finish(keys, Begun(self._names(keys)), head.place.number, head.version)

    def renew(self, keys: ArtifactKeys) -> None:
        """Let the next publication copy all members, whatever is there."""
        if self._names(keys):
            self._announce(keys, began=0)

    def remove(self, keys: ArtifactKeys) -> None:
        """Remove all copies, before the current object is removed."""
        for name in self._names(keys):
            self._backend.delete(f"{keys.readable}/{name}")
        self._remove_others(keys, ())

    def copies(self, keys: ArtifactKeys, versions: Iterable[str]) -> list[str]:
        """Return the keys of all copies, also of those that other programs have changed.

        Args:
            keys: Keys of the artifact.
            versions: The stored versions, whose members' names are those of copies.
        """
        files = self._files(keys)
        found = {key for key in files if self.is_copy(keys, key)}
        for version in versions if len(found) < len(files) else ():
            with contextlib.suppress(*_NO_INDEX):
                found |= self._wanted(keys, version).keys()
        return [key for key in files if key in found]

    def publication(
        self, keys: ArtifactKeys, member: str, format_: str
    ) -> MemberPublication | None:
        """Return the publication that a copy belongs to; None if there is no copy."""
        stored = self._backend.stored(_key(keys, member, format_))
        return MemberPublication.of(stored) if stored else None

    def refuse_member(self, keys: ArtifactKeys) -> None:
        """Raise if an artifact's name is that of a member of a set or of files.

        Raises:
            ArtifactNameError: Names both.
        """
        name, _, _ = keys.name.rpartition("/")
        path = keys.path.rpartition("/")[0]
        for kind in self._backend.extensions(path, INDEX_EXTENSIONS) if name else ():
            owner = ArtifactKeys(name, path, kind, kind)
            taken: set[str] = set()
            with contextlib.suppress(*_NO_INDEX), self._backend.open(owner.current) as file:
                taken = _taken(owner, SetIndex.read(file))
            if keys.current.casefold() in taken:
                raise _taken_name(keys.name, owner, self._backend.uri(keys.current))

    def problems(self, keys: ArtifactKeys, version: str) -> Iterator[tuple[str, str]]:
        """Yield what is wrong, each time with the key of the copy, or of the hidden object.

        Args:
            keys: Keys of the artifact.
            version: The current version, by its bytes.
        """
        head, names = self._order.head(keys), self._names(keys)
        place = head.place
        if head.version is None:  # another program wrote the same bytes, without the note
            place = max(self._order.places(keys, version), default=place)
        at = MemberPublication(keys.kind, place.number, version)
        wanted, stored = self._wanted(keys, at.version), {*self._files(keys)}
        if not names and not stored & wanted.keys():
            return  # an earlier release published it
        for key, content in wanted.items():
            if problem := self._problem(key, content, at):
                yield key, problem
        for key in sorted(stored - wanted.keys()):
            if self.is_copy(keys, key):
                yield key, f"it is no longer in the {keys.kind}. {_advice(at)}"
        if not self._is_complete(keys, at):
            yield f"{keys.readable}/{at.complete}", f"{_INCOMPLETE}. {_advice(at)}"

    def _is_complete(self, keys: ArtifactKeys, at: MemberPublication) -> bool:
        try:
            with self._backend.open(f"{keys.readable}/{at.complete}") as file:
                return file.read() == at.complete.encode()
        except ArtifactNotFoundError:
            return False

    def _problem(self, key: str, content: Content, at: MemberPublication) -> str | None:
        stored = self._backend.stored(key)
        if stored is None:
            return f"this file is missing, although its publication was committed. {_advice(at)}"
        belongs = MemberPublication.of(stored)
        if belongs not in {None, at}:
            return (
                "it belongs to another publication: the next one is under way, or was killed. "
                f"{_advice(at)}"
            )
        with self._backend.open(key) as file:
            found = sha256_of(file)
        return None if found == content.sha256 else f"its bytes were changed. {_advice(at)}"

    def _finish(self, keys: ArtifactKeys, begun: Begun, number: int | None, version: str) -> bool:
        """Do what :meth:`finish` does, and return whether all members are stored."""
        at = MemberPublication(keys.kind, number or 0, version)
        if begun.found == {at.complete}:
            return True
        own = begun.own or self._announce(keys)
        current, is_whole = self._copied(keys, at, begun.wanted)
        if current:
            self._put(keys, current.complete)
        over = {name for name in begun.found if not _may_go_on(name)}
        for name in {own, *over} - {current.complete if current else ""}:
            self._backend.delete(f"{keys.readable}/{name}")
        return is_whole

    def _copied(
        self, keys: ArtifactKeys, at: MemberPublication, wanted: Mapping[str, Content] | None
    ) -> tuple[MemberPublication | None, bool]:
        """Copy all members of what is current.

        Returns:
            What all copies are of, None if there are none or not all; whether all are stored.
        """
        while True:
            wanted = wanted or self._wanted(keys, at.version)
            copied = self._copy_all(keys, wanted, at)
            self._remove_others(keys, copied)
            head = self._order.head(keys)
            if head.version is None:
                return None, True
            current = MemberPublication(keys.kind, head.place.number, head.version)
            if current == at:
                is_whole = copied == wanted.keys()
                return (current if is_whole else None), is_whole
            at, wanted = current, None

    def _copy_all(
        self, keys: ArtifactKeys, wanted: Mapping[str, Content], at: MemberPublication
    ) -> set[str]:
        """Copy the members that are stored, and return the keys of their copies."""

        def copy(item: tuple[str, Content]) -> str | None:
            key, content = item
            sha256 = content.sha256
            source = Copied(keys.member(sha256), sha256, content.bytes, at.note)
            try:
                with self._backend.copying(source, key) as make_visible:
                    make_visible()
            except StoreUnavailableError:
                if self._backend.exists(source.key):
                    raise
                return None
            return key

        with ThreadPoolExecutor(min(_AT_ONCE, len(wanted) or 1)) as pool:
            return {*filter(None, pool.map(copy, wanted.items()))}

    def _remove_others(self, keys: ArtifactKeys, wanted: Collection[str]) -> None:
        for key in self._files(keys):
            if key not in wanted and self.is_copy(keys, key):
                self._backend.delete(key)

    def _refuse_others(self, keys: ArtifactKeys, index: SetIndex, *, is_new: bool) -> None:
        wanted, taken = _wanted(keys, index), _taken(keys, index)
        for key in self._files(keys):
            is_replaced = key in wanted and not is_new
            if key.casefold() in taken and not (is_replaced or self.is_copy(keys, key)):
                raise _taken_name(key, keys, self._backend.uri(key))

    def is_copy(self, keys: ArtifactKeys, key: str) -> bool:
        """Return whether a file is a copy of a member: by its note, or else by its bytes."""
        stored = self._backend.stored(key)
        if stored is None:
            return False
        if publication := MemberPublication.of(stored):
            return publication.kind == keys.kind
        is_member = bool(stored.sha256) and not stored.note
        return is_member and self._backend.exists(keys.member(stored.sha256 or ""))

    def _files(self, keys: ArtifactKeys) -> list[str]:
        """Return the keys of all files in the folder of the copies."""
        start = f"{keys.path}/"
        listed = self._backend.list(keys.path)
        return sorted(key for key in listed if "/" not in key.removeprefix(start))

    def _wanted(self, keys: ArtifactKeys, version: str) -> dict[str, Content]:
        return _wanted(keys, self._index(keys, version))

    def _index(self, keys: ArtifactKeys, version: str) -> SetIndex:
        with self._backend.open(keys.version(version)) as file:
            return SetIndex.read(file)

    def _whole_index(self, keys: ArtifactKeys, version: str) -> SetIndex:
        """Return the index of a version whose members are all stored."""
        with contextlib.suppress(ArtifactNotFoundError):
            index = self._index(keys, version)
            members = self._backend.list(f"{keys.hidden}/members", hidden=True)
            if index.hashes() <= {key.rpartition("/")[2] for key in members}:
                return index
        raise _incomplete(keys, "Nothing was published. Publish it again when that has ended.")

    def _names(self, keys: ArtifactKeys) -> frozenset[str]:
        listed = self._backend.list(keys.readable, hidden=True)
        return frozenset(key.rpartition("/")[2] for key in listed)

    def _announce(self, keys: ArtifactKeys, began: float | None = None) -> str:
        name = f"{BEGUN}{time.time() if began is None else began:.0f}-{uuid.uuid4().hex}"
        self._put(keys, name)
        return name

    def _put(self, keys: ArtifactKeys, name: str) -> None:
        with self._backend.spool() as path:
            self._backend.put(spool(path, writes(name.encode())), f"{keys.readable}/{name}")


def _may_go_on(name: str) -> bool:
    """Return whether a hidden object is that of a publisher that may still write copies."""
    began, _, _ = name.removeprefix(BEGUN).partition("-")
    is_known = name.startswith(BEGUN) and began.isdigit()
    return is_known and int(began) > time.time() - _LONGEST_SECONDS


def _key(keys: ArtifactKeys, member: str, format_: str) -> str:
    file = plain_file(member) if keys.kind == "files" else table_file(member, format_)
    return f"{keys.path}/{file}"


def _wanted(keys: ArtifactKeys, index: SetIndex) -> dict[str, Content]:
    return {_key(keys, name, index.format): each for name, each in index.members.items()}


def _taken(keys: ArtifactKeys, index: SetIndex) -> set[str]:
    """Return the keys of copies, and of artifacts of the same names, as a disk without case."""
    taken = set(_wanted(keys, index))
    for member in index.members:
        stem, _, extension = member.rpartition(".")
        name, end = (stem, extension) if keys.kind == "files" else (member, index.format)
        try:
            own = ArtifactKeys.of(f"{keys.name}/{name}", "", "table", end)
        except ArtifactNameError:
            continue
        taken.add(f"{keys.path}/{own.current.rpartition('/')[2]}")
    return {key.casefold() for key in taken}


def _taken_name(name: str, owner: ArtifactKeys, uri: str) -> ArtifactNameError:
    what = "table of the set" if owner.kind == "set" else "file of"
    return ArtifactNameError(
        f"{named(name)} at {named_uri(uri, name)} and a {what} {named(owner.name)} would have the "
        "same name, or names that differ only in case. Nothing was published. Choose another name "
        "for one of them; if that object is of no use any more, remove it.",
        artifact=name,
    )


def _incomplete(keys: ArtifactKeys, advice: str) -> ArtifactNotFoundError:
    what = "tables" if keys.kind == "set" else "files"
    return ArtifactNotFoundError(
        f"Not all {what} of {named(keys.name)} are stored any more. retain() or another command "
        f"that removes data may run while they are published. {advice}",
        artifact=keys.name,
    )


def _advice(at: MemberPublication) -> str:
    return f"Restore version {at.version}: that writes all files anew."
