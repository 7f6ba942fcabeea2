"""The index of an artifact set: its tables' names and what each is."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import BinaryIO

from orch_assets.errors import ArtifactNotFoundError
from orch_assets.marked_names import named
from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.manifest import Content


@dataclass(frozen=True)
class SetIndex:
    """What the current object of a set holds.

    Attributes:
        format: of the tables.
        members: each table by its name, in the set's own order.
    """

    format: StorageFormat
    members: Mapping[str, Content]

    def to_json(self) -> dict[str, object]:
        """Return the index as it is stored."""
        members = {name: asdict(content) for name, content in self.members.items()}
        return {"format": self.format.value, "members": members}

    def member(self, name: str, artifact: str) -> Content:
        """Return what a table of the set ``artifact`` is.

        Raises:
            ArtifactNotFoundError: it has none of that name.
        """
        if name not in self.members:
            raise ArtifactNotFoundError(
                f"The set {named(artifact)} has no table {named(name)}; see members().",
                artifact=artifact,
            )
        return self.members[name]

    @classmethod
    def read(cls, file: BinaryIO) -> "SetIndex":
        """Read a stored index, from its beginning."""
        file.seek(0)
        value = json.load(file)
        members = {name: Content.from_json(each) for name, each in value["members"].items()}
        return cls(StorageFormat(value["format"]), members)
