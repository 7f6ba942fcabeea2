"""A pipeline's code that looks something up by a data value."""

import ast
import enum
import importlib

import pandas as pd

FRAME = pd.DataFrame({"site": [1]})
LOOKUPS = {
    "attribute": lambda value: getattr(FRAME, value + "?"),
    "literal": lambda value: ast.literal_eval(f"?{value}"),
    "key": lambda value: {"site": 1}[value],
    "column": lambda value: FRAME[value],
    "module": lambda value: importlib.import_module(f"no_{value}"),
    "member": lambda value: enum.Enum("Sites", {"SITE": 1})[value],
    "evaluated": lambda value: eval(f"?{value}"),
}
