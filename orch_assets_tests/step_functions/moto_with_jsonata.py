"""moto's server with a JSONata engine, which moto lacks: ``python -m … PORT``."""

import sys
from typing import Any

from moto.server import main
from moto.stepfunctions.parser.asl.jsonata import jsonata

from orch_assets_tests.step_functions.jsonata_engine import NODE, Engine


def _evaluate(engine: Engine, expression: str) -> Any:
    try:
        return engine(expression)
    except ValueError as error:
        raise jsonata.JSONataException("UNKNOWN", str(error)) from error


if __name__ == "__main__":
    if (NODE / "node_modules" / "jsonata").exists():
        engine = Engine()
        jsonata._eval_jsonata = lambda expression: _evaluate(engine, expression)
    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
