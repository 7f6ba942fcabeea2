"""A folder holds one whole export or says that it doesn't, whatever happens meanwhile."""

import hashlib
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from orch_assets.errors import ExportError, ExportMismatchError, ExportRefusedError
from orch_assets.exports.export_folder import ExportFolder
from orch_assets.exports.exported_table import ExportedTable
from orch_assets.exports.table_export import TableExport

STUDY = "ONC-301"


def table(name: str, *numbers: int, batches=None) -> ExportedTable:
    """Return a table with one column of whole numbers."""
    rows = pa.table({"n": pa.array(numbers, pa.int64())})
    return ExportedTable(
        study_key=STUDY,
        name=name,
        schema=rows.schema,
        num_rows=rows.num_rows,
        open_batches=batches or (lambda: iter(rows.to_batches())),
        uri="file:///artifacts/form_tables/ONC-301.set",
        version="0" * 64,
        published_at="2026-01-01T00:00:00.000000+00:00",
    )


def csv_of(*tables: ExportedTable, **options) -> TableExport:
    return TableExport("csv", tables, STUDY, **options)


def is_whole(folder: Path) -> bool:
    """Return whether a reader would take what is in a folder as an export."""
    if not (folder / "export.json").exists():
        return False
    files = json.loads((folder / "export.json").read_text())["files"]
    return all(
        hashlib.sha256((folder / name).read_bytes()).hexdigest() == about["sha256"]
        for name, about in files.items()
    )


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


@pytest.fixture
def folder(tmp_path):
    """A folder with an export of two forms."""
    found = ExportFolder(tmp_path / "to", ("csv", STUDY))
    found.replace_with(csv_of(table("AE", 1, 2), table("DM", 3)))
    assert is_whole(found.path)
    return found


SIDE = {"export.json", "export_notes.csv"}


def test_the_next_export_takes_the_place_of_the_earlier_one(folder):
    written = folder.replace_with(csv_of(table("AE", 7)))
    assert (written.rows, written.tables) == (1, 1)
    assert names(folder.path) == {"AE.csv", *SIDE}
    assert is_whole(folder.path)
    assert (folder.path / "AE.csv").read_text() == '"n"\n"7"\n'


@pytest.mark.parametrize("name", ["", ".hidden", "../AE", "A/E", "A\\E", "A\0E", "A\nE"])
def test_a_table_whose_name_is_no_file_name_is_refused(folder, name):
    with pytest.raises(ExportError, match="can't be the name of a file"):
        folder.replace_with(csv_of(table("DM", 1), table(name, 7)))
    assert names(folder.path) == {"AE.csv", "DM.csv", *SIDE}
    assert is_whole(folder.path)


def test_columns_of_one_name_are_refused(folder):
    schema = pa.table([[1], [2]], names=["n", "n"]).schema
    twice = ExportedTable(STUDY, "AE", schema, 0, lambda: iter(()), "u", "0", "2026")
    with pytest.raises(ExportError, match="has two columns 'n'"):
        folder.replace_with(csv_of(twice))


@pytest.mark.parametrize("error", [ExportMismatchError(STUDY, "AE"), OSError(28, "PLANTED")])
def test_a_failing_export_leaves_the_earlier_one_and_nothing_else(folder, error):
    before = {each: (folder.path / each).read_bytes() for each in names(folder.path)}

    def fails():
        raise error
        yield

    with pytest.raises(ExportError) as raised:
        folder.replace_with(csv_of(table("AE", 1), table("LB", 1, batches=fails)))
    assert "PLANTED" not in str(raised.value)
    assert {each: (folder.path / each).read_bytes() for each in names(folder.path)} == before


def test_what_differs_when_it_is_read_back_is_not_published(folder):
    values = itertools.count()

    def another_each_time():
        yield pa.record_batch({"n": pa.array([1, next(values)], pa.int64())})

    with pytest.raises(ExportMismatchError):
        folder.replace_with(csv_of(table("AE", 1, 2, batches=another_each_time)))
    assert names(folder.path) == {"AE.csv", "DM.csv", *SIDE}
    assert is_whole(folder.path)


def test_a_strict_export_with_a_note_is_refused(folder):
    text = pa.table({"t": ["", "x"]})
    noted = ExportedTable(
        STUDY, "AE", text.schema, 2, lambda: iter(text.to_batches()), "u", "0", "2026"
    )
    with pytest.raises(ExportRefusedError) as raised:
        folder.replace_with(csv_of(noted, strict=True))
    assert raised.value.counts == {"empty_text": 1}
    assert names(folder.path) == {"AE.csv", "DM.csv", *SIDE}


