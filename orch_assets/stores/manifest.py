"""The manifest: what an artifact's bytes are, and who published them, when and by what."""

import functools
import getpass
import importlib.metadata
import json
import os
import platform
import socket
import sys
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

from orch_assets.stores.lineage import current_facts, current_inputs
from orch_assets.study import current_context
from orch_assets.version import code_version

_LIBRARIES = ("pyarrow", "pandas")


@dataclass(frozen=True)
class Content:
    """What stored bytes are.

    Attributes:
        sha256: of the bytes; the version's name.
        bytes: their number; of a set, all its members' together.
        rows: of a table, or of all tables of a set; None for a JSON value.
        columns: names and Arrow types, index levels last; empty where it isn't one table.
        schema: the serialized Arrow schema in base64, where the bytes don't hold it (CSV). The same
            bytes may be published with several: the newest publication's counts.
    """

    sha256: str
    bytes: int
    rows: int | None = None
    columns: tuple[tuple[str, str], ...] = ()
    schema: str | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Content":
        """Read what ``asdict`` and JSON made of one."""
        columns = tuple((name, type_) for name, type_ in value["columns"])
        return cls(**{**_known(cls, value), "columns": columns})


@dataclass(frozen=True)
class Publication:
    """One act of publishing: who did it, when, for which study, on what.

    Attributes:
        published_at: UTC, ISO 8601 with microseconds.
        user: the operating system's name of the account.
        host: the machine.
        study: the study at work; None outside of one.
        provenance: what published: run, pipeline or asset, code version, registry.
        inputs: what it was made from: versions by the URI of their artifact.
        libraries: versions of Python, of this package (see ``version.code_version``) and of what
            wrote the bytes.
    """

    published_at: str
    user: str
    host: str
    study: str | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What is known of one version of an artifact.

    Attributes:
        artifact: its name in the store through which it is read.
        kind: ``table``, ``set`` or ``json``.
        content: what its bytes are.
        publications: at least one, oldest first.
    """

    artifact: str
    kind: str
    content: Content
    publications: tuple[Publication, ...]


def publication_here_and_now() -> Publication:
    """Return who publishes at this moment."""
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
    )


@dataclass(frozen=True)
class Entry:
    """A stored object that tells of publications of one version.

    Attributes:
        key: its key.
        manifest: what it holds: one publication, or several that retention put together.
        ids: of those publications, in their order: the names of the entries that they came as.
            They sort as the publications followed, whatever the clocks said.
        is_known: whether nothing was left out in reading it; a later release may tell more.
    """

    key: str
    manifest: Manifest
    ids: tuple[str, ...]
    is_known: bool = True

    def to_bytes(self) -> bytes:
        """Return the stored form."""
        value = asdict(self.manifest)
        if len(self.ids) > 1:
            return json.dumps({**value, "entries": self.ids}, ensure_ascii=False).encode()
        return json.dumps(value, ensure_ascii=False, indent=1).encode()

    @classmethod
    def from_bytes(cls, key: str, data: bytes) -> "Entry":
        """Read a stored entry.

        Raises:
            ValueError: it isn't one.
        """
        try:
            value = json.loads(data)
            ids = tuple(map(str, value.pop("entries", [key.rpartition("/")[2]])))
            publications = tuple(
                Publication(**_known(Publication, each)) for each in value["publications"]
            )
            content = Content.from_json(value["content"])
            manifest = Manifest(value["artifact"], value["kind"], content, publications)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(type(error).__name__) from None
        if len(ids) != len(publications):
            raise ValueError("entries and publications don't match")
        is_known = all(
            told.keys() <= {field.name for field in fields(class_)}
            for class_, told in (
                (Manifest, value),
                (Content, value["content"]),
                *((Publication, each) for each in value["publications"]),
            )
        )
        return cls(key, manifest, ids, is_known)


def new_entry_id(publication: Publication, newest: str = "") -> str:
    """Return the name of a publication's entry; another one each time.

    Entries sort by the instant that their names begin with: the one of the publication, unless
    this machine's clock is not ahead of the newest entry; then the microsecond after that one's.

    Args:
        publication: says when it was by the clock.
        newest: the name of the artifact's newest entry; empty before the first.
    """
    instant = datetime.fromisoformat(publication.published_at)
    instant = max(instant, entry_instant(newest) + timedelta(microseconds=1))
    digits = "".join(filter(str.isalnum, instant.isoformat(timespec="microseconds")))
    return f"{digits}-{uuid.uuid4().hex[:8]}"


def entry_instant(name: str) -> datetime:
    """Return the instant that an entry's name begins with; of any other name, the least one."""
    try:
        return datetime.fromisoformat(f"{name[:15]}.{name[15:21]}+00:00")
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


def told_by(entries: Iterable[Entry]) -> list[Manifest]:
    """Return the manifests of versions: the one last published comes last.

    A publication that two entries tell of, since whoever put them together was interrupted, is
    told once.
    """
    manifests: dict[str, Manifest] = {}
    for _, manifest, publication in sorted(_publications(entries), key=itemgetter(0)):
        version = manifest.content.sha256
        earlier = manifests.pop(version).publications if version in manifests else ()
        manifests[version] = replace(manifest, publications=(*earlier, publication))
    return list(manifests.values())


def _publications(entries: Iterable[Entry]) -> list[tuple[str, Manifest, Publication]]:
    found = {
        (entry.manifest.content.sha256, id_): (id_, entry.manifest, publication)
        for entry in entries
        for id_, publication in zip(entry.ids, entry.manifest.publications, strict=True)
    }
    return list(found.values())


def _known(class_: type[Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a later release may have added: it must not make an artifact unreadable."""
    return {field.name: value[field.name] for field in fields(class_) if field.name in value}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user ID has no name
        return f"uid {os.getuid()}"


def _versions() -> dict[str, str]:
    # What isn't imported had no part in the bytes.
    return {name: _version(name) for name in _LIBRARIES if name in sys.modules}


@functools.cache  # milliseconds each, at every publication
def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
