"""How a run reads tables, as its tags say; the UI's launch dialog can set tags, too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from orch_assets.errors import OrchestratorArgumentError

FULL_TAG: Final = "orch_assets/full"
OTHER_REGISTRY_TAG: Final = "orch_assets/accept_other_registry"

_VALUES: Final = {"true": True, "false": False}


@dataclass(frozen=True)
class ReadingOptions:
    """How a run reads tables that it could refresh.

    Attributes:
        read_whole: Whether all rows are read, not only what changed.
        accept_other_registry: Whether results of another iMednet account may be replaced.
    """

    read_whole: bool = False
    accept_other_registry: bool = False

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "ReadingOptions":
        """Return what the tags of a run say.

        Raises:
            OrchestratorArgumentError: A tag is neither ``true`` nor ``false``.
        """
        return cls(_is_set(tags, FULL_TAG), _is_set(tags, OTHER_REGISTRY_TAG))

    @property
    def tags(self) -> dict[str, str]:
        """The tags that say this."""
        chosen = {FULL_TAG: self.read_whole, OTHER_REGISTRY_TAG: self.accept_other_registry}
        return {tag: "true" for tag, is_set in chosen.items() if is_set}


def _is_set(tags: Mapping[str, str], tag: str) -> bool:
    value = tags.get(tag, "false").strip().lower()
    if value not in _VALUES:
        raise OrchestratorArgumentError(f"The run's tag {tag} must be true or false.")
    return _VALUES[value]
