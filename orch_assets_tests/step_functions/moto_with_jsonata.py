"""moto's server with what it lacks: JSONata, Lambda functions that run, and one creation at a time.

``python -m … PORT``.
"""

import importlib.util
import signal
import sys
import threading
from typing import Any

from moto.awslambda.exceptions import UnknownFunctionException
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.server import main
from moto.stepfunctions.models import StepFunctionBackend
from moto.stepfunctions.parser.asl.jsonata import jsonata

from orch_assets_tests.step_functions.jsonata_engine import NODE, Engine
from orch_assets_tests.step_functions.lambda_functions import LambdaFunctions
from orch_assets_tests.support.moto_server import make_quick


def _evaluate(engine: Engine, expression: str) -> Any:
    try:
        return engine(expression)
    except ValueError as error:
        raise jsonata.JSONataException("UNKNOWN", str(error)) from error


def _with_lambda(functions: LambdaFunctions) -> None:
    """Run Lambda functions. For one that doesn't exist, moto returns the input as the output."""
    simple = LambdaSimpleBackend.invoke

    def invoke(
        backend: LambdaSimpleBackend,
        function_name: str,
        qualifier: str | None,
        body: Any,
        headers: Any,
        response_headers: dict[str, Any],
    ) -> Any:
        try:
            function = backend.get_function(function_name, qualifier)
        except UnknownFunctionException:
            return simple(backend, function_name, qualifier, body, headers, response_headers)
        event = body.encode() if isinstance(body, str) else body
        answer, failed = functions.invoke(function, event or b"{}")
        if failed:
            response_headers["x-amz-function-error"] = "Unhandled"
        return answer

    LambdaSimpleBackend.invoke = invoke


def _create_one_at_a_time() -> None:
    """Create state machines one at a time, as AWS does.

    In moto, two requests can both find that the name is free, and create two machines.
    """
    create, lock = StepFunctionBackend.create_state_machine, threading.Lock()

    def create_alone(*arguments: Any, **options: Any) -> Any:
        with lock:
            return create(*arguments, **options)

    StepFunctionBackend.create_state_machine = create_alone


if __name__ == "__main__":
    make_quick()
    _create_one_at_a_time()
    if (NODE / "node_modules" / "jsonata").exists():
        engine = Engine()
        jsonata._eval_jsonata = lambda expression: _evaluate(engine, expression)
    functions = LambdaFunctions()
    if importlib.util.find_spec("awslambdaric"):
        _with_lambda(functions)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        main(["-H", "127.0.0.1", "-p", sys.argv[1]])
    finally:
        functions.close()
