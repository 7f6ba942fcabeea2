"""The Dagster shell: everything here wraps something that works without Dagster."""

from orch_assets.extras import needing

with needing("dagster"):
    import dagster  # noqa: F401 - the modules in here need it; a missing one is told of here
