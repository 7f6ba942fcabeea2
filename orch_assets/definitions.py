"""The code location of the shipped pipelines. Your own is built in the same way."""

from orch_assets.defs.location.code_location import build_definitions
from orch_assets.defs.location.graph_assets import broken_of, graph_keys_of

defs = build_definitions()
graph_keys = graph_keys_of(defs)
broken = broken_of(defs)
