"""``python -m orch_assets.registry.demo``: the former name of ``python -m orch_assets.demo``."""

import runpy

if __name__ == "__main__":
    runpy.run_module("orch_assets.demo", run_name="__main__", alter_sys=True)
