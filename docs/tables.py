# ruff: noqa: INP001 - a script, no package
"""The page of the shipped tables, made of what the catalogue shows: ``python -m docs.tables``."""

from collections.abc import Iterator
from pathlib import Path

from orch_assets import pipelines
from orch_assets.defs.discovery import discover_pipelines
from orch_assets.orchestration.pipeline import StudyPipeline

PAGE = Path(__file__).parent / "reference" / "tables.md"
_HEAD = """# Tables

Each shipped pipeline is an asset with one partition for each study. The Dagster UI shows the same
texts. Column names are the API's own, in snake_case; times are UTC. [Form
tables](form-tables.md) have columns of their own for each study.
"""


def page() -> str:
    """Return the page's text."""
    found = sorted(discover_pipelines(pipelines), key=lambda each: each.name)
    return "\n".join([_HEAD, *(line for each in found for line in _section(each))]) + "\n"


def _section(pipeline: StudyPipeline) -> Iterator[str]:
    yield f"## {pipeline.name}\n"
    yield f"{(pipeline.description or '').replace('``', '`')}\n"
    if pipeline.columns:
        yield "| column | type | holds |"
        yield "|---|---|---|"
        for each in pipeline.columns:
            yield f"| `{each.name}` | `{each.type}` | {each.description} |"
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
