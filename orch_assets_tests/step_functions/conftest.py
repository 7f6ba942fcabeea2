import io
import json
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from orch_assets.step_functions import StepFunctionsPipeline
from orch_assets_tests.step_functions.jsonata_engine import NODE
from orch_assets_tests.step_functions.servers import Server, step_functions_server

ROLE = "arn:aws:iam::123456789012:role/StepFunctionsRole"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with step_functions_server() as running:
        yield running


@pytest.fixture
def client(server: Server) -> Any:
    return server.client("stepfunctions")


@pytest.fixture
def make_pipeline(server: Server, client: Any) -> Callable[..., StepFunctionsPipeline]:
    sts = server.client("sts")

    def make(name: str, **settings: Any) -> StepFunctionsPipeline:
        return StepFunctionsPipeline(name, ROLE, client=client, sts=sts, **settings)

    return make


@pytest.fixture(scope="session")
def echo(server: Server) -> str:
    """A Lambda function that puts out what it takes in; its ARN."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as file:
        file.writestr("lambda_function.py", "def handler(event, context):\n    return event\n")
    policy = {"Version": "2012-10-17", "Statement": []}
    role = server.client("iam").create_role(
        RoleName="lambda", AssumeRolePolicyDocument=json.dumps(policy)
    )["Role"]["Arn"]
    created = server.client("lambda").create_function(
        FunctionName="echo",
        Runtime="python3.12",
        Role=role,
        Handler="lambda_function.handler",
        Code={"ZipFile": code.getvalue()},
    )
    arn: str = created["FunctionArn"]
    return arn


@pytest.fixture(scope="session")
def validate() -> Iterator[Callable[[Mapping[str, Any]], list[str]]]:
    """An independent validator: the errors that it finds in a definition."""
    if not (NODE / "node_modules" / "asl-validator").exists():
        pytest.skip(f"npm ci in {NODE.name}/ installs the validator")
    process = subprocess.Popen(
        ["node", "validate.js"],
        cwd=NODE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def errors(definition: Mapping[str, Any]) -> list[str]:
        process.stdin.write(json.dumps(definition) + "\n")
        process.stdin.flush()
        found: list[str] = json.loads(process.stdout.readline())
        return found

    yield errors
    process.stdin.close()
    process.stdout.close()
    process.wait()
