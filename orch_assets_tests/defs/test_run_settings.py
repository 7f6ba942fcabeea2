"""Settings of pipelines in a run: where a value comes from, where it is noted, what is refused."""

import json
import re
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Literal

import dagster as dg
import pyarrow as pa
import pytest

from orch_assets import LocalPipelineStore, study_pipeline
from orch_assets.defs.partitions import range_tags
from orch_assets.defs.settings.run_settings import SettingSources
from orch_assets.errors import SettingError
from orch_assets_tests.support.harness import (
    definitions,
    ended,
    everything_logged,
    failure_text,
    instance,
    materializations,
    observations,
)

STUDIES = ("CARD-202", "ONC-301")


class Arm(Enum):
    """A treatment arm."""

    PLACEBO = "p"
    DRUG = "d"


@study_pipeline
def source(study_key, sdk, study_logger):
    return pa.table({"n": [1, 2]})


def labs(  # noqa: D417 - settings without a description have no help
    study_key,
    sdk,
    study_logger,
    source: pa.Table,
    *,
    days=30,
    rate: float = 0.5,
    since: date | None = None,
    unit: Literal["mg", "g"] = "mg",
    arm: Arm = Arm.DRUG,
    forms: list[str] = ("LB",),
    strict: bool = False,
    note: str = "",
):
    """Lab values.

    Args:
        study_key: The study.
        days: Days to look back,
            at most.
        since: First day.

    Returns:
        A table: never empty.
    """
    row = (days, rate, str(since), unit, arm.name, ",".join(forms), strict, note)
    return pa.table({"used": [json.dumps(row)]})


mark = study_pipeline(pure=True, code_version="1")
DEFAULTS = [30, 0.5, "None", "mg", "DRUG", "LB", False, ""]


class Location:
    def __init__(self, folder, per_study=None, file: str | None = None):
        path = folder / "studies.yaml"
        if file is not None:
            path.write_text(file)
        sources = SettingSources(per_study or {}, path if file is not None else None)
        self.defs = definitions(folder, source, mark(labs), settings=sources)
        self.store = LocalPipelineStore(folder / "artifacts")

    def run(self, real, **launched):
        sections = {"study_graph": {"config": {"labs": launched}}} if launched else {}
        result = self.defs.resolve_job_def("everything").execute_in_process(
            {"ops": sections},
            instance=real,
            tags=range_tags(*STUDIES),
            raise_on_error=False,
        )
        return ended(real, result.run_id)

    def used(self, study_key):
        (text,) = self.store.download(f"labs/{study_key}")["used"]
        return json.loads(text)


FILE = """
ONC-301:
  labs:
    days: 14
    rate: 1
    since: 2026-01-31
    unit: g
    arm: PLACEBO
    forms: [LB, LB2]
    strict: true
    note: "007"
"""


def test_a_run_takes_precedence_over_the_file_and_the_file_over_the_code(tmp_path):
    per_study = {"ONC-301": {"labs": {"days": 7, "rate": 0.25}}, "CARD-202": {"labs": {}}}
    location = Location(tmp_path, per_study, "ONC-301:\n  labs:\n    days: 14\n")
    with instance(*STUDIES) as real:
        assert location.run(real).is_success
        assert location.used("CARD-202") == DEFAULTS
        assert location.used("ONC-301") == [14, 0.25, *DEFAULTS[2:]]
        run = location.run(real, days=3)
        assert location.used("CARD-202") == [3, *DEFAULTS[1:]]
        assert location.used("ONC-301") == [3, 0.25, *DEFAULTS[2:]]
        said = "settings days of labs in this run apply to all its studies, also to those with"
        assert said in everything_logged(real, run)


def test_values_of_a_file_have_their_types_and_the_launchpad_takes_the_same(tmp_path):
    location = Location(tmp_path, file=FILE)
    expected = [14, 1.0, "2026-01-31", "g", "PLACEBO", "LB,LB2", True, "007"]
    with instance(*STUDIES) as real:
        assert location.run(real).is_success
        assert location.used("ONC-301") == expected
        location.run(
            real,
            days=14,
            rate=1.0,
            since="2026-01-31",
            unit="g",
            arm="PLACEBO",
            forms=["LB", "LB2"],
            strict=True,
            note="007",
        )
        assert location.used("CARD-202") == expected


