"""The DuckDB file of an account: exact, or noted."""

import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from string import ascii_uppercase

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from orch_assets.errors import ArtifactCorruptError, ExportError, ExportMismatchError
from orch_assets.exports.duckdb_file import duckdb_format
from orch_assets.exports.duckdb_file.sql_names import folded, quoted
from orch_assets.exports.export_format import format_named
from orch_assets.exports.export_notes import Notes
from orch_assets_tests.exports.exporting import exported, exported_table, tables

AE = pa.table({"study_key": ["ONC-301"], "AETERM": ["Headache"], "AEDUR": pa.array([3.5])})


def of_study(key, rows, name="AE"):
    return replace(exported_table(rows), study_key=key, name=name)


def account(folder: Path, *found):
    """Export tables; return a connection to the file, and the notes."""
    path = folder / "account.duckdb"
    file = format_named("duckdb").prepare(found, {})
    with Notes(folder) as notes:
        file.write(path, notes)
        file.verify(path)
        noted = [
            (each["study_key"], each["column"], each["kind"]) for each in notes.table().to_pylist()
        ]
    return duckdb.connect(str(path), read_only=True), noted


def test_each_study_has_a_schema_and_each_form_a_view(tmp_path):
    other = AE.set_column(0, "study_key", pa.array(["CARD-202"]))
    connection, noted = account(tmp_path, of_study("ONC-301", AE), of_study("CARD-202", other))
    with connection:
        assert connection.sql('SELECT "AETERM" FROM "ONC-301"."AE"').fetchall() == [("Headache",)]
        rows = connection.sql("SELECT study_key, AEDUR FROM AE ORDER BY study_key").fetchall()
    assert (rows, noted) == ([("CARD-202", 3.5), ("ONC-301", 3.5)], [])


def test_a_column_whose_types_differ_is_text_in_the_view_and_noted(tmp_path):
    other = pa.table({"study_key": ["B"], "AEDUR": pa.array([7], pa.int64())})
    connection, noted = account(tmp_path, of_study("A", AE), of_study("B", other))
    with connection:
        rows = connection.sql("SELECT AEDUR, AETERM FROM AE ORDER BY AEDUR").fetchall()
        types = connection.sql("SELECT AEDUR FROM B.AE").types
    assert rows == [("3.5", "Headache"), ("7", None)]
    assert [str(each) for each in types] == ["BIGINT"]
    assert noted == [("A", "AEDUR", "type"), ("B", "AEDUR", "type")]


def test_a_table_without_the_studys_key_has_it_in_the_view(tmp_path):
    connection, _ = account(tmp_path, of_study("A", pa.table({"x": [1]})))
    with connection:
        assert connection.sql("SELECT * FROM AE").fetchall() == [("A", 1)]


def test_labels_are_comments(tmp_path):
    field = pa.field("AETERM", pa.string(), metadata={"label": "Patient's term"})
    rows = pa.table([["x"]], schema=pa.schema([field], {"form_name": "Adverse events"}))
    connection, _ = account(tmp_path, of_study("A", rows))
    with connection:
        comments = connection.sql("SELECT comment FROM duckdb_tables() WHERE schema_name = 'A'")
        assert comments.fetchall() == [("Adverse events",)]
        views = "SELECT comment FROM duckdb_views() WHERE view_name = 'AE'"
        assert connection.sql(views).fetchall() == [("Adverse events",)]
        columns = "SELECT DISTINCT comment FROM duckdb_columns() WHERE column_name = 'AETERM'"
        assert connection.sql(columns).fetchall() == [("Patient's term",)]


def test_a_table_of_a_set_without_the_studys_key_has_it_in_the_view(tmp_path):
    """Those of other studies have the column."""
    without = of_study("A", pa.table({"AETERM": ["Fever"]}))
    connection, _ = account(tmp_path, without, of_study("ONC-301", AE))
    with connection:
        rows = connection.sql("SELECT study_key, AETERM FROM AE ORDER BY 1").fetchall()
    assert rows == [("A", "Fever"), ("ONC-301", "Headache")]


