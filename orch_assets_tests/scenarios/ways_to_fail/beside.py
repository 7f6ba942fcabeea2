"""Failures beside a pipeline's own call: threads, tasks, destructors, warnings; and own prints."""

import asyncio
import gc
import logging
import sys
import tempfile
import threading
import traceback
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg

from orch_assets import in_study_context
from orch_assets_tests.scenarios.ways_to_fail.ways import way


def _fail(text):
    raise ValueError(text)


# --- threads ---


@way("ValueError (at ")
def thread(text):
    started = threading.Thread(target=in_study_context(_fail), args=(text,))
    started.start()
    started.join()


@way("ValueError (at ")
def timer(text):
    started = threading.Timer(0, in_study_context(_fail), (text,))
    started.start()
    started.join()


@way("ValueError (at ")
def future_of_a_thread(text):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_fail, text).result()


@way(None)
def future_that_nobody_asks(text):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(in_study_context(_fail), text)


@way("ValueError (at ")
def callback_of_a_future(text):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(in_study_context(str)).add_done_callback(lambda _: _fail(text))


@way("BrokenThreadPool (at ")
def start_of_a_pools_threads(text):
    with ThreadPoolExecutor(1, initializer=in_study_context(_fail), initargs=(text,)) as pool:
        pool.submit(str).result()


# --- what Python can't raise to anybody ---


@way("ValueError (at ")
def destructor(text):
    class Open:
        def __del__(self):
            raise ValueError(text)

    Open()


@way("ValueError (at ")
def generator_that_is_dropped(text):
    def numbers():
        try:
            yield 1
        finally:
            raise ValueError(text)

    next(numbers())


@way("ValueError (at ")
def callback_of_a_weak_reference(text):
    class Thing:
        pass

    thing = Thing()
    reference = weakref.ref(thing, lambda _: _fail(text))
    del thing
    return reference() and None


# --- tasks of an event loop of the pipeline's own ---


@way("ValueError (at ")
def coroutine(text):
    async def fail():
        await asyncio.sleep(0)
        raise ValueError(text)

    return fail()


@way("ExceptionGroup (at ")
def group_of_tasks(text):
    async def fail():
        raise ValueError(text)

    async def both():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            tasks.create_task(fail())

    asyncio.run(both())


@way("ValueError (at ")
def task_that_nobody_awaits(text):
    async def fail():
        raise ValueError(text)

    async def leave():
        task = asyncio.create_task(fail(), name=text)
        await asyncio.sleep(0)
        del task

    asyncio.run(leave())
    gc.collect()


@way("ValueError (at ")
def callback_of_a_loop(text):
    async def leave():
        asyncio.get_running_loop().call_soon(_fail, text)
        await asyncio.sleep(0)

    asyncio.run(leave())


@way(None)
def coroutine_that_nobody_awaits(text):
    async def unused():
        raise ValueError(text)

    unused.__qualname__ = unused.__name__ = text
    unused()


# --- the event loop that studies share ---


async def _fail_later(text):
    await asyncio.sleep(0)
    raise ValueError(text)


@way("ValueError (at ", by="waits")
async def task(text):
    await asyncio.create_task(_fail_later(text))


@way("ExceptionGroup (at ", by="waits")
async def group_of_shared_tasks(text):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_fail_later(text))
        tasks.create_task(_fail_later(text))


@way("ValueError (at ", by="waits")
async def thread_of_a_task(text):
    await asyncio.to_thread(_fail, text)


@way("KeyError (at ", by="waits")
async def gathered(text):
    found = await asyncio.gather(_fail_later(text), return_exceptions=True)
    return {}[found[0].args]


@way("CancelledError (at ", by="waits")
async def cancelled_task(text):
    running = asyncio.create_task(asyncio.sleep(9))
    running.cancel(text)
    await running


@way("ValueError (at ", by="waits")
async def shared_task_that_nobody_awaits(text):
    left = asyncio.create_task(_fail_later(text), name=text)
    await asyncio.sleep(0.01)
    del left


@way("ValueError (at ", by="waits")
async def callback_of_the_shared_loop(text):
    asyncio.get_running_loop().call_soon(_fail, text)
    await asyncio.sleep(0.01)


# --- an IO manager of one's own ---


@way("ValueError (at ", by="own")
def io_manager_that_raises(text):
    return [text]


@way("ValueError (at ", by="own")
def io_manager_that_raises_late(text):
    return (text,)


@way("", by="own")
def metadata_that_dagster_does_not_take(text):
    return {"subject": text}


class OwnIOManager(dg.IOManager):
    """Fails over what it gets, in the way of its type."""

    def handle_output(self, context, obj):
        match obj:
            case [text] if isinstance(obj, list):
                raise ValueError(text)
            case [text]:
                context.add_output_metadata({"subject": dg.MetadataValue.text("x")})
                raise ValueError(text)
            case {"subject": text}:
                context.add_output_metadata({text: object()})

    def load_input(self, context):
        raise NotImplementedError


# --- state machines ---


@way("ExecutionFailed: ", by="machine")
def cause_of_a_state(text):
    return {"error": "Clinops.BadDay", "cause": f"no {text} today"}


@way("ExecutionFailed: ", by="machine")
def error_of_a_state(text):
    return {"error": text, "cause": "a bad day"}


@way("ValueError (at ", by="machine")
def function_of_a_machine(text):
    raise ValueError(text)


@way("PipelineDefinitionError: ", by="machine", reported=False)
def input_that_is_no_mapping(text):
    return [text]


@way("ExecutionInputError: ", by="machine")
def input_that_is_no_json(text):
    return {text: {"a": object()}}


@way("ExecutionInputError: ", by="machine", reported=False)
def input_that_is_too_long(text):
    return {"subjects": [text] * 20_000}


@way(None, by="machine")
def output_of_a_machine(text):
    return {"subject": text}


# --- warnings ---


@way(None)
def warning(text):
    warnings.warn(text, stacklevel=1)


@way(None)
def warning_of_pandas(text):
    import pandas as pd

    frame = pd.DataFrame({"age": [41, 52]})
    frame.loc[0, "age"] = text


@way(None)
def warning_of_a_source(text):
    eval(f"'\\P{text}'")


@way(None)
def warning_of_an_open_file(text):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        Path(tempfile.gettempdir(), text).open("w")  # noqa: SIM115


# --- the pipeline's own ---


@way(None, shows=True)
def printed(text):
    print(text)  # noqa: T201


@way(None, shows=True)
def printed_traceback(text):
    try:
        _fail(text)
    except ValueError:
        traceback.print_exc()


@way(None, shows=True)
def written(text):
    sys.stderr.write(f"{text}\n")


@way(None, shows=True)
def logged(text):
    logging.getLogger("orch_assets.mine").warning("subject %s", text)


@way(None, shows=True)
def logged_exception(text):
    try:
        _fail(text)
    except ValueError:
        logger = logging.getLogger("mine")
        logger.addHandler(logging.StreamHandler())
        logger.exception("it failed")
