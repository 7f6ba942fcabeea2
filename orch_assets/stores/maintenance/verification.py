"""Reading everything that is stored, and reporting what is not as it was published."""

import contextlib
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError
from orch_assets.stores.backends.base import Backend
from orch_assets.stores.maintenance.inventory import (
    ArtifactObjects,
    collect_objects,
    stored_hash,
    stored_members,
)
from orch_assets.stores.members.readable_files import BEGUN
from orch_assets.stores.names import decode_path, leads_from_below
from orch_assets.stores.object_keys import ArtifactKeys, erasures_folder, inside, mark_prefix
from orch_assets.stores.order.marks import Marks
from orch_assets.stores.order.places import DELETED, Place
from orch_assets.stores.publishing import Publisher

_LEFTOVER: Final = "belongs to no publication: one was interrupted, or is still under way"
_REMOVED: Final = "it was removed during the verification"
_GONE: Final = (
    "the current object is missing, although it was not deleted: copy it from a backup, restore() "
    "a version, or publish it again"
)
_NEVER_OR_GONE: Final = (
    "there is no current object: either the only publication was interrupted, or is still under "
    "way, or the object was removed"
)


@dataclass(frozen=True)
class Problem:
    """An object that is not as it was published.

    Attributes:
        uri: URI of the object.
        artifact: Name of the artifact that it belongs to.
        problem: What is wrong, as a clause.
        leftover: Whether the object is intact, but nothing refers to it, because a publication was
            killed or its manifest was removed. No reader sees it; ``retain()`` removes it. Also
            true of a missing current object that may never have been there, because nothing was
            published before or since; ``retain()`` changes nothing about that.
    """

    uri: str
    artifact: str
    problem: str
    leftover: bool = False

    def __str__(self) -> str:
        return f"{self.uri}: {self.problem}"


