"""What a changed data dictionary does to a study: the setting ``ORCH_DRIFT``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from orch_assets.errors import SettingError

_SETTING: Final = "ORCH_DRIFT"


class DriftMode(StrEnum):
    """What a change of a study's dictionary does.

    Attributes:
        EVOLVE: It is applied and listed; the check passes.
        WARN: It is applied and listed; the check fails.
        FREEZE: It isn't applied, unless it withholds values; the study fails.
    """

    EVOLVE = "evolve"
    WARN = "warn"
    FREEZE = "freeze"


@dataclass(frozen=True)
class DriftModes:
    """The modes of all studies.

    Attributes:
        default: The mode of studies that aren't named.
        by_study: The modes of the named studies.
    """

    default: DriftMode = DriftMode.EVOLVE
    by_study: Mapping[str, DriftMode] = field(default_factory=dict)

    def of(self, study_key: str) -> DriftMode:
        """Return the mode of a study."""
        return self.by_study.get(study_key, self.default)

    @classmethod
    def read(cls, setting: str | None) -> "DriftModes":
        """Read the setting: ``warn`` for all studies, ``warn,ONC-301=freeze`` for some of them.

        Raises:
            SettingError: A mode is unknown, or a study or the mode for all is set twice.
        """
        modes: dict[str, DriftMode] = {}
        for item in (part.strip() for part in (setting or "").split(",")):
            if not item:
                continue
            study_key, _, mode = (part.strip() for part in item.rpartition("="))
            if mode not in set(DriftMode):
                raise SettingError(_SETTING, f"has {mode!r} where it needs {_CHOICE}. {_EXAMPLE}")
            if study_key in modes:
                what = f"study {study_key}" if study_key else "all studies"
                raise SettingError(_SETTING, f"has two modes for {what}. {_EXAMPLE}")
            modes[study_key] = DriftMode(mode)
        default = modes.pop("", DriftMode.EVOLVE)
        return cls(default, modes)


_CHOICE: Final = "evolve, warn or freeze"
_EXAMPLE: Final = "Write a mode, and others for single studies: warn,ONC-301=freeze."
