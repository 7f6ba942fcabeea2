"""``python -m orch_assets.stores verify URI``: the former name of ``orch-assets verify URI``."""

import sys

from orch_assets.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] if sys.argv[1:2] == ["verify"] else ["verify", "--help"]))
