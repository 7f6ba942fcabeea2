"""``python -m orch_assets``: the command ``orch-assets`` if it isn't installed."""

import sys

from orch_assets.cli import main

if __name__ == "__main__":
    sys.exit(main())