class Verification:
    """Reads every object below a folder of a store."""

    def __init__(self, publisher: Publisher, backend: Backend, prefix: str) -> None:
        self._publisher = publisher
        self._backend = backend
        self._prefix = prefix
        # Versions that manifests list as inputs: URI of the artifact and SHA-256.
        self._inputs: set[tuple[str, str]] = set()
        # Keys of the objects that are not as they were published.
        self._damaged: set[str] = set()
        self._marks = Marks(backend, prefix)

    def run(self, folder: str, progress: Callable[[int, int], object]) -> list[Problem]:
        """Return the problems, in order of artifact names."""
        artifacts = collect_objects(self._backend, folder, self._prefix)
        marks = self._marks.keys(folder)
        done, total = 0, sum(map(len, artifacts)) + len(marks)
        progress(done, total)
        problems = []
        # All manifests first, since they say which data must exist.
        for problem in chain(
            chain.from_iterable(map(self._manifest_checks, artifacts)),
            chain.from_iterable(map(self._place_checks, artifacts)),
            chain.from_iterable(map(self._data_checks, artifacts)),
            self._mark_checks(marks, folder, artifacts),
            self._unfinished_erasures(),
        ):
            if problem:
                problems.append(problem)
            done += 1
            progress(min(done, total), total)
        return sorted(problems, key=lambda problem: problem.artifact)

    # Checks yield a problem or None for each object, stored or missing.

    def _manifest_checks(self, objects: ArtifactObjects) -> Iterator[Problem | None]:
        if objects.manifests and not objects.is_named:  # without manifests, no store published it
            yield self._problem(objects, objects.keys.current, self._name_problem(objects))
        for sha256, entries in sorted(objects.manifests.items()):
            for entry in entries:
                yield self._problem(objects, entry, self._manifest_problem(objects, entry, sha256))
            if sha256 not in objects.versions:
                missing = "this version is missing, although it has a manifest"
                yield self._problem(objects, objects.keys.version(sha256), missing)

    def _place_checks(self, objects: ArtifactObjects) -> Iterator[Problem | None]:
        keys = objects.keys
        for number in sorted(objects.places):
            try:
                self._publisher.order.claim_at(keys, number)
                problem = None
            except ArtifactCorruptError:
                problem = "this place in the order of the publications can't be read"
            yield self._problem(objects, keys.place(number), problem)
        entries = chain.from_iterable(objects.manifests.values())
        numbers = {Place.of(entry.rpartition("/")[2]).number for entry in entries}
        for number in sorted(numbers - objects.places - {0}):
            if self._publisher.order.claim_at(keys, number) is None:  # none came since the listing
                missing = "this place is missing, although a manifest has it"
                yield self._problem(objects, keys.place(number), missing)

    def _data_checks(self, objects: ArtifactObjects) -> Iterator[Problem | None]:
        keys = objects.keys
        current = stored_hash(self._backend, keys.current) if objects.has_current else None
        for sha256 in sorted(objects.versions):
            yield self._check_version(objects, sha256, current)
        used = self._members_in_use(objects)
        for sha256 in sorted(objects.members):
            problem = self._bytes_problem(keys.member(sha256), sha256)
            leftover = not problem and used is not None and sha256 not in used
            yield self._problem(objects, keys.member(sha256), problem, leftover=leftover)
        for name in sorted(objects.readable):
            is_begun = name.startswith(BEGUN)
            yield self._problem(objects, f"{keys.readable}/{name}", None, leftover=is_begun)
        if keys.has_members and current is not None and current in objects.versions:
            yield from self._readable_checks(objects, current)
        if objects.has_current:
            yield self._problem(objects, keys.current, self._current_problem(objects, current))
        else:
            with contextlib.suppress(ArtifactCorruptError):  # reported above
                yield self._missing_current(objects)

    def _readable_checks(self, objects: ArtifactObjects, current: str) -> Iterator[Problem | None]:
        found = []
        # What the index lacks, or that it is none, is reported as damage of its version.
        with contextlib.suppress(ArtifactNotFoundError, ValueError, KeyError, TypeError):
            found = [*self._publisher.readable.problems(objects.keys, current)]
        for key, problem in found:
            yield self._problem(objects, key, problem)

    def _mark_checks(
        self, marks: Iterable[str], folder: str, artifacts: Iterable[ArtifactObjects]
    ) -> Iterator[Problem | None]:
        objects = {each.keys.current: each for each in artifacts}
        for key in marks:
            uri = self._backend.uri(key)
            try:
                mark = self._marks.read(key)
            except ArtifactCorruptError:
                yield Problem(uri, "", "this mark can't be read")
                continue
            yield None if mark else Problem(uri, "", _LEFTOVER, leftover=True)
            for each in mark.versions if mark else ():
                keys = each.keys(mark_prefix(key) or "")
                problem = self._marked_problem(objects.get(keys.current), keys, each.version)
                if problem and keys.current.startswith(f"{folder}/" if folder else ""):
                    yield Problem(uri, each.artifact, f"it marks version {each.version}, {problem}")

    def _unfinished_erasures(self) -> Iterator[Problem]:
        folder = erasures_folder(self._prefix)
        for key in self._backend.list(folder, hidden=True):
            study = decode_path(inside(folder, key))
            unfinished = (
                f"the erasure of study {study} is unfinished: run `orch-assets erase --study "
                f"{shlex.quote(study)}` again"
            )
            yield Problem(self._backend.uri(key), "", unfinished)

    def _marked_problem(
        self, objects: ArtifactObjects | None, keys: ArtifactKeys, version: str
    ) -> str | None:
        objects = objects or ArtifactObjects(keys)
        if not self._backend.exists(keys.version(version)):
            return "which is missing"
        if not self._has_manifest(objects, version):
            return "which has no manifest"
        parts = {keys.version(version)}
        if not parts & self._damaged:
            parts |= set(map(keys.member, self._members_of(objects, version)))
        return "which is damaged" if parts & self._damaged else None

    def _current_problem(self, objects: ArtifactObjects, current: str | None) -> str | None:
        if current is None:
            return _REMOVED
        known = self._has_manifest(objects, current)
        return None if known else f"no manifest has the hash of its bytes ({current})"

    def _missing_current(self, objects: ArtifactObjects) -> Problem | None:
        """Return a problem unless the artifact was deleted after its last publication.

        What replaced a version proves that there was a current object, and so do complete copies.
        A first publication may have been killed just before it.
        """
        keys, claim_at = objects.keys, self._publisher.order.claim_at
        claims = [claim for number in objects.places if (claim := claim_at(keys, number))]
        entries = [Place.of(each.rpartition("/")[2]) for each in self._publisher.entries(keys)]
        ends = {each.follows for each in (*entries, *(claim.place for claim in claims))}
        ends |= {claim.place.number for claim in claims if claim.version == DELETED}
        # Retention may have removed the claim of a deletion, but not that of what followed it.
        end = max(ends - {each.number for each in entries}, default=0)
        since = [
            publication
            for manifest in self._publisher.manifests(keys)
            for publication in manifest.publications
            if (publication.number or 0) > end
        ]
        if not since or self._backend.exists(keys.current):  # published since the listing
            return None
        is_complete = any(not name.startswith(BEGUN) for name in objects.readable)
        was_current = is_complete or any(publication.replaces for publication in since)
        problem = _GONE if was_current else _NEVER_OR_GONE
        return self._problem(objects, keys.current, problem, leftover=not was_current)

    def _name_problem(self, objects: ArtifactObjects) -> str | None:
        if leads_from_below(inside(self._prefix, objects.keys.path)):
            return None
        return (
            "a development version stored it under a name that no longer leads here: publish "
            f"{objects.keys.name!r} again, then remove this object and "
            f"{self._backend.uri(objects.keys.hidden)}"
        )

    def _manifest_problem(self, objects: ArtifactObjects, entry: str, sha256: str) -> str | None:
        try:
            manifest = self._publisher.entry(objects.keys, entry, sha256).manifest
        except ArtifactNotFoundError:
            if self._publisher.entries(objects.keys, sha256):
                return None  # retention compacted it
            return _REMOVED
        except ArtifactCorruptError:
            return "this manifest is not what was written there, or belongs to another version"
        for publication in manifest.publications:
            self._inputs.update(publication.inputs.items())
        return None

    def _check_version(
        self, objects: ArtifactObjects, sha256: str, current: str | None
    ) -> Problem | None:
        key = objects.keys.version(sha256)
        problem = self._bytes_problem(key, sha256)
        if not problem and not self._has_manifest(objects, sha256):
            if sha256 == current:
                problem = "the current version has no manifest"
            elif (self._backend.uri(objects.keys.current), sha256) in self._inputs:
                problem = "no manifest has this version, which another one lists as an input"
            else:
                return self._problem(objects, key, None, leftover=True)
        elif not problem:
            missing = sorted(self._members_of(objects, sha256) - objects.members)
            problem = f"its members are missing: {', '.join(missing)}" if missing else None
        return self._problem(objects, key, problem)

    def _bytes_problem(self, key: str, sha256: str) -> str | None:
        stored = stored_hash(self._backend, key)
        if stored == sha256:
            return None
        return f"its bytes have the hash {stored}" if stored else _REMOVED

    def _members_in_use(self, objects: ArtifactObjects) -> set[str] | None:
        """Return the tables of all publications of a set; None if one of them can't be read."""
        try:
            return {
                member
                for sha256 in objects.versions
                if objects.members and self._has_manifest(objects, sha256)
                for member in self._members_of(objects, sha256)
            }
        except (ArtifactNotFoundError, ValueError, KeyError, TypeError):  # reported as damage above
            return None

    def _members_of(self, objects: ArtifactObjects, sha256: str) -> set[str]:
        if not objects.keys.has_members:
            return set()
        return stored_members(self._backend, objects.keys, sha256)

    def _has_manifest(self, objects: ArtifactObjects, sha256: str) -> bool:
        # An artifact may have been published since the objects were listed.
        return bool(objects.manifests.get(sha256) or self._publisher.entries(objects.keys, sha256))

    def _problem(
        self, objects: ArtifactObjects, key: str, problem: str | None, *, leftover: bool = False
    ) -> Problem | None:
        if not problem and not leftover:
            return None
        if problem:
            self._damaged.add(key)
        return Problem(self._backend.uri(key), objects.keys.name, problem or _LEFTOVER, leftover)