@pytest.mark.parametrize("key", [7, True, date(2013, 1, 31)])
def test_a_studys_key_that_is_no_text_is_text_in_the_view(tmp_path, key):
    """Another study has none, and gets its key there."""
    without = of_study("A", pa.table({"AETERM": ["Fever"]}))
    with_key = of_study("B", pa.table({"study_key": [key], "AETERM": ["Cough"]}))
    connection, noted = account(tmp_path, without, with_key)
    with connection:
        rows = connection.sql("SELECT AETERM, study_key FROM AE ORDER BY 1").fetchall()
    assert rows == [("Cough", str(key).lower()), ("Fever", "A")]
    assert noted == [("B", "study_key", "type")]


def test_many_small_tables_need_little_memory(tmp_path, monkeypatch):
    """DuckDB keeps those with few rows in memory until a checkpoint."""
    limits = {**duckdb_format._LIMITS, "memory_limit": "12MB"}
    monkeypatch.setattr(duckdb_format, "_LIMITS", limits)
    rows = pa.table([["x", "y"]] * 200, names=[f"V{number}" for number in range(200)])
    tables = [of_study("A", rows, f"F{number}") for number in range(20)]
    with pytest.raises(ExportError, match=r"OutOfMemoryException\)\. Export fewer forms"):
        account(tmp_path, *tables)
    monkeypatch.setattr(duckdb_format, "_COLUMNS_IN_MEMORY", 500)
    (tmp_path / "b").mkdir()
    connection, _ = account(tmp_path / "b", *tables)
    connection.close()


def test_an_older_duckdb_can_open_the_file(tmp_path):
    """By the version of its storage; DuckDB 1.4 has 67, and 2.0 another one by default."""
    account(tmp_path, of_study("A", AE))[0].close()
    header = (tmp_path / "account.duckdb").read_bytes()[:20]
    assert (header[8:12], int.from_bytes(header[12:20], "little")) == (b"DUCK", 67)


def test_a_label_is_kept_with_its_nul(tmp_path):
    field = pa.field("AETERM", pa.string(), metadata={"label": "Term\0x"})
    rows = pa.table([["x"]], schema=pa.schema([field], {"form_name": "Adverse\0events"}))
    connection, noted = account(tmp_path, of_study("A", rows))
    with connection:
        comments = "SELECT DISTINCT comment FROM duckdb_{}() WHERE comment IS NOT NULL"
        found = [connection.sql(comments.format(each)).fetchall() for each in ("tables", "columns")]
    assert (found, noted) == ([[("Adverse\0events",)], [("Term\0x",)]], [])


# A file system without space, from the first block to the last.
_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import pyarrow as pa
from orch_assets.errors import ExportError
from orch_assets.exports.export_format import format_named
from orch_assets.exports.export_notes import Notes
from orch_assets_tests.exports.exporting import exported_table

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
rows = pa.table({"study_key": ["ONC-301"] * 40_000, "n": range(40_000)})
file = format_named("duckdb").prepare([exported_table(rows, 40_000)], {})
for kilobytes in range(4, 1600, 120):
    folder = Path(sys.argv[1]) / str(kilobytes)
    folder.mkdir()
    path = folder / "account.duckdb"
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, resource.RLIM_INFINITY))
    try:
        with Notes(folder) as notes:
            file.write(path, notes)
    except (ExportError, OSError) as error:
        print("refused", type(error).__name__, error)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        moved = folder / "published.duckdb"
        path.rename(moved)  # without what DuckDB may have left beside it
        file.verify(moved)
        print("written")