def test_the_values_are_in_the_event_and_in_the_manifest(tmp_path):
    location = Location(tmp_path, file=FILE)
    with instance(*STUDIES) as real:
        location.run(real)
        made = materializations(real, "labs")
        assert "settings" not in materializations(real, "source")["ONC-301"][-1]
    for study_key, days, since in (("ONC-301", 14, "2026-01-31"), ("CARD-202", 30, None)):
        used = made[study_key][-1]["settings"]
        assert (used["days"], used["since"], len(used)) == (days, since, 8)
        publication = location.store.manifest(f"labs/{study_key}").publications[-1]
        assert json.loads(publication.provenance["settings"]) == used


def test_a_changed_value_in_the_file_is_read_by_the_next_run_and_makes_a_pure_result_anew(tmp_path):
    location = Location(tmp_path, file=FILE)
    with instance(*STUDIES) as real:
        location.run(real)
        location.run(real)
        assert materializations(real, "labs")["ONC-301"][-1]["refresh"] == "carried forward"
        (tmp_path / "studies.yaml").write_text(FILE.replace("14", "15"))
        location.run(real)
        made = materializations(real, "labs")
    assert "refresh" not in made["ONC-301"][-1]
    assert made["ONC-301"][-1]["settings"]["days"] == 15
    assert made["CARD-202"][-1]["refresh"] == "carried forward"
    assert location.used("ONC-301")[0] == 15


WRONG = {
    "days: x": r"\(studies.yaml, line 3\): days in the section labs of study ONC-301 must be a "
    r"whole number\.",
    "days: 1.5": "must be a whole number",
    "days: true": "must be a whole number",
    "days:": "must be a whole number",
    "rate: .nan": "must be a number",
    "since: 2026-1-31": "must be a date such as 2026-01-31, or null",
    "since: 2026-01-31 10:00:00": "must be a date",
    "unit: mgg": r"must be one of mg, g\. Did you mean mg\?",
    "arm: PLACEB": r"must be one of PLACEBO, DRUG\. Did you mean PLACEBO\?",
    "forms: LB": "must be a list of texts",
    "forms: [1]": "must be a list of texts",
    "strict: 1": "must be true or false",
    "note: 7": r"must be text\. Put text into quotes\.",
    "note: 007": "must be text",
    "unit: on": r"must be one of mg, g\. Put text into quotes\.",
    "days: 010": "must be a whole number",
    "days: 1:30": "must be a whole number",
    "days: 1_000": "must be a whole number",
    "rate: 1:30.5": "must be a number",
    "dayz: 1": r"line 3\): the section labs of study ONC-301 names dayz, which isn't a setting\. "
    r"Did you mean `days`\?",
    "- days": r"line 3\): the section labs of study ONC-301 must be a mapping of settings",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_value_fails_that_study_alone_and_says_where_it_is(tmp_path, line):
    location = Location(tmp_path, file=f"ONC-301:\n  labs:\n    {line}\n")
    with instance(*STUDIES) as real:
        run = location.run(real)
        assert not run.is_success
        assert list(materializations(real, "labs")) == ["CARD-202"]
        assert sorted(materializations(real, "source")) == list(STUDIES)
        error = observations(real, "labs")["ONC-301"]["error"]
    assert re.search(WRONG[line], error), error
    assert error.startswith("SettingError: ORCH_STUDIES_FILE (studies.yaml, line 3): ")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"lbas": {}}, r"names lbas, which isn't a pipeline\. Did you mean `labs`\?"),
        ({"source": {}}, "names source, which has no settings"),
        ([], "the section of study ONC-301 must be a mapping of pipelines"),
        ({"labs": {"days": "x"}}, "days in the section labs of study ONC-301 must be a whole"),
    ],
)
def test_a_wrong_section_in_code_fails_that_study_alone(tmp_path, section, said):
    location = Location(tmp_path, {"ONC-301": section})
    with instance(*STUDIES) as real:
        location.run(real)
        error = observations(real, "labs")["ONC-301"]["error"]
        assert list(materializations(real, "labs")) == ["CARD-202"]
    assert error.startswith("SettingError: build_definitions(per_study=…) (in code): ")
    assert re.search(said, error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ONC-301: {labs: {days: 1}\n", "studies.yaml, line 2, which isn't valid YAML"),
        ("ONC-301:\n  labs: {}\nONC-301: {}\n", "studies.yaml, line 3, which names ONC-301 twice"),
        ("ONC-301:\n  labs: {since: 2026-02-30}\n", "studies.yaml, line 2, which has a date that"),
        ("ONC-301: \0\n", "studies.yaml, which isn't valid YAML (ReaderError)"),
        ("- ONC-301\n", "studies.yaml, line 1, which must have study keys"),
        ("ONC-301: !!python/object:os.system {}\n", "studies.yaml, line 1, which isn't valid YAML"),
    ],
)
def test_a_file_that_cannot_be_read_fails_the_run_before_its_first_study(tmp_path, text, said):
    location = Location(tmp_path, file=text)
    with instance(*STUDIES) as real:
        run = location.run(real)
        assert f"SettingError: ORCH_STUDIES_FILE names the file {said}" in failure_text(real, run)
        assert materializations(real, "source") == {}


