"""The CPU time to load the code location: compared with ``import dagster``, and with a commit.

The commit is the last one whose location consisted of the shipped pipelines only, before a user's
own could be built. Both trees take turns, because a machine's speed changes by more than a few
percent from minute to minute.
"""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.earlier import HERE, checkout
from benchmarks.measuring import median, verdict

BEFORE = "365462b"
REPETITIONS = 15
HEAVY = ("boto3", "google.cloud", "matplotlib", "pandas", "plotly", "pyarrow")
BOUND = 1.03

# Runs in both trees, so it uses only what both have.
_MEASURE = """
import json, sys, time
import dagster
with_dagster = time.process_time()
from orch_assets.definitions import defs
defs.resolve_job_def("study_pipelines")
defs.get_repository_def().get_all_jobs()
location = time.process_time() - with_dagster
heavy = sum(name in sys.modules for name in json.loads(sys.argv[1]))
print(json.dumps({"dagster": with_dagster, "location": location, "heavy": heavy}))
"""


def main() -> bool:
    """Print the differences; return whether each is within its bound."""
    print(f"loading orch_assets.definitions, in addition to importing dagster, and at {BEFORE}")
    with checkout(BEFORE) as tree:
        _figures(tree)  # compiles the bytecode of a new checkout
        pairs = [(_figures(HERE), _figures(tree)) for _ in range(REPETITIONS)]
    now = [mine for mine, _ in pairs]
    imported = max(figure["heavy"] for figure in now)
    dagster = median([figure["dagster"] for figure in now])
    location = median([figure["location"] for figure in now])
    ratio = median([mine["location"] / theirs["location"] for mine, theirs in pairs])
    print(f"  import dagster {dagster:.2f} CPU s, the code location {location:.2f} CPU s more")
    return all(
        [
            verdict("code location / import dagster", location / dagster, 0.5),
            verdict(f"code location / that of {BEFORE}", ratio, BOUND),
            verdict(f"imports of {', '.join(HEAVY)}", imported, 0),
        ]
    )


def _figures(tree: Path) -> dict[str, float]:
    """Measure in a new process, which imports the package of a tree."""
    command = [sys.executable, "-c", _MEASURE, json.dumps(HEAVY)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
