"""Exceptions that hold the text: raised by the pipeline itself, or by Python."""

# ruff: noqa: N818, PLR1708, TRY301 - what a pipeline's author may write

import asyncio
import warnings
from dataclasses import dataclass

import dagster as dg

from orch_assets import ImednetError
from orch_assets.errors import RegistryDataError, StoreError, StudyKeyError
from orch_assets.study import check_study_key
from orch_assets_tests.scenarios.ways_to_fail.ways import way

# --- where an exception keeps what it says ---


@way("ValueError (at ")
def message(text):
    raise ValueError(f"subject {text} is unknown")


@way("RuntimeError (at ")
def arguments(text):
    raise RuntimeError("unknown", text, {"subject": text})


@way("ValueError (at ")
def bytes_of_it(text):
    raise ValueError(text.encode())


@way("RuntimeError (at ")
def cause(text):
    raise RuntimeError from ValueError(text)


@way("RuntimeError (at ")
def context(text):
    try:
        raise ValueError(text)
    except ValueError:
        raise RuntimeError  # noqa: B904


@way("RuntimeError (at ")
def suppressed_context(text):
    try:
        raise ValueError(text)
    except ValueError:
        raise RuntimeError(text) from None


@way("ValueError (at ")
def cause_of_itself(text):
    error = ValueError(text)
    raise error from error


@way("ValueError (at ")
def note(text):
    error = ValueError()
    error.add_note(text)
    raise error


@way("ValueError (at ")
def note_that_is_no_text(text):
    error = ValueError()
    error.__notes__ = {text: text}
    raise error


@way("ExceptionGroup (at ")
def group(text):
    raise ExceptionGroup(text, [ValueError(text), KeyError(text)])


@way("ExceptionGroup (at ")
def group_in_a_group(text):
    inner = ExceptionGroup("inner", [ValueError(text)])
    raise ExceptionGroup("outer", [inner, TypeError()]) from ExceptionGroup(text, [inner])


@way("BaseExceptionGroup (at ")
def group_of_any(text):
    raise BaseExceptionGroup("any", [SystemExit(text), KeyboardInterrupt(text)])


@way("Said (at ")
def own_str(text):
    class Said(Exception):
        def __str__(self):
            return text

    raise Said


@way("Shown (at ", reported=False)
def own_repr(text):
    class Shown(Exception):
        def __repr__(self):
            return text

    raise Shown


@way("Mute (at ", reported=False)
def str_that_raises(text):
    class Mute(Exception):
        def __str__(self):
            raise ValueError(text)

        __repr__ = __str__

    raise Mute(text)


@way("Odd (at ", reported=False)
def str_that_is_none(text):
    class Odd(Exception):
        def __str__(self):
            return text.encode()

    raise Odd


@way("Closed", reported=False)
def no_attribute_can_be_read(text):
    class Closed(Exception):
        def __getattribute__(self, name):
            raise SystemExit(text)

    raise Closed


@way("ValueError (at ", reported=False)
def attribute(text):
    error = ValueError()
    error.subject = text
    raise error


@way("Unknown (at ")
def dataclass_of_it(text):
    @dataclass
    class Unknown(Exception):
        subject: str

        def __str__(self):
            return repr(self)

    raise Unknown(text)


@way("Liar (at ")
def class_that_lies(text):
    class Liar(Exception):
        __class__ = ImednetError

    raise Liar(text)


@way("ValueError (at ")
def huge(text):
    raise ValueError(f"{text} " * 50_000)


@way("ValueError (at ")
def no_unicode(text):
    raise ValueError(f"{text} \ud800 \x00 \x1b[31m \r\n {text}")


# --- types ---


@way("AssertionError (at ")
def assertion(text):
    assert not text, f"{text} is there"


@way("Stop (at ")
def base_exception(text):
    class Stop(BaseException):
        pass

    raise Stop(text)


@way("SystemExit (at ")
def system_exit(text):
    raise SystemExit(text)


@way("KeyboardInterrupt (at ")
def keyboard_interrupt(text):
    raise KeyboardInterrupt(text)


@way("GeneratorExit (at ")
def generator_exit(text):
    raise GeneratorExit(text)


@way("StopIteration (at ")
def stop_iteration(text):
    def numbers():
        yield 1
        return text

    iterator = numbers()
    next(iterator)
    next(iterator)


@way("RuntimeError (at ")
def stop_iteration_in_a_generator(text):
    def numbers():
        yield 1
        raise StopIteration(text)

    list(numbers())


@way("CancelledError (at ")
def cancelled(text):
    raise asyncio.CancelledError(text)


@way("TimeoutError (at ")
def timeout(text):
    raise TimeoutError(text)


@way("RecursionError (at ", reported=False)
def recursion(text):
    return recursion(text + "!")


@way("Failure (at ")
def dagster_failure(text):
    raise dg.Failure(text, metadata={text: text})


@way("RetryRequested (at ", reported=False)
def dagster_retry(text):
    raise dg.RetryRequested(max_retries=1) from None


@way("", reported=True)
def name_of_a_type(text):
    raise type(text, (Exception,), {})(text)


# --- errors of this package ---


@way("ImednetError (at ")
def our_error(text):
    raise ImednetError(text)


@way("RegistryDataError (at ")
def our_error_with_facts(text):
    raise RegistryDataError(text, endpoint=text, study_key=text)


@way("OwnError (at ")
def child_of_our_error(text):
    class OwnError(StoreError):
        pass

    raise OwnError(text, artifact=text)


@way("StudyKeyError")
def our_error_with_other_arguments(text):
    try:
        check_study_key("a/b")
    except StudyKeyError as error:
        error.args = (text,)
        raise


# --- warnings ---


@way("UserWarning (at ")
def warning_as_an_error(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.warn(text, stacklevel=1)
