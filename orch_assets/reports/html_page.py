"""A report as one HTML file that needs no other file and no network."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from html import escape
from typing import Final

from orch_assets.charts.drawing import described, draw, png
from orch_assets.charts.summary_panels import Panel, cell_label, named_label
from orch_assets.reports.study_report import StudyReport
from orch_assets.version import VERSION

_MOST_CHANGES: Final = 100

# Loads nothing, runs nothing: even a fault of this module could send nothing elsewhere.
_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_STYLE: Final = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff;
  max-width: 68rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { margin-bottom: .2rem; } h2 { margin-top: 2.2rem; border-bottom: 1px solid #bbb; }
table { border-collapse: collapse; margin: .8rem 0 1.4rem; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding: .2rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .9rem .25rem 0; text-align: left;
  vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
code { font-size: .8rem; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; }
.made { color: #595959; }
.bad { color: #8f2b00; font-weight: 600; }
.counts { display: flex; flex-wrap: wrap; gap: 0 3rem;
  align-items: flex-start; }
@media print { body { margin: 0; max-width: none; font-size: 11px; }
  h2 { break-after: avoid; } tr, img, .counts table { break-inside: avoid; } }
"""


class _Number(str):
    """A text of a number, to be aligned to the right."""

    __slots__ = ()


class _Code(str):
    """A text in a font in which all characters are equally wide."""

    __slots__ = ()


