"""``python -m orch_assets.demo``: the older form of ``orch-assets demo-server``."""

import sys

from orch_assets.cli import main

if __name__ == "__main__":
    sys.exit(main(["demo-server", *sys.argv[1:]]))
