"""``python -m orch_assets.registry.demo``: the former name of ``python -m orch_assets.demo``."""

from orch_assets.demo.__main__ import main

if __name__ == "__main__":
    main()
