"""``python -m orch_assets.studies``: the command ``orch-assets studies``."""

import sys

from orch_assets.cli import main

if __name__ == "__main__":
    sys.exit(main(["studies", *sys.argv[1:]]))
