"""The code location of the shipped pipelines. Your own is built in the same way."""

from orch_assets import build_definitions

defs = build_definitions()
