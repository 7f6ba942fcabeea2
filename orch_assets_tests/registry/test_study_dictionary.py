"""The dictionary that decides: open is only what every reading of it says is open."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.registry.dictionary import SYSTEM_KEYS, Dictionary
from orch_assets.registry.models import Variable
from orch_assets.registry.schemas import arrow_schema
from orch_assets.registry.study_dictionary import agreed

STUDY = "ONC-301"
NAMES = ("ARM", "arm", "AGE", "unvnum")
FORMS = ((1, "F1"), (2, "F2"), (1, None), (None, "F1"), (None, None), (2, ""), (1, "F2"))

rows = st.builds(
    lambda name, blinded, form: {
        "variable_name": name,
        "blinded": blinded,
        "form_id": form[0],
        "form_key": form[1],
    },
    st.sampled_from([*NAMES, None]),
    st.sampled_from([False, False, False, False, True, None]),
    st.sampled_from([*FORMS, *[FORMS[0]] * 6]),
)
tables = st.lists(rows, max_size=8).map(
    lambda found: pa.Table.from_pylist(found, schema=arrow_schema(Variable))
)


def opened(known):
    """Return every question that may be asked of a dictionary, where the answer is "open"."""
    forms = [*FORMS, (2, None), (None, "F2"), (9, "F9")]
    names = [*NAMES, "Age", "elsewhere"]
    found = {("on form", n, *f) for n in names for f in forms if known.is_open(n, *f)}
    found |= {
        ("key", n, *f) for n in [*names, *SYSTEM_KEYS] for f in forms if known.shows_key(n, *f)
    }
    found |= {("everywhere", name) for name in names if known.is_open_everywhere(name)}
    found |= {("form", form) for form in ("F1", "F2", "F9", "") if known.is_open_form(form)}
    return found | ({"study"} if known.is_open_study else set())


@given(tables, tables)
def test_a_dictionary_is_within_another_where_that_opens_all_that_it_opens(one, other):
    one, other = Dictionary(one), Dictionary(other)
    if one.is_within(other):
        assert opened(one) <= opened(other)


@given(tables)
def test_a_dictionary_is_within_itself(table):
    assert Dictionary(table).is_within(Dictionary(table))


@given(tables, tables)
def test_what_two_agree_on_is_open_in_both(given_table, current):
    both = opened(Dictionary(agreed(given_table, current)))
    assert both <= opened(Dictionary(given_table)) & opened(Dictionary(current))


@given(tables)
def test_a_dictionary_agrees_with_itself(table):
    assert agreed(table, table) is table
