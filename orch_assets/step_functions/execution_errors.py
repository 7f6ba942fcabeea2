"""The errors of state machines.

::

    StateMachineError
    ├── DefinitionError (ValueError)       a definition that AWS would refuse or regret
    ├── ExecutionInputError (ValueError)   an input or a name that no execution can start with
    ├── AwsError                           what AWS says of something
    │   ├── ForeignStateMachineError       a machine of that name is somebody else's
    │   ├── StateMachineNotFoundError (LookupError)   the machine, its version or alias, or the
    │   │                                  execution isn't there
    │   └── AwsUnavailableError            AWS refuses, or doesn't answer
    ├── ExecutionFailed             an execution ended without success
    └── ExecutionStillRunningError  an execution didn't end within the time to wait
"""

import builtins

from orch_assets.errors import StateMachineError
from orch_assets.marked_names import in_full, named
from orch_assets.step_functions.checks.state_fields import RESERVED_ERRORS


class DefinitionError(StateMachineError, ValueError):
    """A definition that may not leave; says where it is wrong and what would be right.

    Attributes:
        step: the step's (state's) name; None where the whole machine is meant.
        field: the field that is wrong.
        words: AWS's own, where it was AWS that refused it. They may quote the definition.
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
    """An input, or a name, that no execution can start with; nothing was started.

    Attributes:
        field: where in the input it is wrong (``input_data.dates[0]``), or ``execution_name``.
    """

    def __init__(self, field: str, problem: str) -> None:
        self.field = in_full(field)
        super().__init__(f"Execution, {field}: {problem}")


class AwsError(StateMachineError):
    """Base of what AWS says about something that has an ARN or a name.

    Attributes:
        place: the ARN or name that was asked for.
        code: AWS's own code, or the type of the error on the way to it.
    """

    def __init__(self, problem: str, *, place: str, code: str | None = None) -> None:
        self.place = place
        self.code = code
        super().__init__(f"{place}: {problem}")


class ForeignStateMachineError(AwsError):
    """A machine of that name exists without our ownership tag; it was left as it is."""


class StateMachineNotFoundError(AwsError, LookupError):
    """The machine, its version or alias, or the execution isn't there (any more)."""


class AwsUnavailableError(AwsError):
    """AWS refuses, or doesn't answer: credentials, permissions, region, network."""


class ExecutionFailed(StateMachineError):  # noqa: N818 - what AWS calls that status
    """An execution ended without success.

    Attributes:
        execution_arn: the execution.
        status: ``FAILED``, ``TIMED_OUT`` or ``ABORTED``.
        state: the state in which it ended; None where the history doesn't say.
        error: the error's name, as the state gave it; None where it gave none.
        cause: the state's own words. They may hold data of the study: for the caller's eyes,
            never for a log. The message doesn't hold them.
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
        told = (
            "this error's attribute `cause` has"
            if ":express:" in execution_arn
            else "the AWS console shows"
        )
        super().__init__(
            f"Execution {execution_arn} ended {status}{where}{what}. "
            f"Its cause may hold data and isn't told here: {told} it."
        )


class ExecutionStillRunningError(StateMachineError):
    """An execution didn't end within the time to wait; it goes on.

    Attributes:
        execution_arn: the execution.
    """

    def __init__(self, execution_arn: str, timeout: float) -> None:
        self.execution_arn = execution_arn
        super().__init__(
            f"Execution {execution_arn} still runs after {timeout:g} s. It goes on: wait for it "
            "again, or stop it."
        )


def is_a_name(error: str) -> bool:
    """Tell whether an error's name is one, and not a sentence that may hold data."""
    return len(error) <= 100 and error.replace(".", "").replace("_", "").isalnum()  # noqa: PLR2004 - longer is prose


def _named_error(error: str) -> str:
    """Return an error's name: AWS's own and Python's are nobody's data."""
    ours = error in RESERVED_ERRORS or isinstance(getattr(builtins, error, None), type)
    return error if ours else named(error, "an error of its own", shown=error)
