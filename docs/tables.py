# ruff: noqa: INP001 - a script, no package
"""The page of the shipped tables, made of what the catalogue shows: ``python -m docs.tables``."""

from collections.abc import Iterator
from pathlib import Path

from orch_assets import pipelines
from orch_assets.defs.discovery import discover_pipelines
from orch_assets.imednet.refresh.endpoint_rules import RULES
from orch_assets.orchestration.pipeline import StudyPipeline

PAGE = Path(__file__).parent / "reference" / "tables.md"
_HEAD = """# Tables

Each shipped pipeline is an asset with one partition for each study. The Dagster UI shows the same
texts. Column names are the API's own, in snake_case; times are UTC. [Form
tables](form-tables.md) have columns of their own for each study.
"""
_REFRESHES = """## How tables are refreshed

A refresh starts from the stored version of a table. Of a table that is refreshed by date, it reads
the rows whose date is at most `ORCH_OVERLAP` before the newest one, and merges them with the stored
rows. The rows after the merge must be as many as the API counts. All other tables, and those that
fit one page of 500 rows, are read whole.

| table | refreshed | rows can vanish | why |
|---|---|---|---|
"""


def page() -> str:
    """Return the page's text."""
    found = sorted(discover_pipelines(pipelines), key=lambda each: each.name)
    sections = (line for each in found for line in _section(each))
    return "\n".join([_HEAD, *_refreshes(), *sections]) + "\n"


def _refreshes() -> Iterator[str]:
    yield _REFRESHES.rstrip("\n")
    for name, rule in sorted(RULES.items()):
        how = f"by `{rule.date}`" if rule.by_date else "whole"
        yield f"| `{name}` | {how} | {'yes' if rule.vanish else 'no'} | {rule.why} |"
    yield ""


def _section(pipeline: StudyPipeline) -> Iterator[str]:
    yield f"## {pipeline.name}\n"
    description = (pipeline.description or "").partition("\n\nArgs:\n")[0]
    yield f"{description.replace('``', '`')}\n"
    for each in pipeline.settings:
        default = "" if each.default is None else f" (default `{each.default}`)"
        yield f"- Setting `{each.name}`{default}: {each.help}"
    yield from [""] if pipeline.settings else []
    if pipeline.columns:
        yield "| column | type | holds |"
        yield "|---|---|---|"
        for each in pipeline.columns:
            yield f"| `{each.name}` | `{each.type}` | {each.description} |"
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
