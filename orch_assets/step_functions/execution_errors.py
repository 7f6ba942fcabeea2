"""The errors of state machines.

::

    StateMachineError
    ├── DefinitionError (ValueError)       a definition that AWS would refuse or that would fail
    ├── ExecutionInputError (ValueError)   an input or a name that can't start an execution
    ├── AwsError                           a call to AWS failed
    │   ├── ForeignStateMachineError       a machine of that name belongs to somebody else
    │   ├── StateMachineNotFoundError (LookupError)   the machine, version, alias or execution
    │   │                                  doesn't exist
    │   └── AwsUnavailableError            AWS refuses the call or doesn't answer
    ├── ExecutionFailed             an execution ended without success
    └── ExecutionStillRunningError  an execution didn't end before the timeout
"""

import builtins

from orch_assets.errors import StateMachineError
from orch_assets.marked_names import in_full, named
from orch_assets.step_functions.checks.state_fields import RESERVED_ERRORS


class DefinitionError(StateMachineError, ValueError):
    """A definition is invalid; the message says where, and what would be valid.

    Attributes:
        step: name of the step (state); None if the error is about the whole machine.
        field: the invalid field.
        words: AWS's message if AWS refused the definition, otherwise None. It may quote the
            definition.
    """

    def __init__(
        self, step: str | None, field: str, problem: str, *, words: str | None = None
    ) -> None:
        self.step = step
        self.field = field
        self.words = words
        where = "State machine" if step is None else f"Step {step!r}"
        super().__init__(f"{where}, {field}: {problem}")


class ExecutionInputError(StateMachineError, ValueError):
    """An execution can't start with this input or name; nothing was started.

    Attributes:
        field: the invalid part of the input (``input_data.dates[0]``), or ``execution_name``.
    """

    def __init__(self, field: str, problem: str) -> None:
        self.field = in_full(field)
        super().__init__(f"Execution, {field}: {problem}")


class AwsError(StateMachineError):
    """A call to AWS about something with an ARN or a name failed; base class.

    Attributes:
        place: the ARN or name.
        code: AWS's error code, or the type of the connection's error; None if there is neither.
    """

    def __init__(self, problem: str, *, place: str, code: str | None = None) -> None:
        self.place = place
        self.code = code
        super().__init__(f"{place}: {problem}")


class ForeignStateMachineError(AwsError):
    """A machine of this name exists without our ownership tag; it wasn't changed."""


class StateMachineNotFoundError(AwsError, LookupError):
    """The machine, version, alias or execution doesn't exist, or no longer."""


class AwsUnavailableError(AwsError):
    """AWS refuses or doesn't answer: credentials, permissions, region or network."""


class ExecutionFailed(StateMachineError):  # noqa: N818 - AWS's name of the status
    """An execution ended without success.

    Attributes:
        execution_arn: the execution.
        status: ``FAILED``, ``TIMED_OUT`` or ``ABORTED``.
        state: the state in which it ended; None if the history doesn't show it.
        error: name of the error; None if the state gave none.
        cause: the state's description of the error; None if it gave none. It may hold data of the
            study, so it belongs in no log, and the message doesn't contain it.
    """

    def __init__(
        self,
        execution_arn: str,
        status: str,
        *,
        state: str | None = None,
        error: str | None = None,
        cause: str | None = None,
    ) -> None:
        self.execution_arn = execution_arn
        self.status = status
        self.state = state
        self.error = error
        self.cause = cause
        where = f" in state {state!r}" if state else ""
        what = f" with {_named_error(error)}" if error and is_a_name(error) else ""
        source = (
            "this error's attribute `cause`" if ":express:" in execution_arn else "the AWS console"
        )
        super().__init__(
            f"Execution {execution_arn} ended {status}{where}{what}. "
            f"Its cause isn't shown here, as it may hold data: see {source}."
        )


class ExecutionStillRunningError(StateMachineError):
    """An execution didn't end before the timeout; it continues.

    Attributes:
        execution_arn: the execution.
    """

    def __init__(self, execution_arn: str, timeout: float) -> None:
        self.execution_arn = execution_arn
        super().__init__(
            f"Execution {execution_arn} is still running after {timeout:g} s. It continues: wait "
            "for it again, or stop it."
        )


def is_a_name(error: str) -> bool:
    """Return whether an error's name is a name, not a sentence that may hold data."""
    return len(error) <= 100 and error.replace(".", "").replace("_", "").isalnum()  # noqa: PLR2004 - longer is prose


def _named_error(error: str) -> str:
    """Return an error's name, marked unless it is one of AWS's or Python's, which hold no data."""
    is_public = error in RESERVED_ERRORS or isinstance(getattr(builtins, error, None), type)
    return error if is_public else named(error, "an error of its own", shown=error)
