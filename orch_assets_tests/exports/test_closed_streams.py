"""A refused export closes what it reads from, even while its error is held.

What is left for the garbage collector may be closed in a thread that is just being started, where
CPython 3.11 waits forever for another thread.
"""

import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from orch_assets.errors import ExportMismatchError
from orch_assets.exports.export_format import FORMATS, format_named
from orch_assets.exports.export_notes import Notes
from orch_assets.exports.two_at_once import closing, one_ahead
from orch_assets_tests.exports.exporting import exported_table

ROWS = pa.table({"AETERM": ["a", "b", "c", "d", "e", "f"], "AESEQ": [1, 2, 3, 4, 5, 6]})
OTHER = pa.table({"AETERM": ["a", "b", "x", "d", "e", "f"], "AESEQ": [1, 2, 3, 4, 5, 6]})


def threads_ahead() -> list[str]:
    return [each.name for each in threading.enumerate() if "one-ahead" in each.name]


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_file_with_another_cell_is_refused_and_no_thread_waits(
    format_name: str, tmp_path: Path
) -> None:
    path = tmp_path / f"AE.{format_named(format_name).extension}"
    with Notes(tmp_path) as notes:
        format_named(format_name).prepare([exported_table(ROWS)], {}).write(path, notes)
    file = format_named(format_name).prepare([exported_table(OTHER)], {})
    with pytest.raises(ExportMismatchError) as held:
        file.verify(path)
    assert threads_ahead() == []
    assert held.value.__traceback__ is not None


def test_streams_are_closed_while_a_traceback_holds_them() -> None:
    closed = []

    def numbers() -> Iterator[int]:
        try:
            yield from range(9)
        finally:
            closed.append("source")

    def use(stream: Iterator[int]) -> None:
        with closing(stream, iter([1])):
            assert next(stream) == 0
            raise ValueError("held")

    with pytest.raises(ValueError, match="held") as held:
        use(one_ahead(numbers()))
    assert (threads_ahead(), closed) == ([], ["source"])
    assert held.value.__traceback__ is not None
