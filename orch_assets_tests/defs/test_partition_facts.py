"""What Dagster's dynamic partitions and ranges do, by Dagster alone: see test_state_table."""

import dagster as dg
import pytest
from dagster._core.errors import DagsterInvalidInvocationError

from orch_assets_tests.defs.plain_dagster import (
    NAME,
    STUDIES,
    chain,
    instance,
    job_of,
    logged,
    range_tags,
    rerun,
    run,
    spec,
    states,
)

RAW = dg.AssetKey("raw")


class Listing:
    """An asset that notes the keys it is given; it may do something between two looks."""

    def __init__(self, between=lambda real: None):
        self.seen = []

        @chain(spec())
        def graph(context: dg.AssetExecutionContext):
            self.seen.append(list(context.partition_keys))
            between(context.instance)
            self.seen.append(list(context.partition_keys))
            yield from ()

        self.graph = graph


def keys_of(real, first, last):
    listing = Listing()
    run(real, listing.graph, first=first, last=last)
    return listing.seen[0]


def test_a_range_goes_by_insertion_order():
    """A range over dynamic partitions is in the order of adding, not of the alphabet."""
    with instance(["b", "c", "a"]) as real:
        assert keys_of(real, "c", "a") == ["c", "a"]


def test_a_reversed_range_holds_no_key_and_succeeds():
    """A range whose end comes first gives no key, and nothing of Dagster's says so."""
    with instance() as real:
        listing = Listing()
        ended = run(real, listing.graph, first="s3", last="s1")
        assert ended.status == dg.DagsterRunStatus.SUCCESS
        assert listing.seen == [[], []]


def test_a_reversed_range_materializes_something_unpartitioned():
    """An asset with an ordinary output logs a materialization of no partition for it."""

    @dg.asset(
        partitions_def=dg.DynamicPartitionsDefinition(name=NAME),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def raw() -> None: ...

    with instance() as real:
        run(real, raw, first="s3", last="s1")
        (event,) = real.fetch_materializations(RAW, limit=9).records
        assert event.partition_key is None


def test_a_key_that_is_added_again_moves_to_the_end():
    """Deleting and re-adding a key changes the order, and so what a range holds."""
    with instance() as real:
        real.delete_dynamic_partition(NAME, "s1")
        real.add_dynamic_partitions(NAME, ["s1"])
        assert list(real.get_dynamic_partitions(NAME)) == ["s0", "s2", "s3", "s4", "s1"]
        assert keys_of(real, "s0", "s2") == ["s0", "s2"]


def test_adding_a_known_key_changes_nothing():
    """add_dynamic_partitions of a live key leaves it at its place."""
    with instance() as real:
        real.add_dynamic_partitions(NAME, ["s1"])
        assert list(real.get_dynamic_partitions(NAME)) == STUDIES


def test_deleting_a_key_keeps_its_events():
    """A re-added key is materialized again at once; its events were there all the time."""
    with instance() as real:
        run(real, logged(*STUDIES, fail=False))
        real.delete_dynamic_partition(NAME, "s1")
        assert states(real, "raw") == "MMMM"
        assert len(real.fetch_materializations(RAW, limit=9).records) == 5
        real.add_dynamic_partitions(NAME, ["s1"])
        assert states(real, "raw") == "MMMMM"


def test_materialized_partitions_include_deleted_ones():
    """get_materialized_partitions lists deleted keys: intersect with the live ones."""
    with instance() as real:
        run(real, logged(*STUDIES, fail=False))
        real.delete_dynamic_partition(NAME, "s1")
        assert real.get_materialized_partitions(RAW) == set(STUDIES)


def test_deleting_a_key_while_the_run_goes_on_changes_the_runs_keys():
    """partition_keys is asked of the instance each time: resolve it once."""
    listing = Listing(lambda real: real.delete_dynamic_partition(NAME, "s2"))
    with instance() as real:
        run(real, listing.graph)
    assert listing.seen == [STUDIES, ["s0", "s1", "s3", "s4"]]


def test_deleting_the_end_of_a_range_breaks_its_re_execution():
    """Never retire a study while a run of its graph is queued, started or to be resumed."""
    with instance() as real:
        first = run(real, logged("s0"))
        real.delete_dynamic_partition(NAME, "s4")
        with pytest.raises(DagsterInvalidInvocationError):
            rerun(real, first, logged("s0"))


def test_an_unknown_key_is_refused_before_any_code_runs():
    """A range with an unknown end is an error of the launch."""
    with instance() as real, pytest.raises(dg.DagsterError):
        job_of([logged()]).execute_in_process(instance=real, tags=range_tags("s0", "nobody"))


def test_dagster_takes_any_text_as_a_key():
    """Dagster checks keys not at all: what can't be carried has to be refused by us."""
    odd = ["", "a\nb", "a...b", "a|b", "a,b", "a/b", "x" * 5000]
    with instance([]) as real:
        real.add_dynamic_partitions(NAME, odd)
        assert list(real.get_dynamic_partitions(NAME)) == odd
