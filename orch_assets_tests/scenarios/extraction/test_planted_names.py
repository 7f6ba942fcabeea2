"""Names that pipelines make of data: in the failure report in full, nowhere else that people read.

Looked through, byte by byte: the instance's folder, what the process printed and logged, what the
UI's GraphQL answers. Each pipeline takes the names from the environment: its source has none.
"""

import importlib.util
import io
import json
import logging
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import dagster as dg
import pytest

from orch_assets_tests.support.graphql import ask
from orch_assets_tests.support.harness import (
    Account,
    definitions,
    execute,
    instance,
    materializations,
    observations,
)

STUDY = "ONC-301"
NAME, IDENTIFIER = "PLANTED-7f3a", "planted_7f3a"

SOURCE = """
import dataclasses, os, types
import pandas as pd
import pyarrow as pa
import orch_assets.errors
from orch_assets import LocalPipelineStore, study_context, study_pipeline
from orch_assets.errors import StoreError
from orch_assets.orchestration.returned_values import SplitTable

NAME, IDENTIFIER = os.environ["A_NAME"], os.environ["AN_IDENTIFIER"]
MIXED = [1, "x"]

def raising():
    raise ValueError(NAME)

@study_pipeline
def member(study_key, sdk, study_logger):
    return {"visits": pd.DataFrame({"dose": [1]}), NAME: pd.DataFrame({"dose": MIXED})}

@study_pipeline
def column(study_key, sdk, study_logger):
    return pd.DataFrame({"dose": [1, 2], NAME: MIXED})

@study_pipeline
def nested_type(study_key, sdk, study_logger):
    struct = pa.struct([(NAME, pa.month_day_nano_interval())])
    return pa.table({"dose": pa.array([None], struct)})

@study_pipeline
def repeated_column(study_key, sdk, study_logger):
    return pd.DataFrame([[1, 2]], columns=[NAME, NAME])

@study_pipeline
def index_level(study_key, sdk, study_logger):
    return pd.DataFrame({"dose": [1, 2]}, index=pd.Index(MIXED, name=NAME, dtype=object))

@study_pipeline
def withheld_column(study_key, sdk, study_logger):
    return SplitTable(pd.DataFrame({"dose": [1, 2]}), pd.DataFrame({NAME: MIXED}))

@study_pipeline
def withheld_member(study_key, sdk, study_logger):
    fine = pd.DataFrame({"dose": [1, 2]})
    return SplitTable({"AE": fine}, {NAME: pd.DataFrame({"dose": MIXED})})

@study_pipeline
def artifact(study_key, sdk, study_logger):
    return LocalPipelineStore(os.environ["A_STORE"]).download(f"subjects/{NAME}")

@study_pipeline
def artifact_name(study_key, sdk, study_logger):
    return LocalPipelineStore(os.environ["A_STORE"]).download(f"subjects//{NAME}")

@study_pipeline
def version(study_key, sdk, study_logger):
    return LocalPipelineStore(os.environ["A_STORE"]).download("subjects", NAME)

@study_pipeline
def asked_study(study_key, sdk, study_logger):
    return len(list(sdk.subjects.list(study_key=NAME)))

@study_pipeline
def wrong_study(study_key, sdk, study_logger):
    with study_context(f"{NAME}/1"):
        return 1

@study_pipeline
def job(study_key, sdk, study_logger):
    return sdk.jobs.get(study_key, NAME).state

@study_pipeline
def raised_type(study_key, sdk, study_logger):
    raise type(IDENTIFIER, (ValueError,), {})("x")

@study_pipeline
def type_that_claims_to_be_ours(study_key, sdk, study_logger):
    raise type(IDENTIFIER, (StoreError,), {"__module__": "orch_assets.errors"})("x")

@study_pipeline
def compiled_file(study_key, sdk, study_logger):
    exec(compile("raise ValueError(1)", f"{NAME}.py", "exec"), {})

@study_pipeline
def file_that_claims_to_be_ours(study_key, sdk, study_logger):
    code = compile("raise StoreError(NAME)", orch_assets.errors.__file__, "exec")
    exec(code, {"StoreError": StoreError, "NAME": NAME})

@study_pipeline
def function_name(study_key, sdk, study_logger):
    code = raising.__code__.replace(co_name=IDENTIFIER)
    types.FunctionType(code, globals())()

@study_pipeline
def module_name(study_key, sdk, study_logger):
    module = types.ModuleType(NAME)
    exec(f"def {IDENTIFIER}(): raise ValueError(1)", vars(module))
    getattr(module, IDENTIFIER)()

@study_pipeline
def result_type(study_key, sdk, study_logger):
    return {"first": dataclasses.make_dataclass(IDENTIFIER, ["a"])(1)}

@study_pipeline
def result_key(study_key, sdk, study_logger):
    return {IDENTIFIER: object()}

@study_pipeline
def object_type(study_key, sdk, study_logger):
    return pd.DataFrame({"dose": [dataclasses.make_dataclass(IDENTIFIER, ["a"])(1)]})

# What succeeds

@study_pipeline
def pivot(study_key, sdk, study_logger):
    types = pa.struct([(NAME, pa.int64()), ("unit", pa.string())])
    columns = {
        "subject_key": ["001"],
        "dose": [1.5],
        NAME: [1],
        "nested": pa.array([None], types),
        "zoned": pa.array([None], pa.timestamp("us", NAME)),
    }
    return pa.table(columns)

@study_pipeline
def variables_of_the_study(study_key, sdk, study_logger):
    rows = sdk.dictionary(study_key).variables.to_pylist()
    found = {row["blinded"]: row["variable_name"] for row in rows}
    return pd.DataFrame({found[False]: [1], found[True]: [1]})

@study_pipeline
def counts(study_key, sdk, study_logger):
    return {IDENTIFIER: 3}

@study_pipeline
def known_counts(study_key, sdk, study_logger):
    return {"patients": 3}

@study_pipeline
def withheld(study_key, sdk, study_logger):
    return SplitTable(pa.table({"dose": [1]}), pa.table({NAME: [1]}))
"""

