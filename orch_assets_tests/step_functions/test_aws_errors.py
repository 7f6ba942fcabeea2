"""What AWS says becomes one error of ours: its place, what to do, and none of AWS's own words."""

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError

from orch_assets.step_functions import AwsUnavailableError, StateMachineNotFoundError
from orch_assets.step_functions.aws_errors import reporting


@pytest.mark.parametrize(
    ("code", "kind", "what_to_do"),
    [
        ("AccessDeniedException", AwsUnavailableError, r"caller_policy\(\)"),
        ("StateMachineDeleting", AwsUnavailableError, "Wait until it is gone"),
        ("ExpiredTokenException", AwsUnavailableError, "credentials are missing, or AWS refuses"),
        ("UnrecognizedClientException", AwsUnavailableError, "credentials are missing, or AWS"),
        ("ThrottlingException", AwsUnavailableError, "Try again later"),
        ("SomethingNewException", AwsUnavailableError, r"refuses it \(SomethingNewException\)"),
        ("StateMachineDoesNotExist", StateMachineNotFoundError, "Deploy it"),
        pytest.param(
            "ResourceNotFound",
            StateMachineNotFoundError,
            "its version or its alias doesn't exist",
            id="ResourceNotFound-StateMachineNotFoundError-its version or its alias isn't there",
        ),
        ("ExecutionDoesNotExist", StateMachineNotFoundError, "it was deleted"),
    ],
)
def test_an_answer_of_aws(code, kind, what_to_do):
    answer = {"Error": {"Code": code, "Message": "planted: subject 001"}}
    with pytest.raises(kind, match=rf"^arn:x: .*{what_to_do}") as caught, reporting("arn:x"):
        raise ClientError(answer, "StartExecution")
    assert (caught.value.place, caught.value.code) == ("arn:x", code)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "what_to_do"),
    [
        (NoRegionError(), "Give `region`"),
        (NoCredentialsError(), "Give a profile"),
        (ConnectionResetError(), "Check the region, the network"),
    ],
)
def test_no_answer_of_aws(error, what_to_do):
    with pytest.raises(AwsUnavailableError, match=what_to_do), reporting("arn:x"):
        raise error


def test_errors_of_other_kinds_pass():
    with pytest.raises(KeyError), reporting("arn:x"):
        raise KeyError("ours")
