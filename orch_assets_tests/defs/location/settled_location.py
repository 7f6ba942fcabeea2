"""The shipped code location, with the settings of the environment at the time of its import."""

from orch_assets import build_definitions

defs = build_definitions()
