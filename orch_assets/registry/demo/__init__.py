"""The former name of :mod:`orch_assets.demo`; importable for one release."""

import warnings
from typing import Any

from orch_assets import demo

warnings.warn(
    "orch_assets.registry.demo is now orch_assets.demo; "
    "the old name will be removed in the next release.",
    DeprecationWarning,
    stacklevel=2,
)


def __getattr__(name: str) -> Any:
    return getattr(demo, name)
