"""Which names an IO manager may tell: those of the asset's source, and keys that Dagster shows."""

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
    """Return the names that can't be data where an asset, or an op, is stored or loaded."""
    here = current_known_names()
    if here is not None:  # a study pipeline's
        return here
    step = step_of(context)
    compute = getattr(step.op_def, "compute_fn", None) if step is not None else None
    known = names_known_to(getattr(compute, "decorated_fn", None))
    return replace(known, others=frozenset(_of_the_asset(context)))


@contextlib.contextmanager
def with_known_names_only(known: KnownNames) -> Iterator[None]:
    """Leave other names out of our errors: Dagster logs the text of whatever an asset raises.

    A study pipeline's errors stay as they are, for its failure report.
    """
    try:
        yield
    except OrchAssetsError as error:
        if current_known_names() is None:
            error.args = (with_known_names(error.marked, known.knows), *error.args[1:])
            error.__cause__ = None  # of the disk's own, which has the whole path
        raise


def _of_the_asset(context: Any) -> Iterator[str]:
    """Yield the parts of artifacts' names that are keys of assets and partitions."""
    if context.has_asset_key:
        yield artifact_name(context.asset_key, None)
        yield from context.asset_key.path
    if context.has_asset_partitions:
        for key in context.asset_partition_keys:
            yield from dimension_keys(key).values()
            yield str(key)
