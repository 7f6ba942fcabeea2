"""The former name of :mod:`orch_assets.demo`; importable for one release."""

import warnings

from orch_assets.demo import DemoRegistry, DemoServer, Fault

warnings.warn(
    "orch_assets.registry.demo is now orch_assets.demo; the old name goes with the next release.",
    DeprecationWarning,
    stacklevel=2,
)

__all__ = ["DemoRegistry", "DemoServer", "Fault"]
