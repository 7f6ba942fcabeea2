"""The settings that somebody gives to a run on the command line: ``--set pipeline.name=value``."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import dagster as dg

from orch_assets.defs.settings.config_schema import pipelines_of
from orch_assets.errors import SettingError
from orch_assets.orchestration.defining.similar_names import suggestion
from orch_assets.orchestration.pipeline import StudyPipeline

_OPTION: Final = "--set"


@dataclass(frozen=True)
class CommandSettings:
    """Settings of a run.

    Attributes:
        ops: The part ``ops`` of a run configuration.
    """

    ops: Mapping[str, Any] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        """The same as ``--set`` takes them."""
        return [
            f"{pipeline}.{name}={_text(value)}"
            for op in self.ops.values()
            for pipeline, settings in op.get("config", {}).items()
            if isinstance(settings, Mapping)  # others' assets have configurations of their own
            for name, value in settings.items()
        ]


def command_settings(
    texts: Sequence[str],
    graphs: Iterable[dg.AssetsDefinition],
    selected: Iterable[dg.AssetKey],
) -> CommandSettings:
    """Return settings that are given as ``pipeline.name=value``.

    Args:
        texts: The settings.
        graphs: The study graphs.
        selected: Keys of the pipelines that the run has.

    Raises:
        SettingError: One of them can't be read, or the run doesn't have it.
    """
    chosen = {key.to_user_string() for key in selected}
    found = {
        pipeline.name: (graph.op.name, pipeline)
        for graph in graphs
        for pipeline in pipelines_of(graph.op)
        if pipeline.settings and pipeline.name in chosen
    }
    ops: dict[str, Any] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        name, dot, setting = target.strip().partition(".")
        if not (equals and dot):
            raise SettingError(_OPTION, "must be PIPELINE.NAME=VALUE, such as labs.days=14.")
        if name not in found:
            raise SettingError(
                _OPTION,
                f"names the pipeline {name}, which this run doesn't have, or which has no settings."
                f"{suggestion(name, found)} It has: {', '.join(found) or 'none'}.",
            )
        op, pipeline = found[name]
        section = ops.setdefault(op, {"config": {}})["config"].setdefault(name, {})
        section[setting] = _value(pipeline, setting, value)
    return CommandSettings(ops)


def _text(value: Any) -> str:
    """Return a value of a run configuration as the command line takes it."""
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def _value(pipeline: StudyPipeline, name: str, text: str) -> Any:
    settings = {each.name: each.type for each in pipeline.settings}
    if name not in settings:
        raise SettingError(
            _OPTION,
            f"names {pipeline.name}.{name}, which isn't a setting.{suggestion(name, settings)} "
            f"Settings of {pipeline.name}: {', '.join(settings)}.",
        )
    try:
        return settings[name].plain(settings[name].read_text(text))
    except ValueError as error:
        raise SettingError(_OPTION, f"{pipeline.name}.{name} {error}") from None
