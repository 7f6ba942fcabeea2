"""The file with settings for single studies (``ORCH_STUDIES_FILE``)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from orch_assets.errors import SettingError

VARIABLE: Final = "ORCH_STUDIES_FILE"
_YAML: Final = "tag:yaml.org,2002:"
# YAML 1.1 reads 010 as 8 and 1:30 as 90, which nobody means.
_NUMBERS: Final = {f"{_YAML}int", f"{_YAML}float"}
_DECIMAL: Final = re.compile(r"[-+]?(0|[1-9]\d*)?(\.\d*)?([eE][-+]?\d+)?|[-+]?\.\w+")
UNCLEAR: Final = object()


@dataclass(frozen=True)
class Placed:
    """A value with its place.

    Attributes:
        value: The value; in a section, a mapping from names to placed values. ``UNCLEAR``, which
            no setting accepts, for a number that isn't decimal.
        place: Where it is, for messages.
    """

    value: Any
    place: str


def read_studies_file(file: Path) -> dict[str, Placed]:
    """Return the sections of a file by study key: pipelines, and their settings.

    Keys are read as text, so a study's key ``301`` needs no quotes. The file is only parsed:
    the names and values are checked where they are used.

    Raises:
        SettingError: The file can't be read, isn't YAML, or names something twice.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(file.name, f"can't be read ({type(error).__name__})") from None
    try:
        section = _parsed(text, file.name)
    except SettingError:
        raise
    except yaml.MarkedYAMLError as error:  # its text quotes the file
        mark = error.problem_mark or error.context_mark
        place = file.name if mark is None else f"{file.name}, line {mark.line + 1}"
        raise _wrong(place, f"isn't valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:  # such as a character that YAML excludes
        raise _wrong(file.name, f"isn't valid YAML ({type(error).__name__})") from None
    if not isinstance(section.value, Mapping):
        raise _wrong(section.place, "must have study keys with a section each")
    return dict(section.value)


def _parsed(text: str, file: str) -> Placed:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        return Placed({}, file) if node is None else _section(loader, node, file, 3)
    finally:
        loader.dispose()


def _section(loader: Any, node: yaml.Node, file: str, depth: int) -> Placed:
    """Return a node: a mapping with its parts, down to a depth, otherwise a plain value."""
    place = f"{file}, line {node.start_mark.line + 1}"
    if depth == 0 or not isinstance(node, yaml.MappingNode) or node.tag != f"{_YAML}map":
        return Placed(_value(loader, node, place), place)
    names: set[str] = set()
    for key, _ in _pairs(node, file):
        if key.value in names:
            raise _wrong(f"{file}, line {key.start_mark.line + 1}", f"names {key.value} twice")
        names.add(key.value)
    loader.flatten_mapping(node)  # what "<<" merges comes first
    return Placed(
        {key.value: _section(loader, value, file, depth - 1) for key, value in _pairs(node, file)},
        place,
    )


def _value(loader: Any, node: yaml.Node, place: str) -> Any:
    if node.tag in _NUMBERS and not _DECIMAL.fullmatch(node.value):
        return UNCLEAR
    try:
        return loader.construct_object(node, deep=True)
    except ValueError:
        raise _wrong(place, "has a date that doesn't exist") from None


def _pairs(node: yaml.MappingNode, file: str) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _wrong(f"{file}, line {key.start_mark.line + 1}", "has a name that isn't text")
        if key.tag != f"{_YAML}merge":
            yield key, value


def _wrong(place: str, problem: str) -> SettingError:
    return SettingError(VARIABLE, f"names the file {place}, which {problem}.")
