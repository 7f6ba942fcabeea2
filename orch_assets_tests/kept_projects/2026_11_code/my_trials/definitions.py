"""The code location: all definitions that Dagster serves."""

import orch_assets

from my_trials import pipelines

defs = orch_assets.build_definitions(
    pipelines=pipelines,
    shipped="all",  # or some of them: ["subjects", "records"]
    # Your own Dagster assets, checks, sensors and resources:
    # assets=[…], checks=[…], sensors=[…], resources={…},
)
