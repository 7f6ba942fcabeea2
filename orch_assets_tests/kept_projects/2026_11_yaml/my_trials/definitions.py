"""The code location: all definitions in the folder `defs`, where `dg scaffold defs` writes them."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
