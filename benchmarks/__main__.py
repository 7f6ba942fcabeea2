"""Run the named benchmarks, or all."""

import importlib
import pkgutil
import sys

import benchmarks

# `earlier` is not run with the others, because it needs a commit to compare with.
_NOT_BENCHMARKS = {
    "__main__",
    "earlier",
    "locations",
    "measuring",
    "prepared_registry",
    "thousands",
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
