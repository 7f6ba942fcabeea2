"""Run the named benchmarks, or all."""

import importlib
import pkgutil
import sys

import benchmarks

# `earlier` and `result_cost` are not run with the others: they need a commit to compare with.
_COMPARISONS = {"earlier", "result_cost"}
_NOT_BENCHMARKS = {
    "__main__",
    "dagster_run",
    "locations",
    "measuring",
    "changing_registry",
    "prepared_registry",
    "refresh_run",
    "thousands",
    *_COMPARISONS,
}


def main() -> int:
    names = sorted({m.name for m in pkgutil.iter_modules(benchmarks.__path__)} - _NOT_BENCHMARKS)
    chosen = sys.argv[1:] or names
    unknown = set(chosen) - set(names)
    if unknown:
        print(f"No benchmark {', '.join(sorted(unknown))}. Available: {', '.join(names)}.")
        return 2
    passed = [importlib.import_module(f"benchmarks.{name}").main() for name in chosen]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
