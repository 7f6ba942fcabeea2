"""Context variables reach a study's worker, and the threads that the study starts."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from orch_assets import get_current_study, study_context
from orch_assets.errors import StudyCancelledError
from orch_assets.study import current_context, in_study_context, publishing
from orch_assets_tests.orchestration.registries import execute


@pytest.fixture
def spans():
    """A tracer, and the names of ended spans with their parents' names."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def parents():
        ended = {span.context.span_id: span for span in exporter.get_finished_spans()}
        return {
            span.name: ended[span.parent.span_id].name if span.parent else None
            for span in ended.values()
        }

    yield provider.get_tracer("test"), parents
    provider.shutdown()


def test_the_callers_span_is_the_parent_of_the_workers_and_of_their_threads(spans):
    tracer, parents = spans

    def page(study_key):
        with tracer.start_as_current_span(f"page of {study_key}"):
            pass

    def work(study_key, sdk, study_logger):
        with (
            tracer.start_as_current_span(f"study {study_key}"),
            ThreadPoolExecutor(2) as pool,
        ):
            pool.submit(in_study_context(page), study_key).result()

    with tracer.start_as_current_span("caller"):
        execute(work, "A", "B", max_workers=2)
    assert parents() == {
        "caller": None,
        "study A": "caller",
        "study B": "caller",
        "page of A": "study A",
        "page of B": "study B",
    }


def test_the_callers_span_is_the_parent_of_async_studies(spans):
    tracer, parents = spans

    async def work(study_key, sdk, study_logger):
        with tracer.start_as_current_span(f"study {study_key}"):
            await asyncio.sleep(0.01)
            await asyncio.to_thread(tracer.start_span(f"thread of {study_key}").end)

    with tracer.start_as_current_span("caller"):
        execute(work, *"AB")
    assert parents() == {
        "caller": None,
        **{f"study {key}": "caller" for key in "AB"},
        **{f"thread of {key}": f"study {key}" for key in "AB"},
    }


def test_a_studys_threads_know_their_study_many_at_once():
    def work(study_key, sdk, study_logger):
        both = threading.Barrier(2, timeout=5)

        def inside(number):
            both.wait()
            return number, get_current_study()

        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(in_study_context(inside), range(2)))

    results = execute(work, "A", "B", max_workers=2)
    assert {key: r["data"] for key, r in results.items()} == {
        key: [(0, key), (1, key)] for key in "AB"
    }


def test_a_studys_threads_lose_the_right_to_publish_with_it():
    def publish():
        with publishing():
            return "published"

    with study_context("A"):
        inside = in_study_context(publish)
        lease = current_context().lease
    assert inside() == "published"
    lease.revoke()
    with pytest.raises(StudyCancelledError):
        inside()


def test_a_coroutine_from_a_plain_wrapper_is_run_and_not_returned():
    async def work(study_key):
        await asyncio.sleep(0.01)
        return get_current_study()

    assert execute(lambda study_key, sdk, study_logger: work(study_key), "A")["A"]["data"] == "A"


def test_hundreds_of_async_studies_wait_beside_a_thread_for_each_that_blocks():
    everybody = threading.Barrier(60, timeout=20)

    async def work(study_key, sdk, study_logger):
        await asyncio.to_thread(everybody.wait)

    results = execute(work, *map(str, range(60)), max_workers=1)
    assert {r["status"] for r in results.values()} == {"SUCCESS"}