def test_a_missing_file_fails_the_run_and_an_empty_one_sets_nothing(tmp_path):
    location = Location(tmp_path, file="# nothing yet\n")
    with instance(*STUDIES) as real:
        assert location.run(real).is_success
        Path(tmp_path / "studies.yaml").unlink()
        text = failure_text(real, location.run(real))
    assert "studies.yaml, which can't be read (FileNotFoundError)" in text


def test_a_section_for_an_unknown_study_is_a_warning(tmp_path):
    """A file may be written for more studies than an instance knows, or before a study begins."""
    location = Location(tmp_path, file="ONC-31:\n  labs: {days: 1}\n301:\n  labs: {days: 2}\n")
    with instance(*STUDIES) as real:
        run = location.run(real)
        assert run.is_success
        logged = everything_logged(real, run)
    assert "has settings for study ONC-31, which is not known here. Did you mean ONC-301?" in logged
    assert "has settings for study 301, which is not known here" in logged


def test_sections_in_code_must_be_a_dict():
    with pytest.raises(SettingError, match="must be a dict such as"):
        SettingSources([("ONC-301", {})])


def test_many_unknown_studies_are_few_warnings():
    sections = {f"S-{number}": {} for number in range(500)}
    warnings = list(SettingSources(sections).for_run((), {}).warnings(["ONC-301"]))
    assert len(warnings) == 11
    assert warnings[-1].endswith("has settings for 490 more studies that are not known here.")


def test_the_launchpad_shows_types_help_and_defaults_and_fills_nothing_in(tmp_path):
    job = Location(tmp_path).defs.resolve_job_def("everything")
    fields = job.nodes[0].definition.config_field.config_type.fields["labs"].config_type.fields
    assert fields["days"].description == (
        "Days to look back, at most. Must be a whole number. Default: 30."
    )
    assert fields["since"].description == (
        "First day. Must be a date such as 2026-01-31, or null. Default: null."
    )
    assert fields["unit"].description == 'Must be one of mg, g. Default: "mg".'
    assert not any(each.default_provided or each.is_required for each in fields.values())
    assert {name: each.config_type.key for name, each in fields.items()} == {
        "days": "Int",
        "rate": "Float",
        "since": "Noneable.String",
        "unit": "labs_unit",
        "arm": "labs_arm",
        "forms": "Array.String",
        "strict": "Bool",
        "note": "String",
    }


@pytest.mark.parametrize("launched", [{"dayz": 1}, {"days": "x"}, {"unit": "kg"}, {"strict": 1}])
def test_dagster_refuses_a_wrong_launch(tmp_path, launched):
    with instance(*STUDIES) as real, pytest.raises(dg.DagsterInvalidConfigError):
        Location(tmp_path).run(real, **launched)


def test_a_date_that_is_none_fails_the_run_before_its_first_study(tmp_path):
    location = Location(tmp_path)
    with instance(*STUDIES) as real:
        text = failure_text(real, location.run(real, since="tomorrow"))
        assert materializations(real, "source") == {}
    assert "The run's setting since of labs must be a date such as 2026-01-31, or null." in text


class Greeter(dg.ConfigurableResource):
    """A user's own resource."""

    greeting: str = "hello"


def test_a_parameter_with_a_resource_as_its_annotation_receives_it(tmp_path):
    @study_pipeline
    def work(
        study_key, sdk, study_logger, greeter: Greeter, plain: "dg.ResourceParam[dict]", days=1
    ):
        return {"ok": (greeter.greeting, plain["a"], days) == ("hi", 1, 2)}

    resources = {
        "greeter": Greeter(greeting="hi"),
        "plain": dg.ResourceDefinition.hardcoded_resource({"a": 1}),
    }
    sources = SettingSources({"ONC-301": {"work": {"days": 2}}})
    defs = definitions(tmp_path, work, settings=sources, **resources)
    with instance("ONC-301") as real:
        result = defs.resolve_job_def("everything").execute_in_process(
            instance=real, tags={"dagster/partition": "ONC-301"}
        )
        assert result.success
        (made,) = materializations(real, "work")["ONC-301"]
    assert made["data"] == {"ok": True}
    assert made["settings"] == {"days": 2}
