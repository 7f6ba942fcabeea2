"""What a frozen study takes of a new dictionary: what withholds more, and nothing else."""

import pyarrow as pa
import pytest

from orch_assets.imednet.blinding.rules import BlindingRules
from orch_assets.imednet.dictionary.frozen_dictionary import with_new_blinding, withholds_more


def dictionary(*rows):
    """Return a table of variables of the form AE: (ID, name, blinded[, label])."""
    columns = ("variable_id", "variable_name", "blinded", "label")
    table = pa.table(
        {name: [([*row, None])[n] for row in rows] for n, name in enumerate(columns)},
        schema=pa.schema([("variable_id", pa.int64()), ("variable_name", pa.string()),
                          ("blinded", pa.bool_()), ("label", pa.string())]),
    )  # fmt: skip
    keys = pa.array(["AE"] * len(rows), pa.string())
    ids = pa.array([7] * len(rows), pa.int64())
    return table.append_column("form_key", keys).append_column("form_id", ids)


FROZEN = dictionary((1, "TERM", False), (2, "ARM", True), (3, "OLD", False))


@pytest.mark.parametrize(
    ("current", "more"),
    [
        (FROZEN, False),
        (dictionary((1, "TERM", False, "New"), (2, "ARM", False), (3, "OLD", False)), False),
        (dictionary((1, "TERM", False), (2, "ARM", True)), False),  # removed
        (dictionary((1, "TERM", False), (2, "ARM", True), (3, "NEW", False)), False),  # renamed
        (dictionary((1, "TERM", True), (2, "ARM", True), (3, "OLD", False)), True),
        (dictionary((1, "TERM", None), (2, "ARM", True), (3, "OLD", False)), True),
        (dictionary((1, "TERM", False), (2, "ARM", True), (3, None, False)), True),
        (dictionary((1, "TERM", False), (4, "ADDED", True)), True),
        (dictionary((9, "term", True)), True),  # another variable of that name
    ],
)
def test_only_what_is_withheld_now_and_was_not_counts(current, more):
    assert withholds_more(FROZEN, current) == more


def test_the_blinding_is_applied_and_nothing_else():
    current = dictionary((1, "TERM", True, "New label"), (2, "ARM", False), (3, "NEW", False),
                         (4, "MORE", True), (5, "OPEN", False))  # fmt: skip
    held = with_new_blinding(FROZEN, current)
    assert held.select(["variable_id", "variable_name", "blinded", "label"]).to_pylist() == [
        {"variable_id": 1, "variable_name": "TERM", "blinded": True, "label": None},
        {"variable_id": 2, "variable_name": "ARM", "blinded": True, "label": None},
        {"variable_id": 3, "variable_name": "OLD", "blinded": False, "label": None},
        {"variable_id": 4, "variable_name": "MORE", "blinded": True, "label": None},
    ]
    assert not withholds_more(held, current)
    assert BlindingRules(held).is_open("OLD", 7, "AE")


def test_a_variable_that_left_stays_as_it_was():
    assert with_new_blinding(FROZEN, dictionary((1, "TERM", False))).equals(FROZEN)
