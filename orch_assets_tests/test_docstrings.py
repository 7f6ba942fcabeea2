"""The examples in docstrings run, and give what they show."""

import doctest
import importlib
from pathlib import Path

import pytest

import orch_assets

PACKAGE = Path(orch_assets.__file__).parent
MODULES = [
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for file in sorted(PACKAGE.rglob("*.py"))
    # What runs when it is imported, and the former names, which warn.
    if file.name != "__main__.py" and "registry" not in file.parent.relative_to(PACKAGE).parts
]


def examples_of(name: str) -> list[doctest.DocTest]:
    found = doctest.DocTestFinder().find(importlib.import_module(name))
    return [test for test in found if test.examples]


EXAMPLES = {test.name: test for name in MODULES for test in examples_of(name)}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_docstring_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = doctest.DocTestRunner().run(EXAMPLES[name])
    assert outcome.failed == 0


def test_there_are_examples():
    assert len(EXAMPLES) > 20