FAILS = {
    "member": "UnstorableTableError: Table 1 of 'member/ONC-301' can't be stored: "
    "Column 'dose' mixes values of several types (int, str); the one at position 1 is the first "
    "that differs. Convert the column to one type.",
    "column": "UnstorableTableError: 'column/ONC-301' can't be stored: Column 1 mixes values",
    "nested_type": "UnstorableTableError: 'nested_type/ONC-301' can't be stored: Column 'dose' is "
    "of type struct<…: month_day_nano_interval>, which Parquet can't hold.",
    "repeated_column": "UnstorableTableError: 'repeated_column/ONC-301' can't be stored: Column 1 "
    "is there more than once; rename it.",
    "index_level": "UnstorableTableError: 'index_level/ONC-301' can't be stored: Index level 0 "
    "mixes values",
    "withheld_column": "UnstorableTableError: 'withheld_column/ONC-301' can't be stored: Column 0 "
    "mixes values",
    "withheld_member": "UnstorableTableError: Table 0 of 'withheld_member/ONC-301' can't be "
    "stored: Column 'dose' mixes values",
    "artifact": "ArtifactNotFoundError: No table … is stored at file:///",
    "artifact_name": "ArtifactNameError: Artifact name … has an empty part, '.' or '..'.",
    "version": "ArtifactNotFoundError: … is not a version of 'subjects'",
    "asked_study": "RegistryNotFoundError: iMednet registry, /studies/…/subjects, page 0: ",
    "wrong_study": "StudyKeyError: Study key … holds '/', which no partition key can carry.",
    "job": "RegistryNotFoundError: iMednet registry, /studies/ONC-301/jobs/…: ",
    "raised_type": "ValueError (at names.py:",
    "type_that_claims_to_be_ours": "StoreError (at names.py:",
    "compiled_file": "ValueError (at names.py:",
    "file_that_claims_to_be_ours": "StoreError (at names.py:",
    "function_name": "ValueError (at names.py:",
    "module_name": "ValueError (at names.py:",
    "result_type": "UnstorableValueError: 'result_type/ONC-301' is not a table and is not "
    'JSON-serializable. The value at result["first"] is of the type ….',
    "result_key": "UnstorableValueError: 'result_key/ONC-301' is not a table and is not "
    "JSON-serializable. The value at result[key 1] is of the type object.",
    "object_type": "UnstorableTableError: 'object_type/ONC-301' can't be stored: Column 'dose' "
    "holds objects of type …, which can't be stored",
}
SUCCEEDS = ("pivot", "variables_of_the_study", "counts", "known_counts", "withheld")

LOGS = """
query Logs($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
  ... on MessageEvent { message }
  ... on MaterializationEvent { metadataEntries { ...Entry } }
  ... on ObservationEvent { metadataEntries { ...Entry } }
  ... on ExecutionStepFailureEvent { error { message stack } failureMetadata {
    metadataEntries { ...Entry } } }
} } } }
fragment Entry on MetadataEntry { label description
  ... on TextMetadataEntry { text } ... on JsonMetadataEntry { jsonString }
  ... on TableSchemaMetadataEntry { schema { columns { name type } } } }
"""


