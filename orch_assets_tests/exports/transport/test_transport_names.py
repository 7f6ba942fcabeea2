"""Names and labels in transport files."""

import pyarrow as pa
import pytest

from orch_assets.imednet.form_tables.form_columns import EXTRA, KEY_COLUMNS
from orch_assets_tests.exports.transport.transport_cases import exported, exported_table

_FORMATS = pytest.mark.parametrize("format_name", ["xpt", "xpt8"])


def _table(*fields: pa.Field) -> pa.Table:
    return pa.schema(fields).empty_table()


def _variable(name: str, variable_id: int, type_: pa.DataType | None = None) -> pa.Field:
    return pa.field(name, type_ or pa.int64(), metadata={"variable_id": str(variable_id)})


def _raw(name: str) -> pa.Field:
    return pa.field(f"{name}_RAW", pa.string(), metadata={"raw_of": name})


def test_key_columns_have_fixed_names_in_version_5() -> None:
    """They are the same in each form."""
    keys = [pa.field(name, pa.string()) for name in (*KEY_COLUMNS, EXTRA)]
    assert list(exported(_table(*keys), "xpt").names.values()) == [
        "AE",
        "CREATED",
        "MODIFIED",
        "DELETED",
        "INTVID",
        "PARENTID",
        "EXTRA",
        "RECORDID",
        "RECSTAT",
        "SITE_ID",
        "STUDYKEY",
        "SUBJID",
        "SUBJKEY",
        "VISIT_ID",
    ]


def test_older_variables_choose_first_in_version_5() -> None:
    """The order of columns doesn't matter; a column of text as entered is named after its own."""
    table = _table(
        _variable("AESTARTDATE", 30),
        _raw("AESTARTDATE"),
        _variable("AESTARTDAY", 20),
        _raw("AESTARTDAY"),
    )
    assert exported(table, "xpt").names == {
        "(data set)": "AE",
        "AESTARTDAY": "AESTARTD",
        "AESTARTDAY_RAW": "AESTAR_R",
        "AESTARTDATE": "AESTART2",
        "AESTARTDATE_RAW": "AESTAR_2",
    }


def test_earlier_names_stay() -> None:
    """Also that of a column that is gone: no other column gets it."""
    first = exported(
        _table(_variable("AESTARTDATE", 30), _variable("OTHERCOLUMN", 40)), "xpt"
    ).names
    newer = _table(
        _variable("AESTARTDAY", 20), _variable("AESTARTDATE", 30), _variable("OTHERCOL", 1)
    )
    assert exported(newer, "xpt", earlier=first).names == {
        "(data set)": "AE",
        "AESTARTDATE": "AESTARTD",
        "OTHERCOLUMN": "OTHERCOL",
        "OTHERCOL": "OTHERCO2",
        "AESTARTDAY": "AESTART2",
    }


@_FORMATS
def test_names_are_unique_blind_to_case(format_name: str) -> None:
    """SAS ignores case."""
    names = exported(_table(_variable("ab", 1), _variable("AB", 2)), format_name).names
    assert names["AB"] == "AB2"
    assert names["ab"].upper() == "AB"


@_FORMATS
def test_names_are_valid_in_sas(format_name: str) -> None:
    """Letters, digits and ``_``, no digit first, and none of SAS's own names; all noted."""
    read = exported(_table(*(_variable(name, 1) for name in ("1st", "größe", "_N_"))), format_name)
    upper = [name.upper() for name in read.cells]
    assert upper == ["_1ST", "GR__E", "_N_2"]
    noted = [column for column, _, kind in read.notes if kind == "name"]
    assert noted == ["1st", "größe", "_N_"]


def test_names_of_32_letters_stay_in_version_8() -> None:
    """Nothing to note."""
    name = "A_column_of_thirty_two_letters_x"
    read = exported(_table(_variable(name, 1)), "xpt8")
    assert (list(read.cells), read.notes) == ([name], [])


def test_long_names_of_data_sets_end_with_a_hash_in_version_5() -> None:
    """Files of two forms can be copied into one library."""
    table = _table(_variable("N", 1))
    names = [
        exported(exported_table(table, name), "xpt").about.table_name
        for name in ("ADVERSE_EVENTS", "ADVERSE_EVENTS_2", "VITALS")
    ]
    assert names == ["ADVER8T7", "ADVER3NH", "VITALS"]


@pytest.mark.parametrize(("format_name", "longest"), [("xpt", 40), ("xpt8", 256)])
def test_labels_are_cut_at_a_character(format_name: str, longest: int) -> None:
    """What a label says about time zones stays; the label is noted."""
    label = "a" + "é" * longest
    fields = [
        pa.field("A", pa.int64(), metadata={"label": "a" * longest}),
        pa.field("B", pa.int64(), metadata={"label": label}),
        pa.field("T", pa.timestamp("us", "UTC"), metadata={"label": "b" * longest}),
    ]
    read = exported(_table(*fields), format_name)
    cut = label.encode()[: longest - 1].decode()
    assert read.about.column_labels == ["a" * longest, cut, "b" * (longest - 6) + " (UTC)"]
    assert read.notes == [("B", None, "label"), ("B", None, "not_ascii"), ("T", None, "label")]


@_FORMATS
def test_the_data_set_has_the_label_of_the_form(format_name: str) -> None:
    """At most 40 bytes in both versions."""
    table = _table(pa.field("N", pa.int64())).replace_schema_metadata({"form_name": "f" * 41})
    read = exported(table, format_name)
    assert (read.about.table_name, read.about.file_label) == ("AE", "f" * 40)
    assert read.notes == [(None, None, "label")]


@_FORMATS
def test_control_characters_of_labels_become_blanks(format_name: str) -> None:
    """And are noted."""
    field = pa.field("N", pa.int64(), metadata={"label": "first\nsecond"})
    read = exported(_table(field), format_name)
    assert read.about.column_labels == ["first second"]
    assert read.notes == [("N", None, "label")]
