"""Records a step's identity and inputs in the manifests of the artifacts that it stores."""

import contextlib
from collections.abc import Iterator, MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg

from orch_assets.defs.dagster_internals import step_of
from orch_assets.defs.run_coordinator import launched_by
from orch_assets.stores import derived_from, noting_inputs, published_by

# Versions read, by step context. A step loads its inputs, runs and stores its outputs in one
# process, with the same context object.
_versions_read: MutableMapping[Any, dict[str, str]] = WeakKeyDictionary()


@contextlib.contextmanager
def reading(context: dg.InputContext) -> Iterator[None]:
    """Record the versions that are read in this context as inputs of the step, if there is one."""
    step = step_of(context)
    if step is None:  # a study of a study graph, whose runner records what it reads
        yield
        return
    with noting_inputs(_versions_read.setdefault(step, {})):
        yield


@contextlib.contextmanager
def publishing(context: dg.OutputContext) -> Iterator[None]:
    """Record the step and its inputs in the manifests of artifacts published in this context."""
    step = step_of(context)
    if step is None:
        yield
        return
    facts = {**_facts(context), **launched_by(step.instance, step.dagster_run)}
    with published_by(facts), derived_from(_versions_read.setdefault(step, {})):
        yield


def _facts(context: dg.OutputContext) -> dict[str, str]:
    facts = {"run": context.run_id, "step": context.step_key}
    if context.has_asset_key:
        facts["asset"] = context.asset_key.to_user_string()
        facts["code_version"] = context.asset_spec.code_version or ""
    if context.has_asset_partitions:
        facts["partition"] = context.asset_partition_key
    return facts
