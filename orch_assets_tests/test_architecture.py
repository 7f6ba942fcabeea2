"""Who may import whom, and what an import costs: held here, so that it stays so."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import orch_assets

PACKAGE = Path(orch_assets.__file__).parent
CORE = {
    "clouds",
    "errors",
    "extras",
    "http_rules",
    "json_values",
    "lazy",
    "marked_names",
    "refreshing",
    "run_guard",
    "signals",
    "study",
    "table_blocks",
    "version",
}

# What each part may import of the others. "" is the package itself: the public API.
MAY_IMPORT = {
    "errors": {"lazy", "marked_names"},
    "extras": {"errors"},
    "http_rules": set(),
    "json_values": {"marked_names"},
    "lazy": set(),
    "marked_names": set(),
    "refreshing": set(),
    "run_guard": set(),
    "signals": set(),
    "study": {"errors", "run_guard"},
    "table_blocks": set(),
    "clouds": set(),
    "version": set(),
    "charts": {"errors", "extras", "imednet", "stores"},
    "demo": CORE,
    "imednet": CORE,
    "registry": {"demo", "imednet"},  # the former name, for one release
    "stores": CORE,
    "step_functions": CORE,
    "orchestration": CORE | {"imednet"},
    "alerts": CORE | {"orchestration"},
    # The columns of the API's tables, and what a state machine is built of beyond plain steps.
    "pipelines": {"", "charts", "imednet", "step_functions"},
    "": CORE | {"imednet", "stores", "step_functions", "orchestration", "defs"},
    "exports": CORE | {"stores"},
    "reports": {"charts", "errors", "version"},
    "defs": CORE
    | {
        "alerts",
        "charts",
        "demo",
        "exports",
        "imednet",
        "stores",
        "step_functions",
        "orchestration",
        "pipelines",
        "reports",
    },
    "components": {"defs", "errors", "orchestration"},
    "definitions": {""},
    "terminal": {"orchestration"},
    "cli": {"", "commands", "errors", "signals", "version"},
    "commands": {
        "",
        "alerts",
        "demo",
        "defs",
        "definitions",
        "errors",
        "exports",
        "orchestration",
        "reports",
        "signals",
        "stores",
        "terminal",
    },
    "__main__": {"cli"},
    "studies": {"cli"},
}
MAY_IMPORT_DAGSTER = {"components", "defs", "definitions", "commands"}
CLOUDS = {"boto3", "botocore", "aiobotocore", "google", "dagster_aws", "dagster_gcp"}
TABLES = {"pandas", "pyarrow", "numpy", "matplotlib", "PIL"}
TABLES |= {"duckdb", "polars", "pyreadstat", "python_calamine", "xlsxwriter"}


@dataclass(frozen=True)
class Import:
    """One import statement: where it is, what it names, and when it runs."""

    file: Path
    line: int
    module: str
    at_load: bool
    for_types: bool

    @property
    def part(self) -> str:
        """The part of the package that imports; "" is the package itself."""
        first = self.file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if self.file.name == "__main__.py":  # former commands: they call the one command
            return "__main__"
        return "" if first == "__init__" else first

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]

    @property
    def imported_part(self) -> str:
        return [*self.module.split("."), ""][1]

    def __str__(self) -> str:
        return f"{self.file.relative_to(PACKAGE.parent)}:{self.line} imports {self.module}"


def imports_of(file: Path) -> Iterator[Import]:
    yield from _walk(file, ast.parse(file.read_text()), at_load=True, for_types=False)


def _walk(file: Path, node: ast.AST, *, at_load: bool, for_types: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        for module in _modules(file, child):
            yield Import(file, child.lineno, module, at_load and not for_types, for_types)
        if typing:
            for statement in child.body:
                wrapped = ast.Module([statement], [])
                yield from _walk(file, wrapped, at_load=at_load, for_types=True)
            rest = ast.Module(child.orelse, [])
            yield from _walk(file, rest, at_load=at_load, for_types=for_types)
            continue
        yield from _walk(file, child, at_load=at_load and not inside, for_types=for_types)


def _modules(file: Path, node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{file}:{node.lineno}: imports here are absolute"
        if node.module == "orch_assets":  # a part, or a name of the public API
            parts = MAY_IMPORT.keys()
            return [
                f"{node.module}.{a.name}" if a.name in parts else node.module for a in node.names
            ]
        return [str(node.module)]
    return []


FILES = sorted(PACKAGE.rglob("*.py"))
IMPORTS = [found for file in FILES for found in imports_of(file)]


def test_there_is_something_to_look_at():
    assert len(FILES) > 50
    assert len(IMPORTS) > 300
    assert {found.part for found in IMPORTS} <= MAY_IMPORT.keys()


def test_every_part_imports_only_what_it_may():
    wrong = [
        str(found)
        for found in IMPORTS
        if found.package == "orch_assets"
        and found.imported_part not in MAY_IMPORT[found.part] | {found.part}
    ]
    assert wrong == []


def test_only_the_shell_imports_dagster():
    wrong = [
        str(found)
        for found in IMPORTS
        if found.package.startswith("dagster") and found.part not in MAY_IMPORT_DAGSTER
    ]
    assert wrong == []


def test_one_module_imports_what_dagster_keeps_to_itself():
    """An upgrade of Dagster breaks there, or nowhere."""
    keepers = {
        str(found.file.relative_to(PACKAGE))
        for found in IMPORTS
        if found.module.startswith("dagster_shared")
        or (found.package == "dagster" and "._" in found.module)
    }
    assert keepers == {"defs/dagster_internals.py"}


def test_pipelines_import_neither_http_nor_clouds():
    banned = {"httpx", "requests", *CLOUDS}
    wrong = [str(f) for f in IMPORTS if f.part == "pipelines" and f.package in banned]
    assert wrong == []


def test_tables_and_clouds_are_imported_where_they_are_used_and_nowhere_at_load():
    wrong = [str(f) for f in IMPORTS if f.at_load and f.package in TABLES | CLOUDS]
    assert wrong == []


def test_the_walk_sees_what_runs_at_load_and_what_does_not(tmp_path):
    """The test above can fail."""
    file = tmp_path / "example.py"
    file.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import pandas\nelse:\n    import numpy\n"
        "class A:\n    import boto3\n    def f(self):\n        from pyarrow import compute\n"
        "try:\n    import google.cloud.storage\nexcept ImportError:\n    pass\n"
    )
    at_load = {found.module for found in imports_of(file) if found.at_load}
    assert at_load == {"typing", "numpy", "boto3", "google.cloud.storage"}
    assert {f.module for f in imports_of(file)} - at_load == {"pandas", "pyarrow"}


def loaded_by(code: str) -> set[str]:
    """Return the modules that a fresh process has loaded after some code."""
    shown = f"{code}\nimport sys\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


def test_the_public_api_comes_without_dagster_and_each_name_is_loaded_on_first_use():
    assert not {"dagster", "pandas", "pyarrow", "httpx"} & loaded_by("import orch_assets")
    everything = "from orch_assets import *"
    assert not {"dagster", "pandas", "pyarrow", "boto3", "google.cloud"} & loaded_by(everything)


@pytest.mark.parametrize(
    "entry", ["orch_assets.definitions", "orch_assets.cli", "orch_assets.terminal"]
)
def test_loading_the_code_location_loads_no_table_no_http_and_no_cloud(entry):
    heavy = {
        "pandas",
        "pyarrow",
        "numpy",
        "matplotlib",
        "httpx",
        "boto3",
        "botocore",
        "google.cloud",
    }
    heavy |= {"dagster_aws", "dagster_gcp", "uvicorn", "starlette.applications"}
    heavy |= {"matplotlib", "plotly"}
    assert not heavy & loaded_by(f"import {entry}")


def test_a_users_own_location_loads_no_more_than_the_shipped_one():
    """Plotting is imported when the first chart is drawn."""
    code = """
