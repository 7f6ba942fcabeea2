"""Writes an export into a folder: its files, their notes, and ``export.json``, which proves them.

Each file is read back before the export counts as written.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orch_assets.errors import ExportError, ExportRefusedError
from orch_assets.exports.export_format import (
    ColumnNames,
    ExportFile,
    ExportFormat,
    FileHolds,
    format_named,
)
from orch_assets.exports.export_notes import Notes
from orch_assets.exports.exported_table import ExportedTable
from orch_assets.exports.readable_labels import with_readable_labels
from orch_assets.exports.side_files import NAMES, NOTES, described, write_names, write_notes
from orch_assets.marked_names import named
from orch_assets.stores.names import encode_name
from orch_assets.version import VERSION

# Says what the export has, and is written last: without it, the files aren't an export.
EXPORT_JSON: Final = "export.json"
_SIDE_FILES: Final = frozenset({EXPORT_JSON, NAMES, NOTES})
# How the name of a temporary folder begins.
WRITING: Final = ".orch-assets-writing-"


@dataclass(frozen=True)
class TableExport:
    """Tables to be written in a format. A pipeline or an asset may return one to have it stored.

    Attributes:
        format: Name of the format.
        tables: The tables, of one study if the format isn't one for an account.
        study_key: Key of the study; None for an account.
        strict: Whether to refuse the export if the format can't hold something.
        restricted: Whether the tables hold withheld variables.
        before_commit: Called when the export is written and verified, before it is published.
    """

    format: str
    tables: Sequence[ExportedTable]
    study_key: str | None
    strict: bool = False
    restricted: bool = False
    before_commit: Callable[[], object] = lambda: None

    @contextlib.contextmanager
    def written(
        self, earlier: ColumnNames, parent: Path | None = None
    ) -> "Iterator[WrittenExport]":
        """Write the export into a temporary folder, verify it, and remove it at the end.

        Args:
            earlier: Names of the previous export, which stay.
            parent: Folder for the temporary one; by default the system's.

        Raises:
            ExportError: It can't be written.
            ExportMismatchError: A file differs from its table.
            ExportRefusedError: It is strict, and there are notes.
        """
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(new_folder(parent))
                export = _Writing(self, format_named(self.format), folder).write(earlier)
            except OSError as error:
                raise self._unwritable(error) from None
            self.before_commit()
            yield export

    def _unwritable(self, error: OSError) -> ExportError:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        what = "of the account" if self.study_key is None else f"of study {_shown(self.study_key)}"
        return ExportError(
            f"The export {what} as {self.format} can't be written: {reason}. Nothing was "
            "published. Check the disk and its permissions."
        )


@dataclass(frozen=True)
class WrittenExport:
    """A written and verified export.

    Attributes:
        format: Name of the format.
        files: The files by name: those of the tables first, ``export.json`` last.
        tables: Number of the files that hold tables.
        rows: Number of rows of all tables.
        notes: Number of notes by kind.
        names: Names in the files, and those that earlier exports gave to what is gone.
        verified_by: The library that read the files back, and its release.
    """

    format: str
    files: Mapping[str, Path]
    tables: int
    rows: int
    notes: Mapping[str, int]
    names: ColumnNames
    verified_by: str

    @property
    def state(self) -> dict[str, Any]:
        """What the next export must know, and what a manifest says: JSON values, no data."""
        return {
            "format": self.format,
            "verified_by": self.verified_by,
            "names": {table: dict(names) for table, names in self.names.items()},
            "notes": dict(self.notes),
            "table_files": self.tables,
        }


@contextlib.contextmanager
def new_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a new folder that only this user can read, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix=WRITING, dir=parent) as folder:
        yield Path(folder)


@dataclass(frozen=True)
class _Writing:
    request: TableExport
    format: ExportFormat
    folder: Path

    def write(self, earlier: ColumnNames) -> WrittenExport:
        """Write and verify everything."""
        for table in self.request.tables:
            _refuse_equal_columns(table)
        files, scratch = self.folder / "files", self.folder / "scratch"
        files.mkdir()
        scratch.mkdir()
        with Notes(scratch) as notes:
            tables = [with_readable_labels(table, notes) for table in self.request.tables]
            prepared = self._prepared(tables, earlier)
            for name, (file, _) in prepared.items():
                file.write(files / name, notes)
            counts = {str(kind): number for kind, number in sorted(notes.counts.items())}
            if self.request.strict and counts:
                request = self.request
                raise ExportRefusedError(
                    request.study_key, self.format.name, counts, restricted=request.restricted
                )
            write_notes(files / NOTES, notes)
        for name, (file, _) in prepared.items():
            file.verify(files / name)
        current = {t: names for file, _ in prepared.values() for t, names in file.names.items()}
        if current:
            write_names(files / NAMES, tables, current)
        return self._finished(files, prepared, counts, {**earlier, **current})

    def _prepared(
        self, tables: Sequence[ExportedTable], earlier: ColumnNames
    ) -> "dict[str, tuple[ExportFile, Sequence[ExportedTable]]]":
        return {
            name: (self.format.prepare(held, _of_tables(earlier, held)), held)
            for name, held in self._tables_by_file(tables).items()
        }

    def _tables_by_file(
        self, tables: Sequence[ExportedTable]
    ) -> dict[str, Sequence[ExportedTable]]:
        holds = self.format.holds
        if not tables:
            return {}
        if holds is FileHolds.TABLE:
            files: dict[str, Sequence[ExportedTable]] = {}
            for table in tables:
                files[self._file_name(table.name, files)] = [table]
            return files
        study_key = self.request.study_key
        name = "account" if holds is FileHolds.ACCOUNT else encode_name(study_key or "")
        return {self._file_name(name, ()): tables}

    def _file_name(self, stem: str, taken: "Mapping[str, object] | tuple[()]") -> str:
        """Return a name that no other file of the export has, on a disk that ignores case."""
        if not stem or stem.startswith(".") or any(each in "/\\" or each < " " for each in stem):
            raise ExportError(
                f"{named(stem)} can't be the name of a file, so the table can't be exported. Name "
                "tables by letters, digits and _. Nothing was published."
            )
        used = {each.casefold() for each in (*_SIDE_FILES, *taken)}
        name = f"{stem}.{self.format.extension}"
        while name.casefold() in used:
            stem += "_"
            name = f"{stem}.{self.format.extension}"
        return name

    def _finished(
        self,
        folder: Path,
        prepared: "Mapping[str, tuple[ExportFile, Sequence[ExportedTable]]]",
        counts: Mapping[str, int],
        names: ColumnNames,
    ) -> WrittenExport:
        tables = {name: each for name, (_, each) in prepared.items()}
        written = {name: folder / name for name in (*tables, NOTES, NAMES)}
        written = {name: path for name, path in written.items() if path.exists()}
        rows = sum(table.num_rows for table in self.request.tables)
        export = WrittenExport(
            format=self.format.name,
            files={**written, EXPORT_JSON: folder / EXPORT_JSON},
            tables=len(tables),
            rows=rows,
            notes=counts,
            names=names,
            verified_by=self.format.reader,
        )
        about = {
            "study_key": self.request.study_key,
            "restricted": self.request.restricted,
            "orch_assets": VERSION,
            **export.state,
            "sources": [_source(table) for table in self.request.tables],
            "files": {
                name: described(path, tables.get(name, ())) for name, path in written.items()
            },
        }
        text = json.dumps(about, indent=2, ensure_ascii=False)
        export.files[EXPORT_JSON].write_text(f"{text}\n", encoding="utf-8")
        return export


def _refuse_equal_columns(table: ExportedTable) -> None:
    names = table.schema.names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ExportError(
            f"{named(table.name)} of study {_shown(table.study_key)} has two columns "
            f"{named(twice)}, so it can't be exported. Rename one of them in the pipeline that "
            "makes the table."
        )


def _source(table: ExportedTable) -> dict[str, Any]:
    return {
        "study_key": table.study_key,
        "table": table.name,
        "rows": table.num_rows,
        "uri": table.uri,
        "version": table.version,
        "published_at": table.published_at,
    }


def _of_tables(names: ColumnNames, tables: Sequence[ExportedTable]) -> ColumnNames:
    return {table.name: names[table.name] for table in tables if table.name in names}


def _shown(study_key: str) -> str:
    return str(named(study_key, shown=study_key))
