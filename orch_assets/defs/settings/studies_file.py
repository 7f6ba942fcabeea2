"""The file with settings for single studies (``ORCH_STUDIES_FILE``)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from orch_assets.errors import SettingError

VARIABLE: Final = "ORCH_STUDIES_FILE"
_YAML: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Placed:
    """A value with its place.

    Attributes:
        value: The value; in a section, a mapping from names to placed values.
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
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        section = Placed({}, file.name) if node is None else _section(loader, node, file.name, 3)
    except SettingError:
        raise
    except yaml.MarkedYAMLError as error:  # its text quotes the file
        mark = error.problem_mark or error.context_mark
        place = file.name if mark is None else f"{file.name}, line {mark.line + 1}"
        raise _wrong(place, f"isn't valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date such as 2026-02-30
        raise _wrong(file.name, f"isn't valid YAML ({type(error).__name__})") from None
    finally:
        loader.dispose()
    if not isinstance(section.value, Mapping):
        raise _wrong(section.place, "must have study keys with a section each")
    return dict(section.value)


def _section(loader: Any, node: yaml.Node, file: str, depth: int) -> Placed:
    """Return a node: a mapping with its parts, down to a depth, otherwise a plain value."""
    place = f"{file}, line {node.start_mark.line + 1}"
    if depth == 0 or not isinstance(node, yaml.MappingNode) or node.tag != f"{_YAML}map":
        return Placed(loader.construct_object(node, deep=True), place)
    names: set[str] = set()
    for name, _ in _pairs(node, file):
        if name in names:
            raise _wrong(place, f"names {name} twice")
        names.add(name)
    loader.flatten_mapping(node)  # what "<<" merges comes first
    return Placed(
        {name: _section(loader, value, file, depth - 1) for name, value in _pairs(node, file)},
        place,
    )


def _pairs(node: yaml.MappingNode, file: str) -> Iterator[tuple[str, yaml.Node]]:
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _wrong(f"{file}, line {key.start_mark.line + 1}", "has a name that isn't text")
        if key.tag != f"{_YAML}merge":
            yield key.value, value


def _wrong(place: str, problem: str) -> SettingError:
    return SettingError(VARIABLE, f"names the file {place}, which {problem}.")
