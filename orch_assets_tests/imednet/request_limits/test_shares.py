"""Each process's share of the slots, and what the processes tell one another."""

from hypothesis import given, settings
from hypothesis import strategies as st

from orch_assets.imednet.request_limits.slot_members import (
    Member,
    Narrowing,
    newest,
    share_of,
    slots_of,
)

WIDE = Narrowing(0, 0, 8, 0)

members = st.builds(
    Member,
    st.integers(1, 40),
    st.integers(1, 12),
    st.builds(Narrowing, st.integers(0, 2), st.integers(0, 2), st.integers(1, 12), st.just(0)),
)
parties = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), members, min_size=1)


def shares(wanted: dict[str, int], now: float = 0.0, maximum: int = 8) -> dict[str, int]:
    party = {name: Member(count, maximum, WIDE) for name, count in wanted.items()}
    return {name: share_of(name, party, now) for name in party}


def test_one_process_gets_all() -> None:
    assert shares({"a": 1}) == {"a": 8}


def test_three_busy_processes_share_evenly() -> None:
    assert shares({"a": 64, "b": 64, "c": 64}) == {"a": 3, "b": 3, "c": 2}


def test_what_one_does_not_want_the_others_get() -> None:
    assert shares({"a": 1, "b": 64, "c": 64}) == {"a": 1, "b": 4, "c": 3}


def test_what_nobody_wants_is_lent() -> None:
    assert shares({"a": 1, "b": 1}) == {"a": 4, "b": 4}


def test_with_fewer_slots_than_processes_each_has_its_turn() -> None:
    wanted = dict.fromkeys("abcde", 3)
    turns = [shares(wanted, now, maximum=2) for now in range(0, 50, 5)]
    assert all(sorted(turn.values()) == [0, 0, 0, 1, 1] for turn in turns)
    assert {name: sum(turn[name] for turn in turns) for name in wanted} == dict.fromkeys("abcde", 4)


@settings(max_examples=40)
@given(parties, st.floats(0, 1e9))
def test_all_slots_are_dealt_and_none_twice(party: dict[str, Member], now: float) -> None:
    found = {name: share_of(name, party, now) for name in party}
    assert sum(found.values()) == slots_of(party.values())


@settings(max_examples=40)
@given(parties)
def test_nobody_has_more_than_another_who_wants_more(party: dict[str, Member]) -> None:
    found = {name: share_of(name, party, 0.0) for name in party}
    for name, share in found.items():
        for other, its in found.items():
            assert its <= share + 1 or share >= party[name].wanted, (name, other, found)


def test_the_least_maximum_and_the_newest_narrowing_count() -> None:
    narrowed = Narrowing(3, 0, 5, 8)
    widened = Narrowing(3, 1, 6, 8)
    assert slots_of([Member(1, 8, WIDE), Member(1, 4, WIDE)]) == 4
    assert newest([Member(1, 8, widened), Member(1, 8, narrowed), Member(1, 8, WIDE)]) == widened
    assert slots_of([Member(1, 8, widened), Member(1, 8, Narrowing(2, 9, 2, 3))]) == 6
    assert newest([Member(1, 8, Narrowing(3, 0, 4, 8)), Member(1, 8, narrowed)]).limit == 4


@given(
    st.builds(
        Member,
        st.integers(1, 999),
        st.integers(1, 999),
        st.just(Narrowing(2_000_000_000, 999, 999, 999)),
        st.just(3600.0),
    )
)
def test_a_text_is_read_as_it_was_written_and_is_short(member: Member) -> None:
    assert Member.read(member.as_text()) == member
    assert len(member.as_text()) <= 33


def test_a_very_long_retry_after_is_told_in_parts() -> None:
    assert Member.read(Member(1, 8, WIDE, 1e9).as_text()) == Member(1, 8, WIDE, 4665.5)


def test_another_text_is_nobody() -> None:
    for text in ("", "1 2 3", "1 2 3 4 5 6 -7", "8 0 8 0 0 0 0", "\ufffd 8 8 0 0 0 0"):
        assert Member.read(text) is None
