"""The CPU time to load the code location, compared with ``import dagster`` alone."""

import json
import sys
import time

from benchmarks.measuring import median, report_of, verdict

REPETITIONS = 5
HEAVY = ("boto3", "google.cloud", "pandas", "pyarrow")


def main() -> bool:
    """Print the difference; return whether it is within its bound."""
    print("loading orch_assets.definitions, in addition to importing dagster")
    figures = [report_of("benchmarks.loading", "measure") for _ in range(REPETITIONS)]
    imported = max(figure["heavy"] for figure in figures)
    dagster = median([figure["dagster"] for figure in figures])
    location = median([figure["location"] for figure in figures])
    print(f"  import dagster {dagster:.2f} CPU s, the code location {location:.2f} CPU s more")
    is_fast = verdict("code location / import dagster", location / dagster, 0.5)
    return verdict(f"imports of {', '.join(HEAVY)}", imported, 0) and is_fast


def measure() -> None:
    """Print the CPU seconds of both imports, measured in this process."""
    import dagster  # noqa: F401 - its import is what is measured

    with_dagster = time.process_time()
    from orch_assets.definitions import defs

    defs.resolve_job_def("study_pipelines")
    heavy = sum(name in sys.modules for name in HEAVY)
    figures = {"dagster": with_dagster, "location": time.process_time() - with_dagster}
    print(json.dumps({**figures, "heavy": heavy}))


if __name__ == "__main__":
    measure()
