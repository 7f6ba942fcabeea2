"""What a step reads and who it is, for the manifests of what it stores."""

import contextlib
from collections.abc import Iterator, MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg

from orch_assets.defs.dagster_internals import step_of
from orch_assets.stores import derived_from, noting_inputs, published_by

# By step: a step loads its inputs, works and stores its outputs in one process, and its context is
# one object all along.
_read: MutableMapping[Any, dict[str, str]] = WeakKeyDictionary()


@contextlib.contextmanager
def reading(context: dg.InputContext) -> Iterator[None]:
    """Note the versions that are read inside as inputs of the step, if there is one."""
    step = step_of(context)
    if step is None:  # a study of a study graph, whose runner notes what it reads
        yield
        return
    with noting_inputs(_read.setdefault(step, {})):
        yield


@contextlib.contextmanager
def publishing(context: dg.OutputContext) -> Iterator[None]:
    """Name the step and its inputs in the manifests of what is published inside."""
    step = step_of(context)
    if step is None:
        yield
        return
    with published_by(_facts(context)), derived_from(_read.setdefault(step, {})):
        yield


def _facts(context: dg.OutputContext) -> dict[str, str]:
    facts = {"run": context.run_id, "step": context.step_key}
    if context.has_asset_key:
        facts["asset"] = context.asset_key.to_user_string()
        facts["code_version"] = context.asset_spec.code_version or ""
    if context.has_asset_partitions:
        facts["partition"] = context.asset_partition_key
    return facts
