"""The former name of :mod:`orch_assets.imednet`; importable for one release."""

import warnings
from typing import Any

from orch_assets import imednet

warnings.warn(
    "orch_assets.registry is now orch_assets.imednet; "
    "the old name will be removed in the next release.",
    DeprecationWarning,
    stacklevel=2,
)


def __getattr__(name: str) -> Any:
    return getattr(imednet, name)
