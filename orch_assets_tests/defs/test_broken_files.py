"""One broken file in the folder of pipelines costs nobody else anything, and says what it is."""

import importlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import dagster as dg
import pytest

from orch_assets.defs.discovery import broken_pipelines, discover_pipelines
from orch_assets.defs.graph import build_study_graph, build_together_graphs
from orch_assets.defs.state_machines.deployments import build_deployments
from orch_assets.defs.study_resources import study_resources
from orch_assets_tests.support.harness import definitions as location
from orch_assets_tests.support.harness import in_state, instance, observations

# ruff: noqa: E501 - a file's text stands in one line with what is said of it

HEAD = "from orch_assets import PipelineStep, StudyMachine, study_pipeline\n"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"


def pipeline(name: str, *upstreams: str, arguments: str = "", body: str = "return 1") -> str:
    parameters = ", ".join(["study_key", "sdk", "study_logger", *upstreams])
    mark = f"@study_pipeline({arguments})" if arguments else "@study_pipeline"
    return f"{mark}\ndef {name}({parameters}):\n    {body}\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder of pipelines with a good one; give what writes files and imports the folder."""
    folder = tmp_path / f"pipelines_{uuid.uuid4().hex}"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**files: str):
        for name, text in {"__init__": "", "good": HEAD + pipeline("good"), **files}.items():
            (folder / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        return importlib.import_module(folder.name)

    return write


def assembled(found):
    """Build all that the code location builds of pipelines."""
    graphs = [build_study_graph(found), *build_together_graphs(found)]
    defs = dg.Definitions(
        assets=[*graphs, *build_deployments(found)],
        resources=study_resources(),
        executor=dg.in_process_executor,
    )
    dg.Definitions.validate_loadable(defs)
    return {key.to_user_string() for key in defs.resolve_all_asset_keys()}


# file, what stands for it, the line and the cause
BROKEN = {
    "a missing module": ("import nowhere_to_be_found\n", 1, "ModuleNotFoundError: No module named 'nowhere_to_be_found'."),
    "a missing name": ("\nfrom orch_assets import nothing\n", 2, "ImportError: "),
    "a syntax error": ("x = 1\ndef (:\n", 2, "SyntaxError: "),
    "a name error": ("\n\nundefined\n", 3, "NameError: name 'undefined' is not defined."),
    "a key error": ("import os\nos.environ['NOT_SET_ANYWHERE']\n", 2, "KeyError: 'NOT_SET_ANYWHERE'."),
    "its own error": ("raise ValueError('set a limit')\n", 1, "ValueError: set a limit."),
    "an error that quotes": ("key = 'planted' + '-key'\nint(key)\n", 2, "ValueError."),
    "a key that is quoted": ("key = 'planted' + '-key'\n{}[key]\n", 2, "KeyError."),
    "a type error that quotes": ("key = 'yek-detnalp'[::-1]\nraise TypeError(f'no key {key} here')\n", 2, "TypeError."),
    "an import error that quotes": ("key = 'yek-detnalp'[::-1]\nraise ImportError(key)\n", 2, "ImportError."),
    "a syntax error that quotes": ("key = 'yek-detnalp'[::-1]\nraise SyntaxError(key)\n", 2, "SyntaxError."),
    "a source of its own": ("key = 'yek-detnalp'[::-1]\ncompile('=', key, 'exec')\n", 2, "SyntaxError."),
    "our error that quotes": (HEAD + "from orch_assets import ImednetError\nraise ImednetError('yek-detnalp'[::-1])\n", 3, "ImednetError."),
    "a type error": ("def f(a): pass\nf()\n", 2, "TypeError: f() missing 1 required positional argument: 'a'."),
    "a sum of other types": ("1 + 'a'\n", 1, "TypeError: unsupported operand type(s) for +: 'int' and 'str'."),
    "an exit": ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3."),
    "an interrupt of its own": ("raise KeyboardInterrupt\n", 1, "KeyboardInterrupt."),
    "an error without text": ("class E(Exception):\n    def __str__(self): raise E\nraise E\n", 3, "E."),
    "a bad parameter": (HEAD + "@study_pipeline\ndef bad(a, b):\n    pass\n", 2, "PipelineDefinitionError: Pipeline bad must be f("),
    "a bad argument": (HEAD + pipeline("bad", arguments="colum='red'"), 2, "PipelineDefinitionError: @study_pipeline has no option colum. Did you mean `columns`?"),
    "a bad timeout": (HEAD + pipeline("bad", arguments="timeout='soon'"), 2, "PipelineDefinitionError: Pipeline bad: timeout can't be read."),
    "text for a list": (HEAD + pipeline("bad", arguments="studies='ONC-*'"), 2, "PipelineDefinitionError: Pipeline bad: studies is text; give a list, such as studies=['ONC-*']"),
    "a setting of no type": (HEAD + pipeline("bad", "days={}"), 2, "PipelineDefinitionError: Pipeline bad: the parameter days has a default, so it is a setting"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "cause"), BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_cannot_be_imported_is_an_asset_with_file_line_and_cause(
    package, text, line, cause
):
    module = package(bad=text)
    found = discover_pipelines(module)
    assert [each.name for each in found] == ["good", "bad"]
    (reason,) = broken_pipelines(found).values()
    assert reason.startswith(f"{module.__name__}/bad.py, line {line}: {cause}")
    assert "planted-key" not in reason
    assert assembled(found) == {"good", "bad"}


UNSOUND = {
    "no such upstream": (pipeline("bad", "nowhere"), "takes a parameter 'nowhere', but no pipeline"),
    "a misspelt upstream": (pipeline("bad", "goood"), "no pipeline has that name. Did you mean `good`?"),
    "a misspelt optional upstream": (pipeline("bad", "goood=None"), "no pipeline has that name. Did you mean `good`?"),
    "a setting named as a pipeline": (pipeline("bad", "good=1"), "has a setting 'good', which is also the name of a pipeline"),
    "no such resource": (
        pipeline("bad", "registri: __import__('dagster').ResourceParam[int]"),
        "the parameter registri is a resource, but the code location has none with this key. Did you mean `registry`?",
    ),
    "takes itself": (pipeline("bad", "bad"), "form a cycle: bad → bad."),
    "a name that Dagster keeps": (pipeline("input"), "input"),
    "the location's own name": (pipeline("study_results"), "the code location has the asset study_results, too"),
    "the folder of certificates": (pipeline("erasures"), "the code location has the asset erasures, too"),
    "a bad group": (pipeline("bad", arguments="group='a b'"), "a b"),
    "a bad owner": (pipeline("bad", arguments="owners=['nobody']"), "nobody"),
    "a bad tag": (pipeline("bad", arguments="tags={'a': 1}"), ""),
    "no such IO manager": (pipeline("bad", arguments="io_manager_key='mine'"), "io_manager_key is 'mine'"),
    "a misspelt IO manager": (pipeline("bad", arguments="io_manager_key='io_manger'"), "Did you mean `io_manager`?"),
    "a machine that AWS refuses": (
        pipeline("bad", arguments="machine=StudyMachine([PipelineStep('A', 'no arn', timeout_seconds=-1)])"), ""
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "cause"), UNSOUND.values(), ids=UNSOUND.keys())
def test_a_pipeline_that_cannot_be_built_is_an_asset_that_says_why(package, text, cause):
    found = discover_pipelines(package(bad=HEAD + text), study_resources())
    (name,) = broken = broken_pipelines(found)
    assert "/bad.py, line 2" in broken[name]
    assert cause in broken[name]
    assert assembled(found) == {"good", name}


def test_of_two_pipelines_of_one_name_the_one_of_its_own_module_stays(package):
    other = HEAD + pipeline("another") + pipeline("good")
    found = discover_pipelines(package(aaa=other))
    assert {each.name for each in found} == {"another", "good", "aaa"}
    (reason,) = broken_pipelines(found).values()
    assert "aaa.py, line" in reason
    assert "good.py, line 2 has the asset good, too" in reason
    assert assembled(found) == {"another", "good", "aaa"}


def test_two_state_machines_of_one_name(package):
    machine = "machine=StudyMachine([PipelineStep('A', ARN)], name='m')"
    text = HEAD + f"ARN = {ARN!r}\n"
    files = {name: text + pipeline(name, arguments=machine) for name in ("one", "two")}
    found = discover_pipelines(package(**files))
    broken = broken_pipelines(found)
    assert "one.py, line 3 has the state machine m, too" in broken["two"]
    assert assembled(found) == {"good", "one", "one_machine", "two"}


def test_a_cycle_breaks_its_members_alone(package):
    files = {
        "one": HEAD + pipeline("one", "two"),
        "two": HEAD + pipeline("two", "one"),
        "three": HEAD + pipeline("three", "two"),
    }
    found = discover_pipelines(package(**files))
    broken = broken_pipelines(found)
    assert broken.keys() == {"one", "two"}
    assert broken["one"].endswith("form a cycle: one → two → one.")
    assert assembled(found) == {"good", "one", "two", "three"}


def test_modules_whose_names_no_asset_can_have(package):
    module = package(**{"my-file": "1/0\n", "type": "1/0\n", "good_": "1/0"})
    found = discover_pipelines(module)
    assert [each.name for each in found] == ["good", "good_", "my_file", "type_file"]
    assert len(assembled(found)) == 4


def test_a_broken_file_keeps_the_names_that_it_declares(package):
    """What takes them is their dependant, and has no fault of its own."""
    text = HEAD + pipeline("lab_values", arguments="group='x'") + "async " + "def ("
    named = HEAD + pipeline("f", arguments='name="named"') + "1/0"
    files = {
        "labs": text,
        "more": named,
        "summary": HEAD + pipeline("summary", "lab_values", "named", "good"),
    }
    found = discover_pipelines(package(**files))
    assert [each.name for each in found] == [
        "good", "summary", "labs", "lab_values", "more", "named",
    ]  # fmt: skip
    assert broken_pipelines(found).keys() == {"labs", "lab_values", "more", "named"}


def test_in_a_run_the_broken_one_fails_and_only_what_takes_it_with_it(package, tmp_path):
    files = {
        "labs": "import nowhere_to_be_found\n",
        "summary": HEAD + pipeline("summary", "labs"),
        "fine": HEAD + pipeline("fine", "good"),
    }
    module = package(**files)
    found = discover_pipelines(module)
    defs = location(tmp_path, *[each.function for each in found if each.name == "good"])
    graph = build_study_graph(found)
    with instance("A", "B") as real:
        dg.materialize(
            [graph], instance=real, resources=defs.resources, partition_key="A",
            raise_on_error=False,
        )  # fmt: skip
        assert in_state(real, "fine", "MATERIALIZED") == ["A"]
        assert in_state(real, "labs", "FAILED") == ["A"]
        assert observations(real, "labs")["A"]["error"].startswith(
            f"PipelineDefinitionError: {module.__name__}/labs.py, line 1: ModuleNotFoundError: "
            "No module named 'nowhere_to_be_found'."
        )
        assert observations(real, "summary")["A"]["error"] == "UpstreamFailed: labs"
    labs = graph.specs_by_key[dg.AssetKey("labs")]
    assert "nowhere_to_be_found" in str(labs.description)


def test_members_that_answer_anything_or_refuse_to_answer_are_no_pipelines(package):
    """Such as lazy proxies, and builders of expressions."""
    text = (
        "class Anything:\n    def __getattr__(self, name): return self\n"
        "class Proxy:\n    def __getattribute__(self, name): raise RuntimeError(name)\n"
        "anything, proxy = Anything(), Proxy()\n"
    )
    found = discover_pipelines(package(more=HEAD + text + pipeline("more")))
    assert [each.name for each in found] == ["good", "more"]
    assert not broken_pipelines(found)


LOCATION = """
import sys
from orch_assets import pipelines
pipelines.__path__.append(sys.argv[1])
from orch_assets.defs.location.found_location import find_location
found = find_location("orch_assets.definitions")
print(found.broken)
print(*found.defs.resolve_job_def("study_pipelines").asset_layer.selected_asset_keys)
"""


def test_the_code_location_loads_and_tells_what_is_broken(tmp_path):
    (tmp_path / "labs.py").write_text("import nowhere_to_be_found\n")
    command = [sys.executable, "-c", LOCATION, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    reason = (
        "pipelines/labs.py, line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'."
    )
    told, job = done.stdout.splitlines()
    assert told == str({"labs": reason})
    assert {"AssetKey(['forms'])", "AssetKey(['labs'])"} <= set(re.findall(r"AssetKey\(.*?\)", job))
    assert f"Broken: {reason}" in done.stderr


def test_ctrl_c_while_a_file_is_imported_is_no_fault_of_the_file(package):
    module = package(slow="import time\ntime.sleep(30)\n")
    interrupt = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        discover_pipelines(module)
    assert time.monotonic() - began < 20


def test_an_unreadable_file_and_a_folder_are_told_too(package):
    module = package()
    folder = Path(str(module.__file__)).parent
    (folder / "gone.py").symlink_to(folder / "nowhere.py")
    (folder / "inner").mkdir()
    (folder / "inner" / "__init__.py").write_text("1/0\n")
    (folder / "zeros.py").write_bytes(b"x = 1\0\n")
    importlib.invalidate_caches()
    broken = broken_pipelines(discover_pipelines(module))
    assert broken.keys() == {"gone", "inner", "zeros"}
    assert "inner/__init__.py, line 1: ZeroDivisionError" in broken["inner"]
    assert f"{module.__name__}.gone" not in sys.modules
