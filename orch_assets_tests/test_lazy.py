"""What is made on first use."""

import ast
import threading
from pathlib import Path

import orch_assets
from orch_assets.lazy import cached_property

PACKAGE = Path(orch_assets.__file__).parent


class Study:
    def __init__(self, meeting: threading.Barrier) -> None:
        self.meeting = meeting
        self.made = 0

    @cached_property
    def table(self) -> str:
        """The study's table."""
        self.made += 1
        self.meeting.wait(timeout=20)
        return "table"


def test_attributes_of_two_objects_are_made_at_the_same_time():
    """Python 3.11's own has one lock for all objects, so that studies wait for each other."""
    meeting = threading.Barrier(2)
    studies = [Study(meeting), Study(meeting)]
    threads = [threading.Thread(target=lambda each=each: each.table) for each in studies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(each.table, each.made) for each in studies] == [("table", 1), ("table", 1)]


def test_the_attribute_has_its_docstring_on_the_class():
    assert Study.table.__doc__ == "The study's table."


def test_no_module_takes_the_attribute_with_the_lock():
    taken = [
        file.name
        for file in PACKAGE.rglob("*.py")
        if file.name != "lazy.py"
        for node in ast.walk(ast.parse(file.read_text()))
        if (isinstance(node, ast.ImportFrom) and node.module == "functools")
        and "cached_property" in {alias.name for alias in node.names}
    ]
    assert taken == []
