"""A run is over a range: studies that others stand between are several runs."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orch_assets.defs.partitions import contiguous_pieces

KNOWN = st.lists(st.integers(0, 30).map(str), unique=True)


@given(KNOWN, st.sets(st.integers(0, 40).map(str)))
def test_the_pieces_hold_exactly_the_studies_and_are_as_few_as_can_be(known, wanted):
    pieces = contiguous_pieces(wanted, known)
    assert [key for piece in pieces for key in piece] == [key for key in known if key in wanted]
    for piece in pieces:
        start = known.index(piece[0])
        assert known[start : start + len(piece)] == piece
    for before, after in pairwise(pieces):
        assert known.index(before[-1]) + 1 < known.index(after[0])