def test_a_table_named_as_a_side_file_gets_another_file_name(tmp_path):
    folder = ExportFolder(tmp_path, ("csv", STUDY))
    folder.replace_with(csv_of(table("EXPORT_NOTES", 1)))
    assert names(folder.path) == {"EXPORT_NOTES_.csv", *SIDE}
    assert is_whole(folder.path)


@pytest.mark.parametrize("foreign", ["export.json", "LB.csv"])
def test_a_foreign_file_is_not_replaced(tmp_path, foreign):
    folder = ExportFolder(tmp_path, ("csv", STUDY))
    folder.path.mkdir(parents=True)
    (folder.path / foreign).write_text("{}")
    with pytest.raises(ExportError, match="Nothing was changed"):
        folder.replace_with(csv_of(table("LB", 1)))
    assert (folder.path / foreign).read_text() == "{}"
    assert names(folder.path) == {foreign}


def test_an_export_json_that_lists_a_file_elsewhere_removes_nothing_there(folder):
    precious = folder.root / "precious"
    precious.write_text("mine")
    about = json.loads((folder.path / "export.json").read_text())
    about["files"]["../../precious"] = {}
    (folder.path / "export.json").write_text(json.dumps(about))
    folder.replace_with(csv_of(table("AE", 7)))
    assert precious.read_text() == "mine"


def test_an_unwritable_folder_is_an_error_with_its_reason(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"can't be written: Not a directory\."):
        ExportFolder(tmp_path / "file" / "to", ("csv", STUDY)).replace_with(csv_of(table("AE", 1)))


def test_two_exports_at_once_leave_one_whole_export(folder):
    def export(number):
        own = ExportFolder(folder.root, folder.below)
        own.replace_with(csv_of(*(table(f"T{number}{n}", number) for n in range(10))))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(export, range(8)))
    assert is_whole(folder.path)
    tables = {each for each in names(folder.path) if each.startswith("T")}
    assert len(tables) == 10
    assert len({each[:2] for each in tables}) == 1


# --- other processes ---

_EXPORT = """
import os, signal, sys
from pathlib import Path
import pyarrow, pyarrow.csv, pyarrow.compute
from orch_assets_tests.exports.test_export_folder import STUDY, csv_of, table
from orch_assets.exports import export_folder as module

folder = module.ExportFolder(Path(sys.argv[1]), ("csv", STUDY))

def in_child(point, *tables):
    child = os.fork()  # before any thread of Arrow is started
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    calls = iter(range(1, 1000))
    def counted(function):
        def wrapper(*arguments, **options):
            if next(calls) == point:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)
        return wrapper
    for name in ("replace", "unlink", "chmod", "mkdir"):
        setattr(Path, name, counted(getattr(Path, name)))
    module._sync = counted(module._sync)
    folder.replace_with(csv_of(*tables))
    os._exit(0)
"""

_ALL_KILLS = """
from orch_assets_tests.exports.test_export_folder import contents
for point in range(1, 60):
    assert in_child(0, table("AE", 1, 2), table("DM", 3)) == 0
    if in_child(point, table("AE", 7), table("LB", 8)) == 0:
        break
    print(contents(folder.path), flush=True)
"""


def contents(folder: Path) -> str:
    """Return the tables of a whole export, or that there is none."""
    if not (folder / "export.json").exists():
        return "none"
    assert is_whole(folder)
    return " ".join(sorted(json.loads((folder / "export.json").read_text())["files"].keys() - SIDE))


def run(script, folder, **options):
    command = [sys.executable, "-c", script, str(folder.root)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(command, env=environment, capture_output=True, check=False, **options)


def test_a_killed_export_can_always_be_told_and_the_next_one_is_whole(folder):
    """Killed before each step that changes the folder; a foreign file stays throughout."""
    (folder.path / "mine.txt").write_text("mine")
    done = run(_EXPORT + _ALL_KILLS, folder)
    assert done.returncode == 0, done.stderr.decode()
    kills = done.stdout.decode().splitlines()
    assert len(kills) > 10
    assert [name for name, _ in itertools.groupby(kills)] == [
        "AE.csv DM.csv",
        "none",
        "AE.csv LB.csv",
    ]
    folder.replace_with(csv_of(table("AE", 9)))
    assert names(folder.path) == {"AE.csv", "mine.txt", *SIDE}
    assert is_whole(folder.path)


def test_a_full_disk_leaves_the_earlier_export(folder):
    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))

    script = f"{_EXPORT}folder.replace_with(csv_of(table('AE', 7)))"
    done = run(script, folder, preexec_fn=limited)
    assert done.returncode == 1
    assert b"ExportError: The export of study ONC-301 as csv can't be written" in done.stderr
    assert names(folder.path) == {"AE.csv", "DM.csv", *SIDE}
    assert is_whole(folder.path)
