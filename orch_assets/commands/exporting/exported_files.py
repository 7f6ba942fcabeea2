"""Exports stored form tables into a folder, study by study, for ``orch-assets export``."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from orch_assets.defs.exports.current_forms import stored_set
from orch_assets.errors import MissingExtraError, OrchAssetsError
from orch_assets.exports.export_folder import ExportFolder
from orch_assets.exports.export_format import FileHolds, format_named
from orch_assets.exports.side_files import NOTES
from orch_assets.exports.stored_forms import stored_forms
from orch_assets.exports.table_export import TableExport
from orch_assets.stores.names import encode_name

if TYPE_CHECKING:
    from orch_assets.exports.exported_table import ExportedTable
    from orch_assets.exports.table_export import WrittenExport
    from orch_assets.stores import PipelineStore
    from orch_assets.stores.stored_versions import SetVersion

_ALL: Final = "all studies"


@dataclass(frozen=True)
class StudySets:
    """The stored form tables of a study.

    Attributes:
        study_key: Key of the study.
        parts: The open part, under "", and perhaps the withheld one, under ``restricted``.
    """

    study_key: str
    parts: "Mapping[str, SetVersion]"

    @property
    def forms(self) -> list[str]:
        """Names of the tables of all parts."""
        return list(dict.fromkeys(name for part in self.parts.values() for name in part))

    def parts_with(self, forms: Collection[str] | None) -> list[str]:
        """Return the parts that have one of some forms; all parts for None."""
        return [
            part
            for part, stored in self.parts.items()
            if forms is None or set(forms).intersection(stored)
        ]

    def tables(self, part: str, forms: Collection[str] | None) -> "list[ExportedTable]":
        """Return tables of a part."""
        return stored_forms(self.study_key, self.parts[part], forms)


@dataclass
class ExportedFiles:
    """The exports of a command.

    Attributes:
        folder: The folder that the user named.
        stores: The open store, under "", and perhaps the restricted one, under ``restricted``.
        as_of: A moment or the name of a mark; None for what is current.
        strict: Whether to refuse what a format can't hold.
        rows: What was exported: study, format, and what was written.
        skipped: Why studies were left out.
        failures: Why studies failed, without data values.
    """

    folder: Path
    stores: "Mapping[str, PipelineStore]"
    as_of: str | None
    strict: bool
    rows: "list[tuple[str, str, WrittenExport]]" = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _unread: int = 0

    def find(self, studies: Iterable[str], skipped: Mapping[str, str]) -> list[StudySets]:
        """Return the stored tables of studies; the others become failures, or were skipped."""
        self.skipped.update(skipped)
        found: list[StudySets] = []
        for study_key in studies:
            if study_key not in skipped:
                self._find(study_key, found)
        self._unread = len(self.failures)
        return found

    def write(
        self, formats: Sequence[str], sets: Sequence[StudySets], forms: Collection[str] | None
    ) -> None:
        """Write all exports; a study's failure doesn't affect the others."""
        of_account = [each for each in formats if _holds_account(each)]
        of_study = [each for each in formats if each not in of_account]
        for each in sets:
            if forms is not None and not set(forms).intersection(each.forms):
                self.skipped[each.study_key] = "it has none of these forms"
                continue
            for part in each.parts_with(forms):
                for name in of_study:
                    what = f"{each.study_key}, {_titled(name, part)}"
                    self._isolated(what, partial(self._write_study, name, part, each, forms))
        for name in of_account:
            for part in self.stores:
                what = f"{_ALL}, {_titled(name, part)}"
                self._isolated(what, partial(self._write_account, name, part, sets, forms))

    def _find(self, study_key: str, found: list[StudySets]) -> None:
        parts: dict[str, SetVersion] = {}
        for part, store in self.stores.items():
            what = f"{study_key}, {part}" if part else study_key
            self._isolated(what, partial(self._find_part, store, study_key, part, parts))
        if parts:
            found.append(StudySets(study_key, parts))

    def _find_part(
        self, store: "PipelineStore", study_key: str, part: str, parts: "dict[str, SetVersion]"
    ) -> None:
        stored = stored_set(store, study_key, self.as_of)
        len(stored)  # reads the list of tables
        parts[part] = stored

    def _write_study(
        self, name: str, part: str, sets: StudySets, forms: Collection[str] | None
    ) -> None:
        self._write(name, part, sets.study_key, sets.tables(part, forms))

    def _write_account(
        self, name: str, part: str, sets: Sequence[StudySets], forms: Collection[str] | None
    ) -> None:
        if self._unread:
            raise click.ClickException(
                "it would lack the studies that failed. Export the others with --study. An earlier "
                "file is unchanged."
            )
        having = [each for each in sets if part in each.parts_with(forms)]
        tables = [table for each in having for table in each.tables(part, forms)]
        if not tables:
            raise click.ClickException(
                "no study has any of these tables. An earlier file is unchanged."
            )
        self._write(name, part, None, tables)

    def _write(
        self, name: str, part: str, study_key: str | None, tables: "Sequence[ExportedTable]"
    ) -> None:
        below = [part] if part else []
        below += [name] if study_key is None else [name, encode_name(study_key)]
        export = TableExport(name, tables, study_key, self.strict, bool(part))
        written = ExportFolder(self.folder, below, private=bool(part)).replace_with(export)
        self.rows.append((study_key or _ALL, _titled(name, part), written))

    def _isolated(self, what: str, export: Callable[[], object]) -> None:
        """Call a function; what it raises becomes a failure, whose text holds no data."""
        from orch_assets.orchestration.reporting.results import describe_failure

        try:
            export()
        except MissingExtraError:
            raise
        except OrchAssetsError as error:
            self.failures.append(f"{what}: {error}")
        except click.ClickException as error:
            self.failures.append(f"{what}: {error.message}")
        except Exception as error:  # noqa: BLE001 - its text may hold data
            self.failures.append(f"{what}: {describe_failure(error).loggable}")


def print_files(files: ExportedFiles) -> None:
    """Print what was exported, what was skipped, and on standard error what failed."""
    if files.rows:
        _print_table(
            [("study", "format", "files", "rows", "notes"), *map(_cells, files.rows)],
        )
        click.echo(f"\nFiles are in {files.folder}. What a format can't hold is in {NOTES} beside")
        click.echo("them, and export.json has hashes and sources.")
    for study_key, reason in files.skipped.items():
        click.echo(f"Skipped: {study_key}: {reason}")
    for failure in files.failures:
        click.echo(f"Failed: {failure}", err=True)


def _cells(row: "tuple[str, str, WrittenExport]") -> tuple[str, ...]:
    study, title, written = row
    notes = ", ".join(f"{kind} {count:,}" for kind, count in written.notes.items())
    return study, title, f"{written.tables:,}", f"{written.rows:,}", notes or "none"


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


def _titled(name: str, part: str) -> str:
    return f"{name} ({part})" if part else name


def _holds_account(name: str) -> bool:
    return format_named(name).holds is FileHolds.ACCOUNT