"""


def test_a_full_disk_is_an_error_and_no_file_that_lacks_rows(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path)],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    said = done.stdout.splitlines()
    assert (done.returncode, said[-1]) == (0, "written"), done.stderr
    refused = [line for line in said if line != "written"]
    assert len(refused) > 2
    assert {line.split()[1] for line in refused} <= {"ExportError", "OSError"}


def test_rows_in_the_write_ahead_log_are_not_published(tmp_path):
    file = format_named("duckdb").prepare([of_study("A", AE)], {})
    path = tmp_path / "account.duckdb"
    with Notes(tmp_path) as notes:
        file.write(path, notes)
    path.with_name("account.duckdb.wal").touch()
    with pytest.raises(ExportError, match="Nothing was published"):
        file.verify(path)


def test_an_error_quotes_nothing_of_duckdb(tmp_path):
    path = tmp_path / "account.duckdb"
    path.write_bytes(b"PLANTED" * 4000)
    file = format_named("duckdb").prepare([of_study("A", AE)], {})
    with pytest.raises(ExportError) as raised:
        file.verify(path)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_names_that_differ_in_case_only_are_made_unique_and_noted(tmp_path):
    rows = pa.table({"AETERM": ["a"], "aeterm": ["b"], "": ["c"]})
    connection, noted = account(
        tmp_path, of_study("ab", rows), of_study("AB", rows), of_study("main", rows)
    )
    with connection:
        for schema in ("ab", "AB_2", "main_2"):
            query = f'SELECT AETERM, aeterm_2, "column" FROM "{schema}"."AE"'
            assert connection.sql(query).fetchall() == [("a", "b", "c")]
    columns = [("aeterm", "name"), ("", "name")]
    expected = [("ab", *each) for each in columns]
    expected += [(key, *each) for key in ("AB", "main") for each in [(None, "name"), *columns]]
    assert noted == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("STRASSE", "Straße"),
        ("É", "é"),
        ("e\u0301", "é"),
        ("s", "\u017f"),
        ("K", "\u212a"),
        ("ss", "ẞ"),
    ],
)
def test_names_that_duckdb_tells_apart_stay(tmp_path, first, second):
    """Of studies, forms and their views, and columns."""
    rows = pa.table({first: ["a"], second: ["b"]})
    forms = [of_study(key, rows, form) for key in (first, second) for form in (first, second)]
    connection, noted = account(tmp_path, *forms)
    with connection:
        for form in (first, second):
            query = f'SELECT study_key, "{first}", "{second}" FROM "{form}" ORDER BY 1'
            assert connection.sql(query).fetchall() == [(first, "a", "b"), (second, "a", "b")]
    assert noted == []


def test_duckdb_tells_all_letters_apart_but_a_to_z():
    forms = {form for each in map(chr, range(0xD800)) for form in (each.lower(), each.upper())}
    letters = {each for each in forms if len(each) == 1 and each.lower() != each.upper()}
    names = sorted(letters - {*ascii_uppercase})
    assert sorted({*map(folded, letters)}) == names
    columns = ", ".join(f"{quoted(name)} INT" for name in names)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t ({columns})")
        assert connection.sql("FROM t").columns == names
        for letter in ascii_uppercase:
            with pytest.raises(duckdb.CatalogException):
                connection.execute(f'CREATE TABLE u ("{letter}" INT, "{letter.lower()}" INT)')


@pytest.mark.parametrize("key", ["account", "System", "temp"])
def test_a_study_may_have_the_name_of_a_catalog(tmp_path, key):
    connection, noted = account(tmp_path, of_study(key, AE))
    with connection:
        assert connection.sql(f'SELECT AETERM FROM "{key}_2"."AE"').fetchall() == [("Headache",)]
    assert noted == [(key, None, "name")]


def test_names_are_quoted(tmp_path):
    name = 'a"; DROP TABLE x; --'
    connection, noted = account(tmp_path, of_study('O\'Neil "1"', pa.table({name: ["é"]})))
    with connection:
        assert connection.sql('SELECT * FROM "O\'Neil ""1"""."AE"').fetchall() == [("é",)]
    assert noted == []


def test_the_file_says_where_its_tables_come_from_and_what_it_lacks(tmp_path):
    cells = pa.array([1_000_000_001], pa.int64()).view(pa.timestamp("ns", "UTC"))
    connection, noted = account(tmp_path, of_study("A", pa.table({"record_id": [9], "at": cells})))
    with connection:
        sources = connection.sql("SELECT study_key, form, rows, version FROM export_sources")
        assert sources.fetchall() == [("A", "AE", 1, "ab" * 32)]
        notes = connection.sql('SELECT form, record_id, "row", "column", kind FROM export_notes')
        assert notes.fetchall() == [("AE", 9, 1, "at", "rounded")]
    assert noted == [("A", "at", "rounded")]


