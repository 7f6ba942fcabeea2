"""What kinds of artifacts there are, in which formats, and what publishing one tells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orch_assets.stores.manifest import Content


class ArtifactKind(StrEnum):
    """What an artifact is."""

    TABLE = "table"
    SET = "set"
    JSON = "json"


class StorageFormat(StrEnum):
    """How tables are stored."""

    PARQUET = "parquet"
    CSV = "csv"


@dataclass(frozen=True)
class Published:
    """What was published, and where.

    Attributes:
        uri: of the current object.
        artifact: its name in the store.
        sha256: its version.
        bytes: stored; of a set, all its tables' together.
        rows: of the table or of all tables; None for a JSON value.
        columns: names and Arrow types of the table's columns.
        published_at: UTC, ISO 8601.
        members: of a set, each table by its name.
    """

    uri: str
    artifact: str
    sha256: str
    bytes: int
    rows: int | None
    columns: tuple[tuple[str, str], ...]
    published_at: str
    members: Mapping[str, Content] = field(default_factory=dict)
