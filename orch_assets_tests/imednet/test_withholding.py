"""What a study's dictionary withholds, and where that goes; checked against the rule said anew."""

import json
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.imednet.arrow import arrow_schema
from orch_assets.imednet.blinding import record_data as withheld_record_data
from orch_assets.imednet.blinding.record_data import SYSTEM_KEYS
from orch_assets.imednet.blinding.rules import BlindingRules
from orch_assets.imednet.blinding.split import splitter
from orch_assets.imednet.models import (
    Coding,
    Interval,
    Query,
    Record,
    RecordRevision,
    Variable,
    Visit,
)

NAMES = ("ARM", "arm", "Arm", "AGE", "ß", "SS", "unvnum", "PEDESC", "PEDesc", "elsewhere", "")
FORMS = ((1, "F1"), (2, "F2"), (1, None), (None, "F1"), (None, None), (2, ""), (1, "F2"), (9, "F9"))
# Numbers and objects as the registry may write them: as text they are all different.
RAW = (
    '"{}"',
    "1.10",
    "1e400",
    "0.1000000000000000055",
    '{{"a": ["{}", 1.0]}}',
    "null",
    '"ä\\u0041"',
)


def split_table(endpoint, whole, variables, *intervals):
    return splitter(endpoint, BlindingRules(variables), *intervals)(whole)


def table(model, rows):
    return pa.Table.from_pylist(rows, schema=arrow_schema(model))


def variable(name, blinded, form_id=1, form_key="F1", **rest):
    return {
        "variable_name": name,
        "blinded": blinded,
        "form_id": form_id,
        "form_key": form_key,
        **rest,
    }


def variables(*rows):
    return table(Variable, rows)


