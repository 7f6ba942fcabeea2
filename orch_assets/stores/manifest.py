"""The manifest: what an artifact's bytes are, and who published them, when and by what."""

import functools
import getpass
import importlib.metadata
import json
import os
import platform
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from orch_assets.stores.lineage import current_facts, current_inputs
from orch_assets.study import current_context
from orch_assets.version import code_version

_LIBRARIES = ("pyarrow", "pandas")


@dataclass(frozen=True)
class Content:
    """What stored bytes are; the same for the same bytes.

    Attributes:
        sha256: of the bytes; the version's name.
        bytes: their number; of a set, all its members' together.
        rows: of a table, or of all tables of a set; None for a JSON value.
        columns: names and Arrow types, index levels last; empty where it isn't one table.
        schema: the serialized Arrow schema in base64, where the bytes don't hold it (CSV).
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
        artifact: its name in the store.
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


def entry_to_bytes(manifest: Manifest) -> bytes:
    """Return a manifest as its stored form, one publication an entry."""
    return json.dumps(asdict(manifest), ensure_ascii=False, indent=1).encode()


def entry_from_bytes(data: bytes) -> Manifest:
    """Read a stored entry.

    Raises:
        ValueError: it isn't one.
    """
    try:
        value = json.loads(data)
        return Manifest(
            artifact=value["artifact"],
            kind=value["kind"],
            content=Content.from_json(value["content"]),
            publications=tuple(
                Publication(**_known(Publication, each)) for each in value["publications"]
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(type(error).__name__) from None


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
