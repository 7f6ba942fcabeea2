"""The first rows of the tables that describe a study, for people who look at its event.

Only of the shipped tables ``forms``, ``variables`` and ``intervals``: they are the study's design
and hold nothing about a subject. A variable is listed only if it is open on every form.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from orch_assets.defs.io.event_metadata import FIRST_ROWS, value_of
from orch_assets.defs.io.refresh_metadata import refresh_of
from orch_assets.orchestration.pipeline import StudyPipeline
from orch_assets.orchestration.returned_values import SplitTable
from orch_assets.orchestration.steps import StepOutput

if TYPE_CHECKING:
    import pyarrow as pa


_COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "forms": ("form_key", "form_name", "form_type", "revision", "disabled"),
    "intervals": ("interval_sequence", "interval_name", "timeline", "due_date_will_be_in"),
    "variables": ("form_key", "variable_name", "variable_type", "label"),
}
_MOST_ROWS: Final = 10
_LONGEST_TEXT: Final = 40
# Markdown has a meaning for these, and browsers load what an image names.
_PUNCTUATION: Final = re.compile(r"([!-/:-@\[-`{-~])")


def first_rows(pipeline: StudyPipeline, value: Any, output: StepOutput) -> Mapping[str, Any]:
    """Return the first rows of a table that has changed, for its event; empty for any other.

    Args:
        pipeline: The pipeline.
        value: What it returned.
        output: What was stored of it.
    """
    columns = _COLUMNS.get(pipeline.name)
    if columns is None or not pipeline.is_shipped:
        return {}
    refresh = refresh_of(value)
    earlier = refresh.earlier if refresh is not None else None
    version = value_of(output.result.metadata, "sha256")
    handed = output.handover
    table = handed.table if isinstance(handed, SplitTable) else handed
    if (earlier is not None and earlier.version == version) or not _is_arrow(table):
        return {}
    return {FIRST_ROWS: dg.MetadataValue.md("\n".join(_markdown(table, columns)))}


def _is_arrow(table: Any) -> bool:
    import pyarrow as pa

    return isinstance(table, pa.Table)  # not if it is too large to be held


def _markdown(table: "pa.Table", columns: Sequence[str]) -> Iterator[str]:
    listed = _open_variables(table) if "variable_name" in columns else table
    yield "| " + " | ".join(_escaped(name) for name in columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in listed.select(columns).slice(0, _MOST_ROWS).to_pylist():
        yield "| " + " | ".join(_escaped(_text(row[name])) for name in columns) + " |"
    more = listed.num_rows - _MOST_ROWS
    if more > 0:
        yield f"\n{more:,} more rows are in the table."
    if hidden := table.num_rows - listed.num_rows:
        yield f"\n{hidden:,} variables are not listed: they are not open on every form."


def _open_variables(table: "pa.Table") -> "pa.Table":
    """Return the variables whose names may be shown, see ``docs/reference/results.md``."""
    import pyarrow.compute as pc

    withheld = pc.fill_null(table["blinded"], True)
    names = table.filter(withheld)["variable_name"].combine_chunks()
    return table.filter(pc.invert(pc.is_in(table["variable_name"], value_set=names)))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


def _escaped(text: str) -> str:
    return _PUNCTUATION.sub(r"\\\1", text)