dictionaries = st.lists(
    st.builds(
        lambda name, blinded, form, deleted, disabled: variable(
            name, blinded, *form, deleted=deleted, disabled=disabled
        ),
        st.sampled_from([*NAMES[:-1], None]),
        st.sampled_from([False, False, False, True, None]),
        st.sampled_from([*FORMS, *[FORMS[0]] * 8]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=12,
)


def shown(dictionary, name, form_id=None, form_key=None):
    """Return whether the rule lets a variable be shown on a form, row of the dictionary by row."""
    named = [
        row for row in dictionary
        if (row["variable_name"] or "").casefold() == (name or "").casefold()
    ]  # fmt: skip
    if not name or not named:
        return False
    closed = [row for row in named if row["blinded"] is not False]
    form = [("form_id", form_id)] * (form_id is not None) + [("form_key", form_key)] * bool(
        form_key
    )
    if not form:
        return not closed
    if any(row["form_id"] is None or not row["form_key"] for row in closed):
        return False
    return all(
        any(row[half] == value for row in named) and not any(row[half] == value for row in closed)
        for half, value in form
    )


def all_open(dictionary):
    return bool(dictionary) and all(
        row["blinded"] is False and row["variable_name"] for row in dictionary
    )


def members(text):
    """Return the members of a JSON object with their exact text, by a reader that keeps it."""
    decoder, found, at = json.JSONDecoder(), {}, 1
    while text and text[at] != "}":
        key, at = decoder.raw_decode(text, at)
        end = decoder.raw_decode(text, at + 1)[1]
        found[key] = text[at + 1 : end]
        at = end + (text[end] == ",")
    return found


@st.composite
def studies(draw):
    """Draw a dictionary and records on all kinds of forms, every value told apart by its place."""
    rows = []
    for number in range(draw(st.integers(0, 6))):
        form_id, form_key = draw(st.sampled_from([*FORMS, *[FORMS[0]] * 8]))
        keys = draw(st.lists(st.sampled_from([*NAMES, *SYSTEM_KEYS]), unique=True))
        values = [draw(st.sampled_from(RAW)).format(f"r{number}-{key}") for key in keys]
        data = ",".join(
            f"{json.dumps(key, ensure_ascii=False)}:{value}"
            for key, value in zip(keys, values, strict=True)
        )
        rows.append(
            {
                "record_id": number,
                "form_id": form_id,
                "form_key": form_key,
                "record_status": "Record Complete",
                "deleted": draw(st.sampled_from([True, False, None])),
                "extra": draw(st.sampled_from([None, '{"more":1}'])),
                "record_data": draw(st.sampled_from(["{" + data + "}", None])),
            }
        )
    return draw(dictionaries), rows


@given(studies(), st.sampled_from([1, 150]))
def test_each_key_of_a_record_is_on_one_side_with_its_exact_text(study, many):
    dictionary, rows = study
    records = table(Record, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(withheld_record_data, "_MANY_ROWS", many)  # how keys are looked at
        rest, companion = split_table("records", records, variables(*dictionary))
    hidden = {row["record_id"]: members(row["record_data"]) for row in companion.to_pylist()}
    for before, after in zip(rows, rest.to_pylist(), strict=True):
        everything = members(before["record_data"])
        withheld = {
            key: value
            for key, value in everything.items()
            if not shown(dictionary, key, before["form_id"], before["form_key"])
            and not (key in SYSTEM_KEYS and not named(dictionary, key))
        }
        assert hidden.get(before["record_id"], {}) == withheld
        open_part = {key: value for key, value in everything.items() if key not in withheld}
        assert list(members(after["record_data"]).items()) == list(open_part.items())
        assert after["extra"] == (None if withheld else before["extra"])
    others = [name for name in records.column_names if name not in {"record_data", "extra"}]
    assert rest.select(others).equals(records.select(others))
    assert rest.schema.equals(records.schema, check_metadata=True)
    if not companion.num_rows:
        assert rest.equals(records)


def named(dictionary, key):
    return any((row["variable_name"] or "").casefold() == key.casefold() for row in dictionary)


TEXT = st.sampled_from([None, "", "planted"])


@st.composite
def codings(draw):
    return draw(dictionaries), [
        {
            "coding_id": number,
            "variable": draw(st.sampled_from([*NAMES, None])),
            "form_id": form_id,
            "form_key": form_key,
            "value": f"value {number}",
        }
        for number, (form_id, form_key) in enumerate(draw(st.lists(st.sampled_from(FORMS))))
    ]


@given(codings())
def test_a_coding_is_shown_where_its_variable_is_open_on_its_form(study):
    dictionary, rows = study
    whole = table(Coding, rows)
    rest, companion = split_table("codings", whole, variables(*dictionary))
    is_shown = [shown(dictionary, row["variable"], row["form_id"], row["form_key"]) for row in rows]
    assert rest.to_pylist() == [
        row for row, keep in zip(whole.to_pylist(), is_shown, strict=True) if keep
    ]
    assert companion.to_pylist() == [
        row for row, keep in zip(whole.to_pylist(), is_shown, strict=True) if not keep
    ]


def comment(sequence, text):
    return {
        "sequence": sequence,
        "annotation_status": "Query Open",
        "user": "ann",
        "comment": text,
        "closed": sequence == 2,
        "date": datetime(2025, 6, 5, 21, 12, 8, 7, tzinfo=UTC),
        "extra": '{"said":"planted"}',
    }


@st.composite
def queries(draw):
    return draw(dictionaries), [
        {
            "annotation_id": number,
            "variable": draw(st.sampled_from([*NAMES, None])),
            "record_id": draw(st.sampled_from([None, 7])),
            "description": draw(TEXT),
            "extra": draw(TEXT),
            "query_comments": draw(
                st.none()
                | st.lists(st.none() | st.builds(comment, st.integers(1, 3), TEXT), max_size=3)
            ),
        }
        for number in range(draw(st.integers(0, 6)))
    ]


def without_texts(row):
    comments = row["query_comments"]
    if comments is not None:
        comments = [one and {**one, "comment": None, "extra": None} for one in comments]
    return {**row, "description": None, "extra": None, "query_comments": comments}


@given(queries(), st.integers(0, 3), st.booleans())
def test_a_query_keeps_its_texts_only_where_its_variable_is_open_everywhere(study, at, cut):
    dictionary, rows = study
    whole = table(Query, rows)
    if cut:  # a table may be a piece of another one, and in several pieces
        whole = pa.concat_tables([whole.slice(at, 2), whole.slice(at + 2)])
    before = whole.to_pylist()
    rest, companion = split_table("queries", whole, variables(*dictionary))
    is_shown = [
        shown(dictionary, row["variable"]) if row["variable"] else all_open(dictionary)
        for row in before
    ]
    pairs = list(zip(before, is_shown, strict=True))
    assert rest.to_pylist() == [row if keep else without_texts(row) for row, keep in pairs]
    assert companion.to_pylist() == [row for row, keep in pairs if not keep]
    assert rest.schema.equals(whole.schema)
    rest.validate(full=True)


@st.composite
def visits(draw):
    return draw(dictionaries), [
        {
            "visit_id": number,
            "visit_date_question": draw(st.sampled_from([*NAMES, None])),
            "interval_id": draw(st.integers(1, 4)),
            "visit_date": draw(st.sampled_from([None, date(2025, 3, 4)])),
            "start_date": date(2025, 3, 1),
            "due_date": draw(st.sampled_from([None, date(2025, 3, 4)])),
            "extra": draw(TEXT),
        }
        for number in range(draw(st.integers(0, 6)))
    ]


@given(visits(), st.lists(st.sampled_from([*NAMES, "", None]), max_size=3))
def test_a_visit_keeps_its_dates_only_where_their_questions_are_open_everywhere(study, bases):
    dictionary, rows = study
    whole = table(Visit, rows)
    schedule = [
        {"interval_id": number, "window_calculation_date": base}
        for number, base in enumerate(bases, start=1)
    ]
    rest, companion = split_table(
        "visits", whole, variables(*dictionary), table(Interval, schedule)
    )
    closed = {
        row["interval_id"]
        for row in schedule
        if row["window_calculation_date"] and not shown(dictionary, row["window_calculation_date"])
    }
    expected, kept_apart = [], []
    for row in whole.to_pylist():
        date_hidden = row["visit_date"] is not None and not shown(
            dictionary, row["visit_date_question"]
        )
        window_hidden = date_hidden or row["interval_id"] in closed
        names = [*(["visit_date"] * date_hidden)]
        names += ["start_date", "end_date", "due_date", "extra"] * window_hidden
        expected.append({**row, **dict.fromkeys(names)})
        if window_hidden:
            kept_apart.append(row)
    assert rest.to_pylist() == expected
    assert companion.to_pylist() == kept_apart


def test_visits_are_not_split_without_their_intervals():
    with pytest.raises(ValueError, match="intervals"):
        split_table("visits", table(Visit, []), variables(OPEN))


@st.composite
def revisions(draw):
    return draw(dictionaries), [
        {
            "record_revision_id": number,
            "form_key": draw(st.sampled_from(["F1", "F2", "F9", "f1", "", None])),
            "reason_for_change": draw(TEXT),
            "extra": draw(TEXT),
        }
        for number in range(draw(st.integers(0, 6)))
    ]


@given(revisions())
def test_a_revision_keeps_its_reason_only_where_its_whole_form_is_open(study):
    dictionary, rows = study
    whole = table(RecordRevision, rows)
    rest, companion = split_table("record_revisions", whole, variables(*dictionary))
    somewhere = any(
        (row["blinded"] is not False or not row["variable_name"])
        and (row["form_id"] is None or not row["form_key"])
        for row in dictionary
    )

    def is_shown(row):
        if not row["reason_for_change"] and not row["extra"]:
            return True
        on_form = [
            one for one in dictionary if row["form_key"] and one["form_key"] == row["form_key"]
        ]
        return all_open(on_form) and not somewhere

    pairs = [(row, is_shown(row)) for row in whole.to_pylist()]
    hidden = {"reason_for_change": None, "extra": None}
    assert rest.to_pylist() == [row if keep else {**row, **hidden} for row, keep in pairs]
    assert companion.to_pylist() == [row for row, keep in pairs if not keep]


# --- the rule in examples ---

OPEN = variable("AGE", False)


def split_record(data, *dictionary, form=(1, "F1")):
    """Return the open and the withheld part of one record's data."""
    records = table(
        Record,
        [
            {
                "record_id": 1,
                "form_id": form[0],
                "form_key": form[1],
                "record_data": json.dumps(data),
            }
        ],
    )
    rest, companion = split_table("records", records, variables(*dictionary))
    (open_text,) = rest["record_data"].to_pylist()
    hidden = companion["record_data"].to_pylist()
    return json.loads(open_text), json.loads(hidden[0]) if hidden else {}


@pytest.mark.parametrize("blinded", [True, None])
def test_a_blinded_or_unknown_flag_withholds(blinded):
    parts = split_record({"AGE": 41, "ARM": "active"}, OPEN, variable("ARM", blinded))
    assert parts == ({"AGE": 41}, {"ARM": "active"})


def test_a_key_or_a_form_that_the_dictionary_lacks_is_withheld():
    assert split_record({"AGE": 41, "NEW": 1}, OPEN) == ({"AGE": 41}, {"NEW": 1})
    assert split_record({"AGE": 41}, OPEN, form=(2, "F2")) == ({}, {"AGE": 41})
    assert split_record({"AGE": 41}, OPEN, form=(1, "F2")) == ({}, {"AGE": 41})


@pytest.mark.parametrize(
    ("open_key", "data"),
    [
        ('ARM":1,"AGE', {"ARM": 1, "AGE": 2}),
        ("A.E", {"AGE": 1}),
        ("A|E", {"A": 1}),
        ("A|E", {"E": 1}),
        (".*", {"AGE": 1}),
        ("A\\", {"A": 1}),
        ("A", {"A ": 1}),
        ("A", {"AGE": "A"}),
        ("A", {"x": {"A": 1}}),
    ],
)
def test_what_is_open_opens_no_key_that_looks_like_it(open_key, data):
    everything = [{open_key: 1}, *[data] * 200]
    texts = [json.dumps(one, separators=(",", ":")) for one in everything]
    rows = [
        {"record_id": number, "form_id": 1, "form_key": "F1", "record_data": text}
        for number, text in enumerate(texts)
    ]
    dictionary = variables(variable(open_key, False))
    rest, companion = split_table("records", table(Record, rows), dictionary)
    assert rest["record_data"].to_pylist() == [texts[0], *["{}"] * 200]
    assert companion["record_data"].to_pylist() == texts[1:]


def test_a_form_of_very_many_variables_is_split_as_any_other():
    names = [f"A_VARIABLE_WITH_A_LONG_NAME_{number}" for number in range(300)]
    text = json.dumps(dict.fromkeys([*names, "NEW"], 1), separators=(",", ":"))
    rows = [
        {"record_id": n, "form_id": 1, "form_key": "F1", "record_data": text} for n in range(200)
    ]
    dictionary = variables(*(variable(name, False) for name in names))
    rest, companion = split_table("records", table(Record, rows), dictionary)
    assert set(companion["record_data"].to_pylist()) == {'{"NEW":1}'}
    assert set(map(len, map(json.loads, rest["record_data"].to_pylist()))) == {300}


@pytest.mark.parametrize("many", [1, 400])
def test_half_a_surrogate_pair_stays_as_it_was_sent_on_both_sides(many):
    """A key that holds one is no variable's, and so is withheld."""
    sent = '{"OPEN":"\\ud83d","HIDDEN":"\\ud83d\\ude00\\uDC00","OPEN\\udfff": 1e400}'
    row = {"form_id": 1, "form_key": "F1"}
    rows = [{**row, "record_id": n, "record_data": '{"OPEN":"x"}'} for n in range(many)]
    rows.append({**row, "record_id": many, "record_data": sent})
    dictionary = variables(variable("OPEN", blinded=False), variable("HIDDEN", blinded=True))
    rest, companion = split_table("records", table(Record, rows), dictionary)
    assert rest["record_data"].to_pylist() == ['{"OPEN":"x"}'] * many + ['{"OPEN":"\\ud83d"}']
    assert companion["record_data"].to_pylist() == [
        '{"HIDDEN":"\\ud83d\\ude00\\uDC00","OPEN\\udfff":1e400}'
    ]


def test_an_empty_dictionary_withholds_all_but_the_systems_keys():
    system = dict.fromkeys(SYSTEM_KEYS, "x")
    assert split_record({**system, "AGE": 41}) == (system, {"AGE": 41})


def test_a_variable_named_like_a_systems_key_is_a_variable():
    assert split_record({"unvnum": "1"}, variable("UNVNUM", True)) == ({}, {"unvnum": "1"})


def test_names_that_differ_in_case_alone_are_open_together_or_not_at_all():
    both = {"PEDESC": "a", "PEDesc": "b"}
    one, other = variable("PEDESC", False), variable("PEDesc", False, disabled=True)
    assert split_record(both, one, other) == (both, {})
    blinded = {**other, "blinded": True}
    assert split_record(both, one, blinded) == split_record(both, blinded, one) == ({}, both)


def test_a_deleted_variable_withholds_what_older_records_still_hold():
    deleted = variable("INITIALS", True, deleted=True)
    assert split_record({"INITIALS": "XY"}, OPEN, deleted) == ({}, {"INITIALS": "XY"})


def test_a_withheld_variable_of_no_known_form_closes_its_name_and_every_forms_reasons():
    somewhere = variable("AGE", True, None, None)
    assert split_record({"AGE": 41}, OPEN, somewhere) == ({}, {"AGE": 41})
    revision = {"record_revision_id": 1, "form_key": "F1", "reason_for_change": "planted"}
    rows = table(RecordRevision, [revision])
    elsewhere = variable("ARM", True, 1, None)
    for dictionary, is_shown in (([OPEN], True), ([OPEN, elsewhere], False)):
        rest, _ = split_table("record_revisions", rows, variables(*dictionary))
        assert rest["reason_for_change"].is_valid().to_pylist() == [is_shown]


def test_a_query_on_no_variable_keeps_its_texts_only_in_a_study_known_to_be_open():
    rows = table(Query, [{"annotation_id": 1, "description": "planted"}])
    for dictionary, is_shown in (([], False), ([OPEN], True), ([OPEN, variable("A", None)], False)):
        rest, _ = split_table("queries", rows, variables(*dictionary))
        assert rest["description"].is_valid().to_pylist() == [is_shown]


@pytest.mark.parametrize(
    ("endpoint", "model"),
    [
        ("records", Record),
        ("codings", Coding),
        ("queries", Query),
        ("visits", Visit),
        ("record_revisions", RecordRevision),
    ],
)
@pytest.mark.parametrize("dictionary", [(), (OPEN,), (variable("ARM", True),)])
def test_no_rows_are_two_tables_without_rows(endpoint, model, dictionary):
    empty = table(model, [])
    rest, companion = split_table(endpoint, empty, variables(*dictionary), table(Interval, []))
    assert rest.equals(empty)
    assert companion.num_rows == 0
    assert set(companion.column_names) <= set(empty.column_names)


def test_a_table_in_which_nothing_is_withheld_is_the_same_object():
    records = table(Record, [{"record_id": 1, "form_id": 1, "record_data": '{"AGE": 1.10}'}])
    rest, companion = split_table("records", records, variables(OPEN))
    assert rest is records
    assert companion.num_rows == 0


def test_the_companion_tells_whose_the_values_are():
    whose = {
        "study_key": "S1", "record_id": 5, "form_id": 1, "form_key": "F1", "site_id": 2,
        "subject_id": 3, "subject_key": "001-003", "interval_id": 4, "visit_id": 6,
        "parent_record_id": 1, "deleted": True, "keywords": None, "extra": '{"new":1}',
    }  # fmt: skip
    records = table(Record, [{**whose, "record_data": '{"ARM":"active","AGE":4}'}])
    _, companion = split_table("records", records, variables(OPEN, variable("ARM", True)))
    assert companion.to_pylist() == [{**whose, "record_data": '{"ARM":"active"}'}]
