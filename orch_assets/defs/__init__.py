"""The Dagster layer: everything here wraps something that works without Dagster."""

from orch_assets.extras import needing

with needing("dagster"):
    import dagster  # noqa: F401 - if it isn't installed, the error names the extra
