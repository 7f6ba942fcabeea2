"""The dictionary that decides: open is only what every reading of it says is open."""

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orch_assets import ImednetSDK, study_context
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets.errors import DictionaryChangedError
from orch_assets.imednet.arrow import arrow_schema
from orch_assets.imednet.blinding.rules import SYSTEM_KEYS, BlindingRules
from orch_assets.imednet.blinding.study_dictionary import DictionaryReader, agreed
from orch_assets.imednet.models import Variable

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
    one, other = BlindingRules(one), BlindingRules(other)
    if one.is_within(other):
        assert opened(one) <= opened(other)


@given(tables)
def test_a_dictionary_is_within_itself(table):
    assert BlindingRules(table).is_within(BlindingRules(table))


def table_of(*names):
    """Return a dictionary whose variables are open, on one form."""
    return pa.Table.from_pylist(
        [{"variable_name": n, "blinded": False, "form_id": 1, "form_key": "F1"} for n in names],
        schema=arrow_schema(Variable),
    )


@example(table_of("ARM"), table_of("ARM", None))
@example(table_of("ARM", None), table_of("ARM"))
@given(tables, tables)
def test_what_two_agree_on_is_open_in_both(given_table, current):
    both = opened(BlindingRules(agreed(given_table, current)))
    assert both <= opened(BlindingRules(given_table)) & opened(BlindingRules(current))


@given(tables)
def test_a_dictionary_agrees_with_itself(table):
    assert agreed(table, table) is table


# --- whom a reading serves ---


class Clock:
    """Stands still until it is moved."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def server():
    with DemoServer(DemoRegistry(studies=1, subjects=2)) as running:
        yield running


@pytest.fixture
def sdk(server):
    with ImednetSDK(server.api_key, server.security_key, server.base_url) as opened:
        yield opened


def in_run(run):
    return study_context(STUDY, provenance={"run": run})


def test_a_reading_serves_again_within_its_run_while_it_is_fresh(sdk):
    clock = Clock()
    reader = DictionaryReader(sdk.variables, sdk.intervals, clock=clock)
    with in_run("one"):
        table = reader.now("variables", STUDY)
        clock.now = 59.0
        assert reader.recent("variables", STUDY) is table
        clock.now = 61.0
        assert reader.recent("variables", STUDY) is not table


def test_a_reading_serves_no_other_run_and_nobody_outside_of_one(sdk):
    reader = DictionaryReader(sdk.variables, sdk.intervals)
    with in_run("one"):
        table = reader.now("variables", STUDY)
    with in_run("two"):
        assert reader.recent("variables", STUDY) is not table
    outside = reader.recent("variables", STUDY)
    assert reader.recent("variables", STUDY) is not outside


def test_a_stream_of_the_dictionary_that_was_read_to_its_end_is_a_reading(sdk):
    """One that was left early, or has a filter, isn't."""
    reader = DictionaryReader(sdk.variables, sdk.intervals)
    with in_run("one"):
        first = reader.now("variables", STUDY)
        with sdk.variables.batches(STUDY) as left_early:
            next(left_early)
        list(sdk.variables.batches(STUDY, form_key="AE"))
        assert reader.recent("variables", STUDY) is first
        batches = list(sdk.variables.batches(STUDY))
        assert reader.recent("variables", STUDY).equals(pa.Table.from_batches(batches))
        assert reader.recent("variables", STUDY) is not first


def test_tables_that_say_the_same_share_their_rules(sdk):
    reader = DictionaryReader(sdk.variables, sdk.intervals)
    table = reader.now("variables", STUDY)
    rules = reader.rules(STUDY, table)
    assert reader.rules(STUDY, reader.now("variables", STUDY)) is rules
    position = table.column_names.index("blinded")
    withheld = table.set_column(position, "blinded", pa.array([True] * table.num_rows))
    assert not any(
        map(reader.rules(STUDY, withheld).is_open_everywhere, table["variable_name"].to_pylist())
    )
    assert reader.rules(STUDY, table).facts == rules.facts


def test_what_is_opened_while_rows_arrive_is_confirmed_and_stays_withheld(server, sdk):
    row = next(r for r in server.registry.rows("variables", STUDY) if r.get("blinded") is True)
    dictionary = sdk.dictionary(STUDY)
    server.registry.update_row("variables", STUDY, row["variableId"], blinded=False)
    dictionary.confirm()
    place = (row["variableName"], row["formId"], row["formKey"])
    assert not BlindingRules(dictionary.variables).is_open(*place)
    server.registry.update_row("variables", STUDY, row["variableId"], blinded=True)
    with pytest.raises(DictionaryChangedError, match="Run it again"):
        opened_meanwhile(server, sdk, row)


def opened_meanwhile(server, sdk, row):
    """Confirm a dictionary that was read while a variable was open, and is blinded by now."""
    server.registry.update_row("variables", STUDY, row["variableId"], blinded=False)
    dictionary = sdk.dictionary(STUDY)
    server.registry.update_row("variables", STUDY, row["variableId"], blinded=True)
    dictionary.confirm()
