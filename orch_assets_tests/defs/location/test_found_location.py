"""The code location of a command: found as Dagster's own commands find it, or clearly refused."""

# ruff: noqa: E501 - a file's text stands in one line with what is said of it

import sys
import uuid

import dagster as dg
import pytest

from orch_assets.defs.location.found_location import find_location
from orch_assets.errors import PipelineDefinitionError, SettingError
from orch_assets_tests.defs.location.own_files import HEAD, pipeline, write_package

DEFINITIONS = """
from orch_assets import build_definitions
from {name} import pipelines

defs = build_definitions(pipelines, shipped=())
"""
DG = '[tool.dg.project]\nroot_module = "{name}"\ncode_location_name = "trials"\n'
LAZY = """
import dagster as dg
from orch_assets import build_definitions
from {name} import pipelines

@dg.definitions
def defs():
    return build_definitions(pipelines, shipped=())
"""


class Folder:
    """A working folder with a package of its own name, which isn't installed."""

    def __init__(self, folder):
        self.path = folder
        self.name = f"trials_{uuid.uuid4().hex}"
        self.module = f"{self.name}.definitions"

    def write(self, definitions=DEFINITIONS, **files):
        (self.path / "pyproject.toml").write_text("[tool.ruff]\n")
        text = definitions.format(name=self.name)
        events = HEAD + pipeline("events")
        write_package(self.path, self.name, {"definitions": text, "pipelines.events": events})
        for name, content in files.items():
            file = self.path / {"pyproject": "pyproject.toml", "workspace": "workspace.yaml"}[name]
            file.write_text(content.format(name=self.name))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    made = Folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ORCH_DEFINITIONS", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield made
    for name in [each for each in sys.modules if each.startswith(made.name)]:
        del sys.modules[name]


def test_the_shipped_pipelines_are_found_without_a_word(folder):
    found = find_location()
    assert (found.target.module, found.target.name) == ("orch_assets.definitions", "orch_assets")
    assert dg.AssetKey("subjects") in found.graph_keys
    assert found.broken == {}


WAYS = {
    "dg": ({"pyproject": DG}, "trials"),
    "dg, another module": (
        {"pyproject": DG.replace('"{name}"', '"x"') + 'code_location_target_module = "{name}.definitions"\n'},
        "trials",
    ),
    "tool.dagster": (
        {"pyproject": '[tool.dagster]\nmodule_name = "{name}.definitions"\ncode_location_name = "t"\n'},
        "t",
    ),
    "tool.dagster without a name": (
        {"pyproject": '[tool.dagster]\nmodule_name = "{name}.definitions"\n'},
        "{name}.definitions",
    ),
    "workspace.yaml": (
        {"workspace": "load_from: [{{python_module: {{module_name: {name}.definitions, attribute: defs, location_name: w}}}}]"},
        "w",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("files", "name"), WAYS.values(), ids=WAYS.keys())
def test_the_files_of_the_working_folder_name_it(folder, files, name):
    """Its name is theirs, too: by this name, the UI re-executes a run of the command."""
    folder.write(**files)
    found = find_location()
    assert found.graph_keys == {dg.AssetKey("events")}
    assert (found.target.module, found.attribute) == (folder.module, "defs")
    assert found.origin("study_pipelines").location_name == name.format(name=folder.name)


def test_the_option_and_the_variable_come_first(folder, monkeypatch):
    folder.write(pyproject='[tool.dagster]\nmodule_name = "nowhere.definitions"\n')
    monkeypatch.setenv("ORCH_DEFINITIONS", folder.module)
    assert find_location().target.module == folder.module
    assert find_location().target.name == folder.module  # as `dagster -m` names it
    shipped = find_location("orch_assets.definitions")
    assert (shipped.target.module, shipped.target.name) == (
        "orch_assets.definitions",
        "orch_assets",
    )


def test_the_option_keeps_the_name_that_a_file_gives_the_module(folder):
    folder.write(pyproject=DG)
    assert find_location(folder.module).target.name == "trials"


def test_definitions_may_be_made_by_a_function(folder):
    folder.write(LAZY, pyproject=DG)
    assert find_location().graph_keys == {dg.AssetKey("events")}


def test_broken_pipelines_are_told_by_name(folder):
    folder.write(pyproject=DG)
    (folder.path / folder.name / "pipelines" / "labs.py").write_text("1/0\n")
    assert find_location().broken == {"labs": "pipelines/labs.py, line 1: ZeroDivisionError."}


HIDDEN = "key = 'planted' + '-key'\nraise ValueError(key)\n"
TWO = DEFINITIONS + "other = build_definitions(pipelines)\n"
WRONG = {
    "no such module": ("", "pyproject", '[tool.dagster]\nmodule_name = "nowhere_at_all"\n', "there is no module nowhere_at_all"),
    "an error of its own": ("\n\n1/0\n", "pyproject", DG, "can't be loaded: definitions.py, line 3: ZeroDivisionError"),
    "an import that is missing": ("import nowhere_to_be_found\n", "pyproject", DG, "definitions.py, line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    "a text that quotes": (HIDDEN, "pyproject", DG, "definitions.py, line 2: ValueError"),
    "none": ("x = 1\n", "pyproject", DG, "has no Definitions object at module level"),
    "two": (TWO, "pyproject", DG, "more than one Definitions object: defs, other"),
    "no pipelines": ("import dagster as dg\ndefs = dg.Definitions()\n", "pyproject", DG, "have no study pipelines"),
    "a function that fails": (LAZY.replace("return", "1/0; return"), "pyproject", DG, "definitions.py, line 8: ZeroDivisionError"),
    "no TOML": ("", "pyproject", "[[[", "can't be read by Dagster (TOMLDecodeError)"),
    "several": ("", "workspace", "load_from: [{{python_module: a.b}}, {{python_module: c.d}}]", "names several code locations (a.b, c.d)"),
    "a server": ("", "workspace", "load_from: [{{grpc_server: {{host: h, port: 1, location_name: s}}}}]", "names the code location s without a Python module"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "file", "content", "told"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_with_the_module_and_the_way_out(folder, text, file, content, told):
    folder.write(text or DEFINITIONS, **{file: content})
    with pytest.raises(SettingError) as caught:
        find_location()
    assert told in str(caught.value)
    assert "planted-key" not in str(caught.value)
    assert str(caught.value).startswith("pyproject.toml or workspace.yaml ")


def test_an_error_of_ours_is_told_as_it_is(folder):
    folder.write(DEFINITIONS.replace("shipped=()", "shipped=['subject']"), pyproject=DG)
    with pytest.raises(PipelineDefinitionError, match="shipped names subject"):
        find_location()
