"""``orch-assets export``: what is in the folder, and what is said about it."""

import csv
import hashlib
import json
import shutil
import stat
import zipfile
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from orch_assets import LocalPipelineStore
from orch_assets.demo import DemoServer
from orch_assets.exports.export_format import FORMATS
from orch_assets_tests.scenarios.end_to_end.account import Account

PLANTED = "PLANTED-BLINDED-VALUE"


def blind_terms(registry):
    """Blind the terms of adverse events in all studies, and enter a text as each."""
    for study in registry.study_keys():
        for row in registry.rows("variables", study):
            if (row["formKey"], row["variableName"]) == ("AE", "AETERM"):
                registry.update_row("variables", study, row["variableId"], blinded=True)
        for row in registry.rows("records", study):
            if row["formKey"] == "AE":
                data = {**row["recordData"], "AETERM": PLANTED}
                registry.update_row("records", study, row["recordId"], recordData=data)


class _Uncaptured:
    """Stands in for ``capsys``, which can't be had for a whole module."""

    def readouterr(self):
        return "", ""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """An account after a run of ``form_tables``, which the tests copy."""
    folder = tmp_path_factory.mktemp("template")
    needed = ("intervals", "variables", "forms", "records", "form_tables")
    chosen = [word for name in needed for word in ("--pipeline", name)]
    with DemoServer(studies=3, subjects=1) as server, pytest.MonkeyPatch.context() as patch:
        blind_terms(server.registry)
        account = Account(server, folder, patch, _Uncaptured())
        assert account.command("run", *chosen).code == 0
        yield account


@pytest.fixture
def exported(template, tmp_path, monkeypatch, capsys):
    """A copy of the account, and a folder for exports."""
    account = Account(template.server, tmp_path, monkeypatch, capsys)
    shutil.rmtree(account.home)
    shutil.copytree(template.home, account.home)
    return account, tmp_path / "exported"


def store_of(account):
    return LocalPipelineStore(account.home / "artifacts")


def read(folder: Path):
    return json.loads((folder / "export.json").read_text())


def is_whole(folder: Path) -> bool:
    """Return whether a reader would take what is in a folder as an export."""
    if not (folder / "export.json").exists():
        return False
    return all(
        hashlib.sha256((folder / name).read_bytes()).hexdigest() == about["sha256"]
        for name, about in read(folder)["files"].items()
    )


def test_every_form_of_every_study_is_a_file_with_the_rows_of_its_table(exported):
    account, folder = exported
    done = account.command("export", "--to", str(folder), "--format", "csv")
    assert done.code == 0, done.said
    studies = account.server.registry.study_keys()
    assert sorted(each.name for each in (folder / "csv").iterdir()) == sorted(studies)
    for study in studies:
        tables = store_of(account).download_set_tables(f"form_tables/{study}")
        assert is_whole(folder / "csv" / study)
        about = read(folder / "csv" / study)["files"]
        rows = {name: each.get("rows") for name, each in about.items()}
        expected = {f"{name}.csv": table.num_rows for name, table in tables.items()}
        assert rows == {**expected, "export_notes.csv": None}
        for name, table in tables.items():
            with (folder / "csv" / study / f"{name}.csv").open(newline="") as file:
                header, *lines = csv.reader(file)
            assert (header, len(lines)) == (table.column_names, table.num_rows)
    assert [line.split()[:3] for line in done.out.splitlines()[1:4]] == [
        [study, "csv", str(len(store_of(account).members(f"form_tables/{study}")))]
        for study in studies
    ]


def test_an_export_says_which_version_it_has_and_what_verified_it(exported):
    account, folder = exported
    study = account.server.registry.study_keys()[0]
    account.command("export", "--study", study, "--to", str(folder), "--format", "parquet")
    about = read(folder / "parquet" / study)
    store = store_of(account)
    version = store.previous_members(f"form_tables/{study}")
    sources = {each["table"]: (each["uri"], each["version"]) for each in about["sources"]}
    assert sources == dict.fromkeys(version, (version.uri, version.version))
    assert about["study_key"] == study
    assert about["verified_by"]
    assert about["restricted"] is False


