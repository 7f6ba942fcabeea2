"""The settings of pipelines as the run configuration of their graph: the launchpad's form."""

import json
from collections.abc import MutableMapping, Sequence
from datetime import date
from typing import Any, Final
from weakref import WeakKeyDictionary

import dagster as dg

from orch_assets.orchestration.defining.parameters import Setting
from orch_assets.orchestration.defining.setting_types import CHOICE
from orch_assets.orchestration.pipeline import StudyPipeline

_SCALARS: Final[dict[Any, Any]] = {
    bool: dg.Bool,
    int: dg.Int,
    float: dg.Float,
    str: dg.String,
    date: dg.String,
    list: dg.Array(dg.String),
}

# Dagster's op can't hold them.
_pipelines: MutableMapping[Any, Sequence[StudyPipeline]] = WeakKeyDictionary()


def note_pipelines(op: dg.OpDefinition, pipelines: Sequence[StudyPipeline]) -> None:
    """Note the pipelines of a study graph, for :func:`pipelines_of`."""
    _pipelines[op] = pipelines


def pipelines_of(op: object) -> Sequence[StudyPipeline]:
    """Return the pipelines of a study graph's op; empty for any other op."""
    return _pipelines.get(op, ())


def config_schema(pipelines: Sequence[StudyPipeline]) -> dict[str, dg.Field] | None:
    """Return the run configuration of a graph; None if no pipeline has settings.

    It has a section for each pipeline with settings. Nothing in it is required. A default is only
    described, and isn't filled in: a value that is given replaces those of single studies.
    """
    sections = {
        each.name: dg.Field(
            {setting.name: _field(each.name, setting) for setting in each.settings},
            is_required=False,
            description=f"Settings of the pipeline {each.name}, for all studies of the run.",
        )
        for each in pipelines
        if each.settings
    }
    return sections or None


def _field(pipeline: str, setting: Setting) -> dg.Field:
    setting_type = setting.type
    if setting_type.kind is CHOICE:
        choices = [dg.EnumValue(each) for each in setting_type.choices]
        config_type: Any = dg.Enum(f"{pipeline}_{setting.name}", choices)
    else:
        config_type = _SCALARS[setting_type.kind]
    if setting_type.optional:
        config_type = dg.Noneable(config_type)
    default = json.dumps(setting_type.plain(setting.default), ensure_ascii=False)
    parts = [setting.help, f"Must be {setting_type.words}.", f"Default: {default}."]
    return dg.Field(config_type, is_required=False, description=" ".join(filter(None, parts)))
