import io
import json
import subprocess
import threading
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from orch_assets.step_functions import Step, StepFunctionsPipeline
from orch_assets_tests.step_functions.answers import AnsweringServer, answering_server
from orch_assets_tests.step_functions.jsonata_engine import NO_NPM, NODE
from orch_assets_tests.support.state_machine_servers import Server, step_functions_server

ROLE = "arn:aws:iam::123456789012:role/StepFunctionsRole"
HAS_VALIDATOR = (NODE / "node_modules" / "asl-validator").exists()
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


@pytest.fixture
def aws(server: Server) -> Iterator[AnsweringServer]:
    """A server in front of moto's, with answers to the calls that moto lacks."""
    with answering_server(server) as running:
        yield running


@pytest.fixture
def make_at_aws(aws: AnsweringServer) -> Callable[..., StepFunctionsPipeline]:
    """Make pipelines whose calls go to ``aws``."""
    client, sts = aws.client("stepfunctions"), aws.moto.client("sts")

    def make(name: str, *steps: Step, **settings: Any) -> StepFunctionsPipeline:
        made = StepFunctionsPipeline(name, ROLE, client=client, sts=sts, **settings)
        for step in steps:
            made.add_step(step)
        return made

    return make


@pytest.fixture
def name() -> str:
    """A name that no other machine has."""
    return f"machine-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def make_function(server: Server) -> Callable[..., str]:
    """Make Lambda functions from source text with a function ``handler``; return the ARN."""
    role = server.client("iam").create_role(
        RoleName="lambda",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}),
    )["Role"]["Arn"]

    def make(name: str, source: str, timeout: int = 30) -> str:
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as file:
            file.writestr("lambda_function.py", source)
        created = server.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role=role,
            Handler="lambda_function.handler",
            Code={"ZipFile": code.getvalue()},
            Timeout=timeout,
        )
        arn: str = created["FunctionArn"]
        return arn

    return make


@pytest.fixture(scope="session")
def echo(make_function: Callable[..., str]) -> str:
    """ARN of a Lambda function that returns its input."""
    return make_function("echo", "def handler(event, context):\n    return event\n")


@pytest.fixture(scope="session")
def validate() -> Iterator[Callable[[Mapping[str, Any]], list[str]]]:
    """Return the errors that an independent validator finds in a definition."""
    if not HAS_VALIDATOR:
        pytest.skip(NO_NPM)
    process = subprocess.Popen(
        ["node", "validate.js"],
        cwd=NODE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    alone = threading.Lock()

    def errors(definition: Mapping[str, Any]) -> list[str]:
        with alone:
            process.stdin.write(json.dumps(definition) + "\n")
            process.stdin.flush()
            found: list[str] = json.loads(process.stdout.readline())
        return found

    yield errors
    process.stdin.close()
    process.stdout.close()
    process.wait()


@pytest.fixture(scope="session", autouse=True)
def _every_definition_is_valid(request: pytest.FixtureRequest) -> Iterator[None]:
    """Validate each definition that a test builds or deploys with the independent validator."""
    if not HAS_VALIDATOR:
        yield
        return
    errors = request.getfixturevalue("validate")
    build, make_client = StepFunctionsPipeline.definition, Server.client

    def definition(pipeline: StepFunctionsPipeline) -> dict[str, Any]:
        built = build(pipeline)
        assert errors(built) == []
        return built

    def client(server: Server, service: str) -> Any:
        made = make_client(server, service)
        for call in ("CreateStateMachine", "UpdateStateMachine"):
            made.meta.events.register(f"provide-client-params.stepfunctions.{call}", deployed)
        return made

    def deployed(params: Mapping[str, Any], **_: Any) -> None:
        assert errors(json.loads(params["definition"])) == []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StepFunctionsPipeline, "definition", definition)
        patch.setattr(Server, "client", client)
        yield
