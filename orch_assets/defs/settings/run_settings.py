"""The values of a run's settings: of the launchpad, of single studies, and defaults."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from orch_assets.defs.settings.studies_file import VARIABLE, Placed, read_studies_file
from orch_assets.errors import SettingError
from orch_assets.orchestration.defining.parameters import Setting
from orch_assets.orchestration.defining.similar_names import (
    closest_key,
    did_you_mean,
    suggestion,
)
from orch_assets.orchestration.pipeline import StudyPipeline

_IN_CODE: Final = "build_definitions(per_study=…)"
# One file may serve several instances, so hundreds of its studies may be unknown in one of them.
_MAX_WARNINGS: Final = 10


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run's pipelines for its studies.

    Of several values for one setting, that of the run counts, then that of the studies' file, then
    that of ``build_definitions``, then the default.

    Attributes:
        pipelines: All pipelines of the code location, by name.
        launched: Values of the run, for all its studies, by pipeline and name.
        in_code: Sections of single studies in ``build_definitions``.
        in_file: Sections of single studies in the studies' file.
    """

    pipelines: Mapping[str, StudyPipeline] = field(default_factory=dict)
    launched: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    in_code: Mapping[str, Placed] = field(default_factory=dict)
    in_file: Mapping[str, Placed] = field(default_factory=dict)

    def values(self, pipeline: StudyPipeline, study_key: str) -> dict[str, Any]:
        """Return the values that were set for a pipeline and a study; others keep their default.

        Raises:
            SettingError: The study's section names an unknown pipeline or setting, or a value is
                wrong.
        """
        found: dict[str, Any] = {}
        if not pipeline.settings:
            return found
        for source, sections in ((_IN_CODE, self.in_code), (VARIABLE, self.in_file)):
            if study_key in sections:
                found |= self._of_section(pipeline, study_key, source, sections[study_key])
        return {**found, **self.launched.get(pipeline.name, {})}

    def used(self, pipeline: StudyPipeline, study_key: str) -> dict[str, Any]:
        """Return the values of all settings, defaults included, as JSON has them.

        Empty if a value is wrong: then the pipeline isn't called.
        """
        try:
            values = self.values(pipeline, study_key)
        except SettingError:
            return {}
        return {
            each.name: each.type.plain(values.get(each.name, each.default))
            for each in pipeline.settings
        }

    def warnings(self, known_studies: Iterable[str]) -> Iterator[str]:
        """Yield what a person may not have intended, in sentences.

        Args:
            known_studies: All known studies.
        """
        known = dict.fromkeys(known_studies)
        for source, sections in ((_IN_CODE, self.in_code), (VARIABLE, self.in_file)):
            unknown = [study_key for study_key in sections if study_key not in known]
            for study_key in unknown[:_MAX_WARNINGS]:
                yield (
                    f"{source} ({sections[study_key].place}) has settings for study {study_key}, "
                    f"which is not known here.{did_you_mean(closest_key(study_key, known))}"
                )
            if len(unknown) > _MAX_WARNINGS:
                others = len(unknown) - _MAX_WARNINGS
                yield f"{source} has settings for {others} more studies that are not known here."
        for pipeline, values in self.launched.items():
            own = [
                study_key
                for study_key in dict.fromkeys([*self.in_code, *self.in_file])
                if not values.keys().isdisjoint(self._named(study_key, pipeline))
            ]
            if own:
                yield (
                    f"The settings {', '.join(values)} of {pipeline} in this run apply to all its "
                    f"studies, also to those with a value of their own: {', '.join(own)}."
                )

    def _named(self, study_key: str, pipeline: str) -> Iterator[str]:
        for sections in (self.in_code, self.in_file):
            section = sections.get(study_key)
            of_study = section.value if section else {}
            of_pipeline = of_study.get(pipeline) if isinstance(of_study, Mapping) else None
            if of_pipeline is not None and isinstance(of_pipeline.value, Mapping):
                yield from of_pipeline.value

    def _of_section(
        self, pipeline: StudyPipeline, study_key: str, source: str, section: Placed
    ) -> dict[str, Any]:
        names = [name for name, each in self.pipelines.items() if each.settings]
        of_study = _mapping(section, source, f"the section of study {study_key}", "pipelines")
        for name, each in of_study.items():
            if name in names:
                continue
            problem = "has no settings" if name in self.pipelines else "isn't a pipeline"
            raise SettingError(
                source,
                f"({each.place}): study {study_key} names {name}, which {problem}."
                f"{suggestion(name, names)} Pipelines with settings: {_listed(names)}.",
            )
        if pipeline.name not in of_study:
            return {}
        subject = f"the section {pipeline.name} of study {study_key}"
        values = _mapping(of_study[pipeline.name], source, subject, "settings")
        settings = {each.name: each for each in pipeline.settings}
        found = {}
        for name, each in values.items():
            if name not in settings:
                raise SettingError(
                    source,
                    f"({each.place}): {subject} names {name}, which isn't a setting."
                    f"{suggestion(name, settings)} Its settings: {_listed(settings)}.",
                )
            where = f"({each.place}): {name} in {subject}"
            found[name] = _read(settings[name], each.value, source, where)
        return found


def _mapping(section: Placed, source: str, subject: str, of_what: str) -> Mapping[str, Placed]:
    if section.value is None:  # a section with nothing but comments
        return {}
    if not isinstance(section.value, Mapping):
        raise SettingError(source, f"({section.place}): {subject} must be a mapping of {of_what}.")
    return section.value


def _read(setting: Setting, value: Any, source: str, where: str) -> Any:
    try:
        return setting.type.read(value)
    except ValueError as error:
        raise SettingError(source, f"{where} {error}") from None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


@dataclass(frozen=True)
class SettingSources:
    """Where a code location's settings for single studies come from.

    Attributes:
        per_study: Values by study key, pipeline and setting.
        file: The studies' file; None without one.

    Raises:
        SettingError: ``per_study`` isn't a mapping.
    """

    per_study: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None

    def __post_init__(self) -> None:
        """Check what a run would otherwise fail on."""
        if not isinstance(self.per_study, Mapping):
            raise SettingError(
                _IN_CODE, 'must be a dict such as {"ONC-301": {"labs": {"days": 14}}}.'
            )

    def for_run(
        self, pipelines: Sequence[StudyPipeline], launched: Mapping[str, Mapping[str, Any]]
    ) -> RunSettings:
        """Return the settings of a run that begins now; reads the studies' file.

        Args:
            pipelines: All pipelines of the code location.
            launched: The run's own values, as its run configuration has them.

        Raises:
            SettingError: The file can't be read, or a value of the run is wrong.
        """
        by_name = {each.name: each for each in pipelines}
        values: dict[str, dict[str, Any]] = {}
        for name, section in launched.items():
            settings = {each.name: each for each in by_name[name].settings}
            values[name] = {
                key: _read(settings[key], value, "The run's setting", f"{key} of {name}")
                for key, value in section.items()
            }
        return RunSettings(
            by_name,
            {name: section for name, section in values.items() if section},
            {key: _placed(each, 2) for key, each in self.per_study.items()},
            {} if self.file is None else read_studies_file(self.file),
        )


def _placed(value: Any, depth: int) -> Placed:
    if depth and isinstance(value, Mapping):
        value = {str(key): _placed(each, depth - 1) for key, each in value.items()}
    return Placed(value, "in code")
