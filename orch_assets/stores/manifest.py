"""The manifest of a version: what its bytes are, and who published them, when and with what."""

import functools
import getpass
import importlib.metadata
import json
import os
import platform
import socket
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from orch_assets.stores.formats.checked_json import digest
from orch_assets.stores.lineage import CARRIED_OVER, current_facts, current_inputs
from orch_assets.study import current_context
from orch_assets.version import code_version

_LIBRARIES = ("pyarrow", "pandas")
_CHECKSUM = "checksum"


@dataclass(frozen=True)
class Content:
    """A description of stored bytes.

    Attributes:
        sha256: SHA-256 of the bytes, which is the name of the version.
        bytes: Number of bytes; for a set, including all its members.
        rows: Number of rows; for a set, of all its tables. None for anything else.
        columns: Names and Arrow types, index levels last; empty for anything but a table.
        schema: The serialized Arrow schema in base64, for formats that don't store it (CSV). The
            same bytes may be published with different schemas; the newest publication's is valid.
    """

    sha256: str
    bytes: int
    rows: int | None = None
    columns: tuple[tuple[str, str], ...] = ()
    schema: str | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Content":
        """Read a content from its form in JSON, as ``dataclasses.asdict`` returns it."""
        columns = tuple((name, type_) for name, type_ in value["columns"])
        return cls(**{**known(cls, value), "columns": columns})


@dataclass(frozen=True)
class Publication:
    """One publication: who published, when, for which study, from which inputs.

    Attributes:
        published_at: UTC, ISO 8601 with microseconds.
        user: Account name in the operating system.
        host: Name of the machine.
        study: Key of the running study; None outside a study context.
        provenance: What published it: run, pipeline or asset, code version, registry.
        inputs: What it was made from: versions by artifact URI.
        libraries: Versions of Python, of this package (see ``version.code_version``) and of the
            libraries that wrote the bytes.
        number: Place in the order of the artifact's publications, from 1. Publications of the
            version that was current already have the same number. None for those of releases 0.1.0
            and 0.2.0, which come first.
        replaces: The version that was current before; None if there was none.
        state: What the publisher noted for whoever makes the next version from this one, as JSON
            values; empty if nothing. See ``publish(…, state=…)``.
    """

    published_at: str
    user: str
    host: str
    study: str | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    number: int | None = None
    replaces: str | None = None
    state: Mapping[str, Any] = field(default_factory=dict)

    @property
    def carried_over(self) -> tuple[str, ...]:
        """The earlier versions whose rows it may still have, beside those made from ``inputs``."""
        return tuple(self.provenance.get(CARRIED_OVER, "").split())

    @property
    def redacts(self) -> tuple[str, ...]:
        """The versions that this one stands for after redactions, oldest first."""
        return tuple(self.provenance.get("redacts", "").split())

    @property
    def redacted_variables(self) -> tuple[str, ...]:
        """The variables whose values redactions removed, each as ``<form>.<variable>``."""
        return tuple(json.loads(self.provenance.get("redacted_variables", "[]")))

    @property
    def redacted_dictionaries(self) -> tuple[str, ...]:
        """The versions of the data dictionary, by whose comparison these variables are known."""
        return tuple(json.loads(self.provenance.get("redacted_dictionaries", "[]")))


@dataclass(frozen=True)
class Manifest:
    """One version of an artifact and its publications.

    Attributes:
        artifact: Name of the artifact in the store through which it is read.
        kind: An ``ArtifactKind``, such as ``table``.
        content: Description of the version's bytes.
        publications: One or more, oldest first.
    """

    artifact: str
    kind: str
    content: Content
    publications: tuple[Publication, ...]

    @property
    def telling(self) -> tuple[Publication, ...]:
        """The publications that say what the version was made from.

        One that carries rows over says less about the same bytes than one that doesn't, or than the
        first one.
        """
        anew = tuple(each for each in self.publications if not each.carried_over)
        return anew or self.publications[:1]

    @property
    def carried_over(self) -> tuple[str, ...]:
        """The earlier versions whose rows it may still have."""
        return self.telling[0].carried_over