def test_a_form_named_like_a_table_of_the_file_has_another_view(tmp_path):
    connection, _ = account(tmp_path, of_study("A", AE, "export_notes"))
    with connection:
        assert connection.sql("SELECT AETERM FROM export_notes_2").fetchall() == [("Headache",)]


def test_a_table_without_columns_is_refused(tmp_path):
    with pytest.raises(ExportError, match="'AE' of study ONC-301 has no columns"):
        format_named("duckdb").prepare([exported_table(pa.table({}))], {})


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["AE", "ae"], "'AE' and 'ae' of study A can't both be .* Rename one of them"),
        (["AE", "AE"], "'AE' and 'AE' of study A can't both be"),
        (["AE", ""], "A table of study A has no name, .* Name it in the pipeline"),
    ],
)
def test_names_that_duckdb_lacks_are_refused_before_anything_is_written(names, said):
    other = of_study("B", AE, "ae")  # in a schema of its own
    found = [other, *(of_study("A", AE, name) for name in names)]
    with pytest.raises(ExportError, match=said):
        format_named("duckdb").prepare(found, {})
    assert format_named("duckdb").prepare(found[:2], {})


@pytest.mark.parametrize(
    "other",
    [
        pa.table({"x": [1, 3]}),
        pa.table({"x": [1, None]}),
        pa.table({"x": [1]}),
        pa.table({"x": [1, 2, 3]}),
        pa.table({"x": pa.array([1, 2], pa.int32())}),
    ],
    ids=["cell", "null", "short", "long", "type"],
)
def test_another_table_is_found(tmp_path, other):
    done = exported("duckdb", other, tmp_path)
    file = format_named("duckdb").prepare([exported_table(pa.table({"x": [1, 2]}))], {})
    with pytest.raises(ExportMismatchError):
        file.verify(done.path)


@pytest.mark.parametrize(
    ("statement", "form"),
    [
        ("DROP VIEW AE", "AE"),
        ("CREATE OR REPLACE VIEW AE AS SELECT * FROM A.AE", "AE"),
        ("CREATE OR REPLACE VIEW AE AS SELECT * FROM A.AE UNION ALL SELECT * FROM A.AE", "AE"),
        ("CREATE VIEW more AS SELECT 1", "more"),
        ("COMMENT ON VIEW AE IS 'PLANTED'", "AE"),
        ("COMMENT ON COLUMN AE.AETERM IS 'PLANTED'", "AE"),
        ("COMMENT ON TABLE B.AE IS NULL", "AE"),
        ("COMMENT ON COLUMN B.AE.AEDUR IS NULL", "AE"),
        ("ALTER TABLE B.AE RENAME study_key TO study", "AE"),
        ("UPDATE export_sources SET version = 'PLANTED' WHERE study_key = 'B'", "export_sources"),
        ("DELETE FROM export_sources WHERE study_key = 'B'", "export_sources"),
        ("ALTER TABLE export_notes DROP kind", "export_notes"),
    ],
)  # fmt: skip
def test_other_views_labels_and_sources_are_found(tmp_path, statement, form):
    """The rows of the studies are as they should be."""
    file = changed_account(tmp_path, statement)
    with pytest.raises(ExportMismatchError) as raised:
        file.verify(tmp_path / "account.duckdb")
    assert raised.value.form == form
    assert "PLANTED" not in str(raised.value)


_A, _B = (f"SELECT study_key, AETERM, AEDUR FROM {study}.AE" for study in "AB")


