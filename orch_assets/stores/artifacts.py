"""Kinds of artifacts, their formats, the index of a set, and what publishing returns."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import BinaryIO, Final

from orch_assets.errors import ArtifactNotFoundError
from orch_assets.marked_names import named
from orch_assets.stores.manifest import Content, Manifest


class ArtifactKind(StrEnum):
    """What an artifact is: a table, a set of tables, a JSON value, a document, or files.

    The files of an export belong together, as the tables of a set do. There is a kind of document
    for each media type, see ``DOCUMENT_KINDS``.
    """

    TABLE = "table"
    SET = "set"
    JSON = "json"
    PNG = "png"
    SVG = "svg"
    HTML = "html"
    PDF = "pdf"
    FILES = "files"


DOCUMENT_KINDS: Final[Mapping[str, ArtifactKind]] = {
    "image/png": ArtifactKind.PNG,
    "image/svg+xml": ArtifactKind.SVG,
    "text/html": ArtifactKind.HTML,
    "application/pdf": ArtifactKind.PDF,
}


class StorageFormat(StrEnum):
    """The file format of tables."""

    PARQUET = "parquet"
    CSV = "csv"


@dataclass(frozen=True)
class Published:
    """What was published, and where.

    Attributes:
        uri: URI of the current object.
        artifact: Name of the artifact in the store.
        sha256: The version.
        bytes: Stored size; for a set or files, including all its members.
        rows: Number of rows; for a set, of all its tables. None for a JSON value or a document, and
            for files whose publisher didn't say.
        columns: Names and Arrow types of the table's columns; empty for anything else.
        published_at: UTC, ISO 8601.
        members: The tables of a set, or the files, by name; empty for anything else.
    """

    uri: str
    artifact: str
    sha256: str
    bytes: int
    rows: int | None
    columns: tuple[tuple[str, str], ...]
    published_at: str
    members: Mapping[str, Content] = field(default_factory=dict)

    @classmethod
    def of(
        cls, uri: str, manifest: Manifest, members: Mapping[str, Content] | None = None
    ) -> "Published":
        """Return what the last publication of a manifest has published."""
        content = manifest.content
        return cls(
            uri=uri,
            artifact=manifest.artifact,
            sha256=content.sha256,
            bytes=content.bytes,
            rows=content.rows,
            columns=content.columns,
            published_at=manifest.publications[-1].published_at,
            members=members or {},
        )


@dataclass(frozen=True)
class SetIndex:
    """The content of the current object of a set, or of files: which members belong to it.

    Attributes:
        format: Format of the members: for a set a ``StorageFormat``, for files any.
        members: The tables or files by name, in the order in which they were published.
    """

    format: str
    members: Mapping[str, Content]

    def to_json(self) -> dict[str, object]:
        """Return the stored form."""
        members = {name: asdict(content) for name, content in self.members.items()}
        return {"format": str(self.format), "members": members}

    def hashes(self) -> set[str]:
        """Return the SHA-256 of every member."""
        return {content.sha256 for content in self.members.values()}

    def member(self, name: str, artifact: str, what: str = "table") -> Content:
        """Return the content of one member.

        Args:
            name: Name of the table or file.
            artifact: Name of the artifact. Used in error messages.
            what: What the members are. Used in error messages.

        Raises:
            ArtifactNotFoundError: There is no member of that name.
        """
        if name not in self.members:
            raise ArtifactNotFoundError(
                f"{named(artifact)} has no {what} {named(name)}; see "
                f"{'members' if what == 'table' else 'files'}().",
                artifact=artifact,
            )
        return self.members[name]

    @classmethod
    def read(cls, file: BinaryIO) -> "SetIndex":
        """Read a stored index from the beginning of a file."""
        file.seek(0)
        value = json.load(file)
        members = {name: Content.from_json(each) for name, each in value["members"].items()}
        return cls(value["format"], members)