def html_page(report: StudyReport) -> str:
    """Return a report as an HTML page.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    title = f"Study {report.study_key}"
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style></head>",
        "<body><main>",
        f"<h1>{escape(title)}</h1>",
        *_summary(report),
        *_counts(report),
        *_readings(report),
        *_failures(report),
        *_dictionary(report),
        *_versions(report),
        *_software(report),
        "</main></body></html>",
    ]
    return "\n".join(lines) + "\n"


def _summary(report: StudyReport) -> Iterator[str]:
    made = f"Made on {_moment(report.made_at)} UTC by orch-assets {VERSION}."
    yield f'<p class="made">{escape(made)}</p>'
    failed, results, read = len(report.failures), len(report.results), report.read
    skipped = sum(each.skipped for each in report.results)
    text = f"{results - failed - skipped} of {results} pipelines succeeded at their last attempt"
    text += f", and {skipped} skipped the study." if skipped else "."
    yield f"<p{_bad(failed)}>{text}</p>"
    wrong = sum(not each.reconciled for each in read)
    text = f"{len(read) - wrong} of {len(read)} tables have as many rows as iMednet counts."
    yield f"<p{_bad(wrong)}>{text}</p>"


def _bad(count: int) -> str:
    return ' class="bad"' if count else ""


def _counts(report: StudyReport) -> Iterator[str]:
    yield "<h2>Counts</h2>"
    if all(panel.instead for panel in report.panels):
        yield from (f"<p>{escape(described(panel))}</p>" for panel in report.panels)
        return
    picture = base64.b64encode(png(draw(report.panels, report.study_key))).decode()
    alternative = escape(" ".join(described(panel) for panel in report.panels))
    yield f'<img alt="{alternative}" src="data:image/png;base64,{picture}">'
    yield '<div class="counts">'
    for panel in report.panels:
        yield from _panel_table(panel)
    yield "</div>"


def _panel_table(panel: Panel) -> Iterator[str]:
    if panel.instead is not None:
        yield from _table(panel.title, ("count",), [(panel.instead,)])
        return
    headers = tuple(_Number(name or "count") for name in panel.series)
    label = named_label if panel.kind == "bars" else cell_label
    rows = [
        (label(cell), *(_Number(panel.shown(count)) for count in cell.counts))
        for cell in panel.cells
    ]
    caption = f"{panel.title} ({panel.note})" if panel.note else panel.title
    yield from _table(caption, ("", *headers), rows)


def _readings(report: StudyReport) -> Iterator[str]:
    yield "<h2>What was read or made, and when</h2>"
    rows = []
    for each in report.results:
        counted = "–" if each.expected is None else report.shown_rows(each.pipeline, each.expected)
        agrees = {None: "–", True: "yes", False: "no"}[each.reconciled]
        state = "skipped" if each.skipped else "succeeded" if each.succeeded else "failed"
        size = report.shown_rows(each.pipeline, each.rows)
        rows.append(
            (
                each.pipeline,
                _moment(each.finished_at),
                state,
                each.reading or "–",
                _Number(size),
                _Number(counted),
                agrees,
            )
        )
    counts = (_Number("rows"), _Number("rows in iMednet"))
    headers = ("pipeline", "time (UTC)", "result", "how", *counts, "reconciled")
    yield from _table("Newest result of each pipeline", headers, rows)


def _failures(report: StudyReport) -> Iterator[str]:
    yield "<h2>Failures</h2>"
    rows = [
        (each.pipeline, _moment(each.finished_at), each.cause or "", _Code(each.place))
        for each in report.failures
    ]
    headers = ("pipeline", "time (UTC)", "cause", "place")
    yield from _table_or("No pipeline has failed.", "Pipelines that failed", headers, rows)


def _dictionary(report: StudyReport) -> Iterator[str]:
    yield "<h2>Changes of the data dictionary</h2>"
    changes = report.dictionary_changes
    rows = [
        (_moment(each.noticed_at), each.kind, each.form or "–", each.variable or "–")
        for each in changes[:_MOST_CHANGES]
    ]
    caption = f"{len(changes):,} changes, newest first"
    if len(changes) > len(rows):
        caption += f"; the first {len(rows)} are listed"
    headers = ("noticed (UTC)", "change", "form", "variable")
    yield from _table_or("None has been noticed.", caption, headers, rows)


def _versions(report: StudyReport) -> Iterator[str]:
    yield "<h2>Stored versions</h2>"
    rows = [
        (
            each.artifact,
            each.published_at[:16].replace("T", " "),
            _Code(each.run),
            _Number(f"{each.bytes:,}"),
            _Code(each.sha256),
        )
        for each in report.versions
    ]
    headers = ("artifact", "published (UTC)", "run", _Number("bytes"), "SHA-256")
    yield from _table_or("Nothing is stored.", "Current versions", headers, rows)


def _software(report: StudyReport) -> Iterator[str]:
    yield "<h2>Origin and software</h2>"
    found: dict[str, set[str]] = {}
    for each in report.versions:
        if each.registry:
            found.setdefault("read from", set()).add(each.registry)
        for name, version in each.libraries.items():
            found.setdefault(name, set()).add(version)
    rows = [(name, ", ".join(sorted(versions))) for name, versions in found.items()]
    headers = ("what", "versions")
    yield from _table_or("Unknown.", "As the stored versions name them", headers, rows)


def _table_or(
    nothing: str, caption: str, headers: Sequence[str], rows: Sequence[Sequence[str]]
) -> Iterator[str]:
    if rows:
        yield from _table(caption, headers, rows)
    else:
        yield f"<p>{escape(nothing)}</p>"


def _table(caption: str, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table, in which every text is escaped; the first cell of a row is its header."""
    yield f"<table><caption>{escape(caption)}</caption>"
    cells = "".join(_cell("th", text, ' scope="col"') for text in headers)
    yield f"<thead><tr>{cells}</tr></thead><tbody>"
    for first, *others in rows:
        cells = "".join(_cell("td", text) for text in others)
        header = _cell("th", first, ' scope="row"')
        yield f"<tr>{header}{cells}</tr>"
    yield "</tbody></table>"


def _cell(tag: str, text: str, attributes: str = "") -> str:
    shown = f"<code>{escape(text)}</code>" if isinstance(text, _Code) else escape(text)
    kind = ' class="number"' if isinstance(text, _Number) else ""
    return f"<{tag}{kind}{attributes}>{shown}</{tag}>"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
