"""moto's server with what it lacks: a JSONata engine, and Lambda functions that run.

``python -m … PORT``.
"""

import importlib.util
import signal
import sys
from typing import Any

from moto.awslambda.exceptions import UnknownFunctionException
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.server import main
from moto.stepfunctions.parser.asl.jsonata import jsonata

from orch_assets_tests.step_functions.jsonata_engine import NODE, Engine
from orch_assets_tests.step_functions.lambda_functions import LambdaFunctions
from orch_assets_tests.support.quick_moto import make_quick


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


if __name__ == "__main__":
    make_quick()
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
