"""URLs of the AWS console."""

from typing import Final

_HOSTS: Final = {
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


def execution_url(arn: str) -> str:
    """Return the URL of an execution in the AWS console."""
    return f"{_home(arn)}#/v2/executions/details/{arn}"


def machine_url(arn: str) -> str:
    """Return the URL of a state machine in the AWS console."""
    return f"{_home(arn)}#/statemachines/view/{arn}"


def _home(arn: str) -> str:
    _, partition, _, region, _ = arn.split(":", 4)
    host = _HOSTS.get(partition, "console.aws.amazon.com")
    return f"https://{region}.{host}/states/home?region={region}"