class Run:
    """What a run of all these pipelines left: its events by pipeline, and everything else."""

    def __init__(self, folder, real, run, printed, logged):
        self.reports = {
            path.parent.name: path.read_text()
            for path in (folder / "restricted").rglob("*.json")
            if "failures" in path.parts and ".orch" not in path.parts
        }
        self.failed = {name: observations(real, name).get(STUDY) for name in FAILS}
        self.made = {name: materializations(real, name).get(STUDY) for name in SUCCEEDS}
        self.readable = {"stdout and stderr": printed, "loggers": logged}
        for path in Path(real.root_directory).rglob("*"):
            if path.is_file():
                self.readable[path.name] = path.read_bytes().decode("utf-8", "replace")
        location = "orch_assets_tests.scenarios.extraction.no_assets"
        answer = ask(real, location, LOGS, {"run": run.run_id})
        self.readable["GraphQL"] = json.dumps(answer, ensure_ascii=False)


class Lines(logging.Handler):
    """Keeps what is logged, as text."""

    def __init__(self):
        super().__init__(level=1)
        self.lines = []

    def emit(self, record):
        self.lines.append(logging.Formatter().format(record))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run of all pipelines, over an account's registry."""
    folder = tmp_path_factory.mktemp("names")
    handler, printed = Lines(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("A_NAME", NAME)
        patch.setenv("AN_IDENTIFIER", IDENTIFIER)
        patch.setenv("A_STORE", str(folder / "other"))
        patch.setattr(logging.root, "handlers", [*logging.root.handlers, handler])
        for name in ("orch_assets", "orch_assets.imednet", "dagster"):
            patch.setattr(logging.getLogger(name), "level", 1)
        patch.setattr(logging.getLogger("dagster"), "handlers", [handler])
        with instance(STUDY) as real:
            defs = definitions(folder, *functions(folder), registry=Account())
            with redirect_stdout(printed), redirect_stderr(printed):
                ended = execute(defs, real, STUDY)
            assert ended.status is dg.DagsterRunStatus.FAILURE
            yield Run(folder, real, ended, printed.getvalue(), "\n".join(handler.lines))


def functions(folder):
    (folder / "names.py").write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("names", folder / "names.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [getattr(module, name) for name in (*FAILS, *SUCCEEDS)]


def has_planted(text):
    return NAME in text or IDENTIFIER in text


@pytest.mark.parametrize("pipeline", FAILS)
def test_a_failure_tells_no_name_that_is_made_of_data(run, pipeline):
    """Its position, or nothing, stands for it in the event; the report has it in full."""
    error = run.failed[pipeline]["error"]
    assert not has_planted(error)
    assert error.startswith(FAILS[pipeline])
    assert has_planted(run.reports[pipeline])


def test_a_schema_has_names_that_are_known_and_positions_of_others(run):
    (told,) = run.made["pivot"]
    schema = told["dagster/column_schema"]
    assert [(column.name, column.type) for column in schema.columns] == [
        ("subject_key", "string"),
        ("dose", "double"),
        ("column 2", "int64"),
        ("nested", "struct<…: int64, unit: string>"),
        ("zoned", "timestamp[us, tz=…]"),
    ]
    assert told["dagster/row_count"] == 1


def test_an_open_variable_is_named_where_this_attempt_read_the_dictionary(run):
    """Its column is a name that people know; one of a blinded variable is withheld."""
    (told,) = run.made["variables_of_the_study"]
    names = [column.name for column in told["dagster/column_schema"].columns]
    assert names == [names[0], "column 1"]
    assert names[0] != "column 0"


def test_numbers_by_names_that_are_made_of_data_are_an_artifact(run):
    """Those by names of the pipeline's source stand in the event."""
    assert run.made["counts"][0]["data"] is None
    assert run.made["counts"][0]["dagster/uri"].endswith(f"/counts/{STUDY}.json")
    assert run.made["known_counts"][0]["data"] == {"patients": 3}


def test_a_withheld_part_has_its_rows_in_the_event_and_no_column(run):
    (told,) = run.made["withheld"]
    assert told["withheld_rows"] == 1
    assert not has_planted(repr(told))


def test_none_of_them_is_in_what_people_read(run):
    assert {where for where, text in run.readable.items() if has_planted(text)} == set()
    assert "Column 1 mixes values" in run.readable["GraphQL"]
    assert "column 2" in run.readable["GraphQL"]
    assert "/studies/…/subjects, page 0: HTTP 404" in run.readable["loggers"]
