"""Names that an IO manager may show: those in the asset's source, and keys that Dagster shows."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg

from orch_assets.defs.dagster_internals import step_of
from orch_assets.defs.io.artifact_names import artifact_name, dimension_keys
from orch_assets.errors import OrchAssetsError
from orch_assets.marked_names import with_known_names
from orch_assets.orchestration.reporting.known_names import (
    KnownNames,
    current_known_names,
    names_known_to,
)


def names_known_in(context: dg.OutputContext | dg.InputContext) -> KnownNames:
    """Return the names that can't be data while an asset or an op's output is stored or loaded."""
    current = current_known_names()
    if current is not None:  # inside a study pipeline
        return current
    step = step_of(context)
    compute = getattr(step.op_def, "compute_fn", None) if step is not None else None
    known = names_known_to(getattr(compute, "decorated_fn", None))
    return replace(known, others=frozenset(_names_of_asset(context)))


@contextlib.contextmanager
def with_known_names_only(known: KnownNames) -> Iterator[None]:
    """Remove all other names from this package's errors.

    Dagster logs the text of any error that an asset raises. Errors of a study pipeline are not
    changed, because its failure report needs them.
    """
    try:
        yield
    except OrchAssetsError as error:
        if current_known_names() is None:
            error.args = (with_known_names(error.marked, known.knows), *error.args[1:])
            error.__cause__ = None  # an error of the disk contains the whole path
        raise


def _names_of_asset(context: Any) -> Iterator[str]:
    """Yield the parts of artifact names that are keys of assets and partitions."""
    if context.has_asset_key:
        yield artifact_name(context.asset_key, None)
        yield from context.asset_key.path
    if context.has_asset_partitions:
        for key in context.asset_partition_keys:
            yield from dimension_keys(key).values()
            yield str(key)
