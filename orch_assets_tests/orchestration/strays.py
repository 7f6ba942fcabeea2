"""Ways to raise an exception where no pipeline can catch it, each with a planted message."""

import _thread
import asyncio
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

from orch_assets import in_study_context

PLANTED = "planted-patient-0042"


def fail(*_):
    raise ValueError(PLANTED)


def run_thread(thread):
    thread.start()
    thread.join()


def thread():
    run_thread(threading.Thread(target=in_study_context(fail)))


def plain_thread():
    run_thread(threading.Thread(target=fail))


def thread_of_a_thread():
    run_thread(threading.Thread(target=plain_thread))


def timer():
    run_thread(threading.Timer(0, fail))


def bare_thread():
    """A thread unknown to ``threading``, which can't be joined."""
    before, deadline = _thread._count(), time.monotonic() + 10
    _thread.start_new_thread(in_study_context(fail), ())
    time.sleep(0.01)
    while _thread._count() > before and time.monotonic() < deadline:
        time.sleep(0.01)


class Handle:
    """An object whose finalizer fails."""

    def __del__(self):
        fail()


def finalizer():
    Handle()


def rows():
    try:
        yield 1
    finally:
        fail()


def generator():
    next(rows())


def weak_reference():
    class Table:
        pass

    table = Table()
    reference = weakref.ref(table, fail)
    del table
    assert reference() is None


def executor_callback():
    with ThreadPoolExecutor() as pool:
        pool.submit(int).add_done_callback(fail)


async def fails():
    fail()


async def pages():
    try:
        yield 1
    finally:
        fail()


async def task():
    asyncio.create_task(fails())  # noqa: RUF006 - left alone on purpose
    await asyncio.sleep(0.01)


async def held_task():
    held = asyncio.create_task(fails())
    await asyncio.sleep(0.01)
    assert held.done()


async def loop_callback():
    asyncio.get_running_loop().call_soon(fail, PLANTED)
    await asyncio.sleep(0.01)


async def async_generator():
    async for _ in pages():
        break


def own_loop():
    asyncio.run(task())


def own_loop_callback():
    asyncio.run(loop_callback())


def own_loop_generator():
    asyncio.run(async_generator())


THREAD, FINALIZER = "in a thread", "in a finalizer or callback"
AWAITED_BY_NOBODY = "in a task or callback that nobody awaits"

# Each with what is told of it.
STRAYS = {
    thread: THREAD,
    plain_thread: THREAD,
    thread_of_a_thread: THREAD,
    timer: THREAD,
    bare_thread: THREAD,
    finalizer: FINALIZER,
    generator: FINALIZER,
    weak_reference: FINALIZER,
    executor_callback: "in an executor's callback",
    own_loop: AWAITED_BY_NOBODY,
    own_loop_callback: AWAITED_BY_NOBODY,
    own_loop_generator: AWAITED_BY_NOBODY,
}
ASYNC_STRAYS = {
    task: AWAITED_BY_NOBODY,
    held_task: AWAITED_BY_NOBODY,
    loop_callback: AWAITED_BY_NOBODY,
    async_generator: AWAITED_BY_NOBODY,
}
