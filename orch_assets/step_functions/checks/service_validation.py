"""Asking Step Functions itself about a definition, where it offers that."""

import logging
from typing import Any

from orch_assets.step_functions.aws_errors import reporting
from orch_assets.step_functions.execution_errors import AwsError, DefinitionError

logger = logging.getLogger("orch_assets.step_functions")


def ask_service(client: Any, arn: str, definition: str, machine_type: str) -> None:
    """Ask Step Functions whether it would take a definition.

    A service that offers no such call, or doesn't allow it, is passed over: what it doesn't take
    it refuses at the next call, only with less to say.

    Args:
        client: of Step Functions, which doesn't repeat calls.
        arn: the machine's.
        definition: as JSON.
        machine_type: ``STANDARD`` or ``EXPRESS``.

    Raises:
        DefinitionError: names the first state and field that it refuses.
    """
    try:
        with reporting(arn):
            answer = client.validate_state_machine_definition(
                definition=definition, type=machine_type, severity="ERROR"
            )
    except AwsError as error:
        logger.debug("The definition of %s wasn't validated (%s)", arn, error.code)
        return
    if answer["result"] != "OK":
        raise _refused(next(iter(answer["diagnostics"]), {}))


def _refused(diagnostic: dict[str, str]) -> DefinitionError:
    step, field = _place(diagnostic.get("location", ""))
    return DefinitionError(
        step,
        field,
        f"AWS refuses it ({diagnostic.get('code', 'no code')}). Its words are in this error's "
        "attribute `words`.",
        words=diagnostic.get("message"),
    )


def _place(location: str) -> tuple[str | None, str]:
    """Return the innermost state and its field: of ``/States/A/ItemProcessor/States/B/Next``."""
    parts = [part for part in location.split("/") if part]
    step = None
    while "States" in parts[:-1]:
        at = parts.index("States")
        step, parts = parts[at + 1], parts[at + 2 :]
    return step, ".".join(parts) or "definition"