def test_withheld_variables_are_only_in_the_restricted_folder_which_is_private(exported):
    account, folder = exported
    study = account.server.registry.study_keys()[0]
    without = account.command("export", "--study", study, "--to", str(folder), "--format", "csv")
    assert without.code == 0, without.said
    assert not (folder / "restricted").exists()
    more = ("export", "--study", study, "--to", str(folder), "--format", "csv", "--restricted")
    assert account.command(*more).code == 0
    private = folder / "restricted" / "csv" / study
    withheld = LocalPipelineStore(account.home / "artifacts" / "restricted").download_set_tables(
        f"form_tables/{study}"
    )
    expected = {f"{name}.csv" for name in withheld}
    assert expected
    assert {each.name for each in private.iterdir()} == {
        *expected, "export.json", "export_notes.csv",
    }  # fmt: skip
    assert {stat.S_IMODE(each.stat().st_mode) for each in private.iterdir()} == {0o600}
    for each in (private, private.parent, private.parent.parent):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700
    assert read(private)["restricted"] is True


def test_forms_without_withheld_variables_leave_the_restricted_export_as_it_was(exported):
    """With --form, only the parts that have one of the forms are written."""
    account, folder = exported
    study = account.server.registry.study_keys()[0]
    command = ("export", "--study", study, "--to", str(folder), "--format", "csv", "--restricted")
    assert account.command(*command).code == 0
    private = folder / "restricted" / "csv" / study
    before = {each.name: each.read_bytes() for each in private.iterdir()}
    withheld = {Path(name).stem for name in before}
    open_form = next(
        Path(name).stem
        for name in read(folder / "csv" / study)["files"]
        if Path(name).stem not in withheld
    )
    done = account.command(*command, "--form", open_form)
    assert done.code == 0, done.said
    assert {each.name: each.read_bytes() for each in private.iterdir()} == before
    assert {each.name for each in (folder / "csv" / study).iterdir()} == {
        f"{open_form}.csv", "export.json", "export_notes.csv",
    }  # fmt: skip


def test_a_study_without_a_restricted_set_still_gets_its_open_export(exported):
    account, folder = exported
    study = account.server.registry.study_keys()[0]
    restricted = LocalPipelineStore(account.home / "artifacts" / "restricted")
    restricted.delete(f"form_tables/{study}", kind="set")
    done = account.command(
        "export", "--study", study, "--to", str(folder), "--format", "csv", "--restricted"
    )
    assert done.code == 1
    assert f"Failed: {study}, restricted: form_tables has no result" in done.err, done.err
    assert is_whole(folder / "csv" / study)


def test_an_account_without_any_of_the_tables_keeps_its_earlier_file(exported):
    account, folder = exported
    command = ("export", "--to", str(folder), "--format", "duckdb", "--restricted")
    assert account.command(*command).code == 0
    private = folder / "restricted" / "duckdb" / "account.duckdb"
    before = private.read_bytes()
    open_form = next(
        Path(name).stem
        for name in LocalPipelineStore(account.home / "artifacts").members(
            f"form_tables/{account.server.registry.study_keys()[0]}"
        )
        if Path(name).stem != "AE"
    )
    done = account.command(*command, "--form", open_form)
    assert done.code == 1
    assert "An earlier file is unchanged." in done.err, done.err
    assert private.read_bytes() == before


def test_forms_ignore_case_and_those_that_are_gone_are_removed_but_no_foreign_file(exported):
    account, folder = exported
    study = account.server.registry.study_keys()[0]
    target = folder / "csv" / study
    command = ("export", "--study", study, "--to", str(folder), "--format", "csv")
    account.command(*command)
    (target / "mine.txt").write_text("mine")
    assert account.command(*command, "--form", "ae").code == 0
    assert {each.name for each in target.iterdir()} == {
        "AE.csv", "export.json", "export_notes.csv", "mine.txt",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--format", "xlxs"), "xlxs is not a format. Did you mean xlsx?"),
        (("--format", "csv", "--study", "ONC-30"), "Did you mean ONC-301?"),
        (("--format", "csv", "--as-of", "2026-03-31"), "as_of has no time zone"),
        (("--format", "csv", "--form", "rond"), "rond is not a form of these studies. Did you"),
    ],
)
def test_what_is_unknown_ends_with_2_and_a_near_name(exported, arguments, said):
    account, folder = exported
    done = account.command("export", "--to", str(folder), *arguments)
    assert (done.code, said in done.err) == (2, True), done.said
    assert not folder.exists()


