"""Whether the same code, with the same libraries, would make a stored version again."""

import functools
import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Final

from orch_assets.stores.lineage import CARRIED_OVER, LAUNCHED_BY
from orch_assets.stores.manifest import Publication
from orch_assets.version import code_version

# A fact of the provenance: a digest of everything beside inputs, code version and libraries that
# decides about a result. Publications without it are never taken for made alike.
MADE_BY: Final = "made_by"
# Facts of the run, which don't decide about a result. What a pure result takes of its previous
# version is what would be made again.
_OF_THE_RUN: Final = frozenset({"run", LAUNCHED_BY, CARRIED_OVER})


def is_made_alike(publication: Publication, provenance: Mapping[str, str]) -> bool:
    """Return whether a version was made by the code and the libraries that would make it now.

    The run may be another. The inputs are not compared.

    Args:
        publication: The version's last publication.
        provenance: Facts about a publication by the current code.
    """
    recorded = publication.libraries
    return (
        MADE_BY in provenance
        and _without_run(publication.provenance) == _without_run(provenance)
        and bool(recorded)
        and recorded == {name: _installed(name) for name in recorded}
    )


def _without_run(provenance: Mapping[str, str]) -> dict[str, str]:
    return {name: fact for name, fact in provenance.items() if name not in _OF_THE_RUN}


@functools.cache  # each takes milliseconds
def _installed(library: str) -> str | None:
    """Return the installed version, also of a library that this process has not imported yet."""
    if library == "python":
        return platform.python_version()
    if library == "orch-assets":
        return code_version()
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