@pytest.mark.parametrize(
    "select",
    [
        _A,
        f"{_A} UNION ALL {_B} LIMIT 1",
        f"{_A} UNION ALL SELECT study_key, AETERM, AEDUR::VARCHAR FROM B.AE",
        f"{_A} UNION ALL {_B} WHERE error('PLANTED')",
        f"{_A} UNION ALL {_A}",
        f"{_B} UNION ALL {_A}",
        f"{_A} UNION ALL SELECT study_key, 'PLANTED' AS AETERM, AEDUR FROM B.AE",
        f"{_A} UNION ALL SELECT study_key, study_key AS AETERM, AEDUR FROM B.AE",
    ],
    ids=["study", "rows", "type", "unreadable", "other study", "order", "other cell", "column"],
)
def test_a_view_with_other_rows_or_types_is_found(tmp_path, select):
    """Its labels are as they should be, and mostly its columns and the number of rows."""
    labels = [f"COMMENT ON COLUMN AE.{name} IS '{name}'" for name in AE.column_names]
    file = changed_account(
        tmp_path, f"CREATE OR REPLACE VIEW AE AS {select}", "COMMENT ON VIEW AE IS 'AE'", *labels
    )
    with pytest.raises(ExportMismatchError) as raised:
        file.verify(tmp_path / "account.duckdb")
    assert raised.value.form == "AE"
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_a_view_that_confuses_studies_is_found(tmp_path):
    """The tables have no keys of their own, and as many rows."""
    rows = pa.table({"n": [1]})
    file = changed_account(
        tmp_path,
        "CREATE OR REPLACE VIEW AE AS SELECT 'B' AS study_key, n FROM A.AE "
        "UNION ALL SELECT 'A' AS study_key, n FROM B.AE",
        "COMMENT ON VIEW AE IS 'AE'",
        "COMMENT ON COLUMN AE.n IS 'n'",
        tables=(of_study("A", rows), of_study("B", rows)),
    )
    with pytest.raises(ExportMismatchError):
        file.verify(tmp_path / "account.duckdb")


@pytest.mark.parametrize("form", ["select", "CREATE VIEW", 'A" AS (', "a\0b", "Straße", "("])
def test_a_view_is_read_back_whatever_its_names_are(tmp_path, form):
    """DuckDB writes its query with quotes and brackets of its own, nested for several studies."""
    mixed = [pa.table({name: [1], "n": ["x"]}) for name in ("n\0", "UNION ALL", " ", ");")]
    found = [of_study(f"O'{form}{number}", rows, form) for number, rows in enumerate(mixed)]
    connection, _ = account(tmp_path, *found)
    connection.close()


def changed_account(folder, *statements, tables=()):
    """Export two studies, execute statements on the file, and return what can verify it."""
    path = folder / "account.duckdb"
    tables = tables or (of_study("A", AE), of_study("B", AE))
    file = format_named("duckdb").prepare(tables, {})
    with Notes(folder) as notes:
        file.write(path, notes)
    file.verify(path)
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    return file


def test_notes_that_are_not_in_the_file_are_missed(tmp_path, monkeypatch):
    def without_last(connection, sql_name, schema, batches):
        rows = pa.Table.from_batches(batches, schema)
        rows = rows.slice(0, max(rows.num_rows - 1, 1))
        return insert(connection, sql_name, schema, iter(rows.to_batches()))

    insert = duckdb_format._insert
    monkeypatch.setattr(duckdb_format, "_insert", without_last)
    cells = pa.array([1, 2], pa.int64()).view(pa.timestamp("ns", "UTC"))
    file = format_named("duckdb").prepare([of_study("A", pa.table({"at": cells}))], {})
    with Notes(tmp_path) as notes, pytest.raises(ExportMismatchError) as raised:
        file.write(tmp_path / "account.duckdb", notes)
    assert (raised.value.form, notes.total) == ("export_notes", 2)


def test_an_error_of_the_store_is_not_hidden_by_duckdb(tmp_path):
    def broken():
        yield from pa.table({"x": [1]}).to_batches()
        raise ArtifactCorruptError("The bytes differ.")

    table = replace(exported_table(pa.table({"x": [1, 2]})), open_batches=broken)
    with Notes(tmp_path) as notes, pytest.raises(ArtifactCorruptError, match="The bytes differ"):
        format_named("duckdb").prepare([table], {}).write(tmp_path / "a.duckdb", notes)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=tables())
def test_any_table_is_exact_or_noted(tmp_path, rows):
    """Each cell that isn't noted is what Python's own types say."""
    done = exported("duckdb", rows, tmp_path)
    with duckdb.connect(str(done.path), read_only=True) as connection:
        found = connection.sql('SELECT * FROM "ONC-301"."AE"').fetchall()
    assert len(found) == rows.num_rows
    for position, field in enumerate(rows.schema):
        if not (pa.types.is_integer(field.type) or pa.types.is_string(field.type)):
            continue
        cells = rows.column(position).to_pylist()
        assert [row[position] for row in found] == cells