def publication_here_and_now(state: Mapping[str, Any] | None = None) -> Publication:
    """Return a publication by the current process, at the current time."""
    context = current_context()
    return Publication(
        published_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        user=_user(),
        host=socket.gethostname(),
        study=context.study_key if context else None,
        provenance={**current_facts(), **(context.provenance if context else {})},
        inputs=current_inputs(),
        libraries={
            "python": platform.python_version(),
            "orch-assets": code_version(),
            **_versions(),
        },
        state=state or {},
    )


@dataclass(frozen=True)
class Entry:
    """A stored object that records one or more publications of one version.

    Attributes:
        key: Key of the object.
        manifest: Its content: one publication, or several that retention compacted.
        ids: IDs of those publications, in their order: the names of their original entries. They
            sort in the order of publication, whatever the clocks said.
        is_known: Whether all stored fields were read; a later release may store more of them.
    """

    key: str
    manifest: Manifest
    ids: tuple[str, ...]
    is_known: bool = True

    def to_bytes(self) -> bytes:
        """Return the stored form, with a checksum."""
        is_compacted = len(self.ids) > 1
        value = asdict(self.manifest) | ({"entries": self.ids} if is_compacted else {})
        value[_CHECKSUM] = digest(value)
        indent = None if is_compacted else 1
        return json.dumps(value, ensure_ascii=False, indent=indent).encode()

    @classmethod
    def from_bytes(cls, key: str, data: bytes) -> "Entry":
        """Read a stored entry. Those of releases 0.1.0 and 0.2.0 have no checksum.

        Raises:
            ValueError: The data is not an entry, or its checksum is another one.
        """
        try:
            value = json.loads(data)
            checksum = value.pop(_CHECKSUM, None)
            if checksum not in {None, digest(value)}:
                raise ValueError("another checksum")
            ids = tuple(map(str, value.pop("entries", [key.rpartition("/")[2]])))
            publications = tuple(
                Publication(**known(Publication, each)) for each in value["publications"]
            )
            content = Content.from_json(value["content"])
            manifest = Manifest(value["artifact"], value["kind"], content, publications)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(type(error).__name__) from None
        if len(ids) != len(publications):
            raise ValueError("the numbers of entries and publications differ")
        is_known = all(
            stored.keys() <= {field.name for field in fields(class_)}
            for class_, stored in (
                (Manifest, value),
                (Content, value["content"]),
                *((Publication, each) for each in value["publications"]),
            )
        )
        return cls(key, manifest, ids, is_known)


def manifests_of(entries: Iterable[Entry]) -> list[Manifest]:
    """Return one manifest for each version, in order of their last publication.

    If compaction was interrupted, two entries may record the same publication. It is returned
    once.
    """
    manifests: dict[str, Manifest] = {}
    for _, manifest, publication in sorted(_publications(entries), key=itemgetter(0)):
        version = manifest.content.sha256
        earlier = manifests.pop(version).publications if version in manifests else ()
        manifests[version] = replace(manifest, publications=(*earlier, publication))
    return list(manifests.values())


def _publications(entries: Iterable[Entry]) -> list[tuple[str, Manifest, Publication]]:
    by_id = {
        (entry.manifest.content.sha256, id_): (id_, entry.manifest, publication)
        for entry in entries
        for id_, publication in zip(entry.ids, entry.manifest.publications, strict=True)
    }
    return list(by_id.values())


def known(class_: type[Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a class, without those that a later release added.

    These must not make an artifact unreadable.
    """
    return {field.name: value[field.name] for field in fields(class_) if field.name in value}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, the user ID may have no name
        return f"uid {os.getuid()}"


def _versions() -> dict[str, str]:
    # A library that is not imported did not write the bytes.
    return {name: _version(name) for name in _LIBRARIES if name in sys.modules}


@functools.cache  # takes milliseconds, and every publication needs it
def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
