"""How large the parts of the package are, and how they hang together: held, so that it stays so."""

import ast
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import orch_assets

PACKAGE = Path(orch_assets.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST_CHAIN = 12
MOST_FILES = 20
LONGEST_FUNCTION = 45
MEDIAN_FUNCTION = 10


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_of(file): ast.parse(file.read_text()) for file in FILES}


def imports_at_load(tree: ast.Module) -> Iterator[str]:
    """Yield the package's modules that a module imports while it is itself imported."""
    todo: list[ast.AST] = [tree]
    while todo:
        for node in ast.iter_child_nodes(todo.pop()):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in MODULES)
            elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    yield whole if whole in MODULES else node.module
            todo.append(node)


IMPORTED = {module: set(imports_at_load(tree)) - {module} for module, tree in MODULES.items()}


def longest_chain() -> list[str]:
    """Return the longest way along imports; fails where the way comes back to itself."""

    @cache
    def from_here(module: str) -> tuple[str, ...]:
        assert module not in on_the_way, f"a circle of imports: {[*on_the_way, module]}"
        on_the_way.append(module)
        longest = max((from_here(each) for each in sorted(IMPORTED[module])), key=len, default=())
        on_the_way.pop()
        return (module, *longest)

    on_the_way: list[str] = []
    return list(max((from_here(module) for module in MODULES), key=len))


def test_no_chain_of_imports_is_long_and_none_is_a_circle():
    found = longest_chain()
    assert len(found) <= LONGEST_CHAIN, found


def test_no_folder_holds_many_files():
    counts = Counter(file.parent for file in FILES)
    assert {str(f): n for f, n in counts.items() if n > MOST_FILES} == {}


def test_no_file_name_occurs_twice():
    """But a package's own files, and pipelines, which bear their asset's name."""
    own = {"__init__.py", "__main__.py"}
    names = Counter(f.name for f in FILES if f.name not in own and f.parent.name != "pipelines")
    assert [name for name, n in names.items() if n > 1] == []


def test_no_public_class_name_occurs_twice():
    places = defaultdict(list)
    for module, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_functions_are_short():
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    lengths = {
        f"{module}:{node.lineno} {node.name}": _lines_of(node)
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, functions)
    }
    assert {name: n for name, n in lengths.items() if n > LONGEST_FUNCTION} == {}
    assert statistics.median(lengths.values()) <= MEDIAN_FUNCTION


def _lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines without its docstring."""
    first, *rest = node.body
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    start = rest[0].lineno if documented and rest else first.lineno
    return (node.end_lineno or 0) - start + 1 + (first.lineno - node.lineno)


def test_there_is_one_argument_parser():
    imported = chain.from_iterable(
        [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
        for tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    )
    assert {"argparse", "click", "typer", "optparse"} & set(imported) == {"click"}
