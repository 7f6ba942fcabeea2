"""Names of executions: readable, and either reproducible or unique."""

import hashlib
import re
import uuid
from datetime import UTC, datetime

from orch_assets.step_functions.execution_errors import ExecutionInputError

MAX_LENGTH = 80

# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
_FORBIDDEN = re.compile(r"""[\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ud800-\udfff]""")
_UNTRACEABLE = re.compile(r"[^A-Za-z0-9_-]+")
_HASH = 12


def check_execution_name(name: str) -> str:
    """Return a name unchanged if Step Functions accepts it.

    Raises:
        ExecutionInputError: it doesn't.
    """
    if not isinstance(name, str) or not name:
        raise ExecutionInputError(
            "execution_name", "must be non-empty text. Give a name, or leave it out."
        )
    if len(name) > MAX_LENGTH:
        raise ExecutionInputError("execution_name", f"is over {MAX_LENGTH} characters. Shorten it.")
    if _FORBIDDEN.search(name):
        raise ExecutionInputError(
            "execution_name",
            "holds characters that Step Functions forbids. Use letters, digits, - and _.",
        )
    return name


def execution_name(study_key: str, run_id: str, attempt: int = 0) -> str:
    """Return the name of one attempt at one study in one run.

    The same arguments give the same name, so starting it again starts no second execution. Other
    arguments give another name, even if their readable parts are equal after shortening.

    Example:
        >>> execution_name("ONC-301", "5e0bd2b7", 1)
        'ONC-301-5e0bd2b7-1-2189dbe0b90e'
    """
    identity = "\0".join((study_key, run_id, str(attempt)))
    digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    parts = (_readable(study_key, 30), _readable(run_id, 20), str(attempt)[:10])
    return "-".join([*(part for part in parts if part), digest])


def fresh_name(origin: str) -> str:
    """Return a name that no other execution has.

    Args:
        origin: name of the machine, or of the execution that the new one replaces. The result
            begins with it, followed by the time.
    """
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    return f"{_readable(origin, 50)}-{now}-{uuid.uuid4().hex[:_HASH]}"


def _readable(text: str, length: int) -> str:
    return _UNTRACEABLE.sub("-", text).strip("-")[:length]