from orch_assets import build_definitions, study_pipeline

@study_pipeline
def own(study_key, sdk, study_logger, subjects):
    pass

defs = build_definitions(own)
defs.resolve_job_def("study_pipelines")
"""
    drawing = {"matplotlib", "plotly", "PIL"}
    assert not (TABLES | CLOUDS | drawing) & loaded_by(code)


def test_loading_the_code_location_loads_no_store_and_no_backfills():
    """The import of what only a run or a sensor needs was a third of the time to load."""
    needed_later = {
        "orch_assets.stores.store",
        "orch_assets.alerts.outbox",
        "dagster._core.execution.backfill",
    }
    assert not needed_later & loaded_by("import orch_assets.definitions")


def test_the_public_api_is_exactly_this():
    assert orch_assets.__all__ == [
        "CancelHandle",
        "Document",
        "FilterConflictError",
        "GCSPipelineStore",
        "ImednetError",
        "ImednetSDK",
        "JsonLogFormatter",
        "LocalPipelineStore",
        "MultiStudyOrchestrator",
        "OrchestratorError",
        "OrchestratorResult",
        "PipelineStep",
        "PreviousResult",
        "Result",
        "S3PipelineStore",
        "Skip",
        "SplitTable",
        "StepFunctionsPipeline",
        "StorageFormat",
        "StoredTables",
        "StudyContextLogAdapter",
        "StudyMachine",
        "StudyNotFoundError",
        "StudyTables",
        "StudyWorkerCallable",
        "TableHistory",
        "build_form_tables",
        "get_current_study",
        "in_study_context",
        "make_study_logger",
        "partial_dates",
        "split_withheld",
        "study_context",
        "study_pipeline",
    ]


def test_every_public_name_is_there_for_use_and_for_type_checkers_alike():
    public = [*orch_assets.__all__, "build_definitions"]
    assert dir(orch_assets) == sorted([*public, "code_location"])
    for name in public:
        assert getattr(orch_assets, name).__name__ == name
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = [alias.name for statement in block.body for alias in statement.names]
    assert sorted(typed) == sorted(public)


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        orch_assets.nothing  # noqa: B018
