"""Validation of a definition by Step Functions itself, where the server offers it."""

import logging
from typing import Any

from orch_assets.step_functions.aws_errors import reporting
from orch_assets.step_functions.execution_errors import AwsError, DefinitionError

logger = logging.getLogger("orch_assets.step_functions")


def validate_by_service(client: Any, arn: str, definition: str, machine_type: str) -> None:
    """Ask Step Functions whether it accepts a definition.

    If the call isn't offered or isn't allowed, this does nothing: creating or updating the machine
    then fails for an invalid definition, with a less specific error.

    Args:
        client: boto3 client of Step Functions that doesn't retry.
        arn: of the machine.
        definition: JSON text.
        machine_type: ``STANDARD`` or ``EXPRESS``.

    Raises:
        DefinitionError: names the first state and field that AWS refuses.
    """
    try:
        with reporting(arn):
            answer = client.validate_state_machine_definition(
                definition=definition, type=machine_type, severity="ERROR"
            )
    except AwsError as error:
        logger.debug("AWS didn't validate the definition of %s (%s)", arn, error.code)
        return
    if answer["result"] != "OK":
        raise _refused(next(iter(answer["diagnostics"]), {}))


def _refused(diagnostic: dict[str, str]) -> DefinitionError:
    step, field = _place(diagnostic.get("location", ""))
    return DefinitionError(
        step,
        field,
        f"AWS refuses it ({diagnostic.get('code', 'no code')}). The attribute `words` of this "
        "error holds AWS's message.",
        words=diagnostic.get("message"),
    )


def _place(location: str) -> tuple[str | None, str]:
    """Return state and field: ``B`` and ``Next`` of ``/States/A/ItemProcessor/States/B/Next``."""
    parts = [part for part in location.split("/") if part]
    step = None
    while "States" in parts[:-1]:
        at = parts.index("States")
        step, parts = parts[at + 1], parts[at + 2 :]
    return step, ".".join(parts) or "definition"
