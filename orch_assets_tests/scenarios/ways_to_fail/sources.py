"""Names that are looked for in vain, and code that is made of the text."""

import importlib
import linecache

from orch_assets_tests.scenarios.ways_to_fail.ways import way

# --- names that are looked for in vain ---


@way("KeyError (at ")
def key(text):
    return {"site": 1}[text]


@way("KeyError (at ")
def key_of_several(text):
    return {"site": 1}[text, 1]


@way("AttributeError (at ")
def missing_attribute(text):
    return getattr(object(), text)


@way("NameError (at ")
def name(text):
    return eval(text)


@way("ModuleNotFoundError (at ")
def module(text):
    return importlib.import_module(text)


@way("TypeError (at ")
def keyword(text):
    return dict(**{text: 1}, **{text: 2})


@way("TypeError (at ")
def keyword_of_a_function(text):
    return key(text="", **{text: 2})


@way("IndexError (at ")
def index(text):
    raise IndexError(text)


# --- code that is made of it ---


@way("SyntaxError (at ")
def syntax(text):
    compile(f"{text} = = 1", "made up", "exec")


@way("SyntaxError (at ")
def syntax_in_a_file_of_that_name(text):
    compile("a = = 1", text, "exec")


@way("ValueError (at ")
def source_line(text):
    line = f"raise ValueError  # {text}\n"
    linecache.cache["made_up_source.py"] = (len(line), None, [line], "made_up_source.py")
    exec(compile(line, "made_up_source.py", "exec"))


@way("ValueError (at ")
def file_of_that_name(text):
    exec(compile("raise ValueError", f"/{text}.py", "exec"))


@way("ValueError (at ")
def function_of_that_name(text):
    made = {}
    exec(f"def {text}():\n    raise ValueError\n", made)
    made[text]()