def test_a_study_that_fails_is_named_and_the_others_are_exported(exported):
    account, folder = exported
    first, second, third = account.server.registry.study_keys()
    store_of(account).delete(f"form_tables/{second}", kind="set")
    both = ("--format", "csv", "--format", "duckdb")
    done = account.command("export", "--to", str(folder), *both)
    assert done.code == 1
    assert f"Failed: {second}: form_tables has no result for study {second}." in done.err
    assert {each.name for each in (folder / "csv").iterdir()} == {first, third}
    assert "Failed: all studies, duckdb: it would lack the studies that failed." in done.err
    assert not (folder / "duckdb").exists()


def test_a_file_in_the_way_and_a_symbolic_link_are_left_as_they_are(exported, tmp_path):
    account, folder = exported
    first, second, third = account.server.registry.study_keys()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "csv" / first).mkdir(parents=True)
    (folder / "csv" / first / "AE.csv").write_text("mine")
    (folder / "csv" / second).symlink_to(elsewhere)
    done = account.command("export", "--to", str(folder), "--format", "csv")
    assert done.code == 1
    assert done.err.count("Failed: ") == 2
    assert "AE.csv is in the way: no export wrote it." in done.err
    assert "is a symbolic link" in done.err
    assert [each.read_text() for each in (folder / "csv" / first).iterdir()] == ["mine"]
    assert list(elsewhere.iterdir()) == []
    assert is_whole(folder / "csv" / third)


def test_an_earlier_moment_is_exported_as_it_was(exported):
    account, folder = exported
    study = account.server.registry.study_keys()[0]
    store = store_of(account)
    before = store.previous_members(f"form_tables/{study}")
    store.publish_set({"AE": store.download_set_tables(f"form_tables/{study}")["AE"].slice(1)},
                      f"form_tables/{study}")  # fmt: skip
    command = ("export", "--study", study, "--to", str(folder), "--format", "csv")
    moment = before.publication.published_at
    assert account.command(*command, "--as-of", moment).code == 0
    sources = read(folder / "csv" / study)["sources"]
    assert {each["version"] for each in sources} == {before.version}
    assert len(sources) == len(before)


def texts_in(file: Path) -> bytes:
    """Return the bytes of a file, and those that are compressed in it."""
    texts = file.read_bytes()
    if file.suffix == ".xlsx":
        with zipfile.ZipFile(file) as parts:
            texts += b"".join(parts.read(name) for name in parts.namelist())
    if file.suffix == ".parquet":
        texts += repr(pq.read_table(file).to_pydict()).encode()
    if file.suffix == ".duckdb":
        with duckdb.connect(str(file), read_only=True) as connection:
            query = "select table_schema, table_name from information_schema.tables"
            for schema, name in connection.execute(query).fetchall():
                relation = connection.sql(f'from "{schema}"."{name}"')
                texts += repr((relation.columns, relation.fetchall())).encode()
    return texts


def test_a_blinded_value_is_in_no_open_file_of_any_format_and_in_no_output(exported):
    account, folder = exported
    chosen = [word for name in FORMATS for word in ("--format", name)]
    registry = account.server.registry
    study = next(  # one that has an adverse event
        each
        for each in registry.study_keys()
        if any(row["formKey"] == "AE" for row in registry.rows("records", each))
    )
    chosen += ["--study", study, "--restricted"]
    done = account.command("export", "--to", str(folder), *chosen)
    assert done.code == 0, done.said
    assert PLANTED not in done.said
    for name in FORMATS:
        opened = [each for each in (folder / name).rglob("*") if each.is_file()]
        assert len(opened) >= 3
        assert [each for each in opened if PLANTED.encode() in texts_in(each)] == []
        assert [each for each in opened if b"AETERM" in texts_in(each)] == []
        restricted = [each for each in (folder / "restricted" / name).rglob("*") if each.is_file()]
        assert any(PLANTED.encode() in texts_in(each) for each in restricted), name
