r"""CSV that comes back unchanged: the schema is stored in the manifest, text is quoted.

Text is always quoted and everything else never is, so ``""`` is empty text, an empty field is
null, and ``001`` differs from ``"001"``. Times with zones are written in UTC, durations as integers
in their unit, bytes in base64, lists, structs and maps as JSON.

Optionally, text that a spreadsheet would take for a formula gets a leading apostrophe: text that
begins with ``= + - @``, a tab or a line break. So does text that begins with an apostrophe, so that
reading can remove it again.
"""

import csv
import io
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from orch_assets.errors import ArtifactCorruptError, UnstorableTableError
from orch_assets.marked_names import named, named_column_type
from orch_assets.stores.formats.arrow_types import retype_column, schema_of
from orch_assets.stores.formats.column_plans import NOTES, column_label
from orch_assets.stores.formats.nested_json import from_json, has_json, is_nested, to_json
from orch_assets.stores.formats.refusing import storable
from orch_assets.stores.spooling import HashingFile

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# A key in the metadata of the manifest's schema: formulas in the text are escaped.
_ESCAPED = b"orch_assets.formulas_escaped"


class CsvFormat:
    """CSV by RFC 4180, in UTF-8, with a header; the schema is in the manifest.

    Args:
        escape_formulas: write text so that no spreadsheet takes it for a formula. Reading removes
            the apostrophes again; other tools see them.
    """

    def __init__(self, *, escape_formulas: bool = False) -> None:
        self._escapes = escape_formulas

    def check(self, schema: "pa.Schema") -> None:
        """Refuse types that CSV can't hold, such as intervals."""
        import pyarrow as pa

        for position, field in enumerate(schema):
            column = column_label(field.name, position)
            if not _has_text(field.type):
                raise UnstorableTableError(
                    f"{column} is of type {named_column_type(field.type)}, which CSV can't hold; "
                    "store it as Parquet."
                )
            of_pandas = NOTES in (schema.metadata or {})  # our notes hold the categories
            if pa.types.is_dictionary(field.type) and field.type.ordered and not of_pandas:
                raise UnstorableTableError(
                    f"{column} is a dictionary whose order CSV can't hold; store it as Parquet."
                )

    def schema_beside(self, schema: "pa.Schema") -> "pa.Schema":
        """Return the table's schema, with a mark if formulas are escaped."""
        if not self._escapes:
            return schema
        return schema.with_metadata({**(schema.metadata or {}), _ESCAPED: b"1"})

    def write(
        self, blocks: "Iterable[pa.RecordBatch]", schema: "pa.Schema", file: HashingFile
    ) -> None:
        """Write the table block by block."""
        import pyarrow as pa
        import pyarrow.csv

        if not len(schema):
            return
        names = _header(schema, escaped=self._escapes)
        types = [_written_type(field.type) for field in schema]
        written = pa.schema(list(zip(names, types, strict=True)))
        with pyarrow.csv.CSVWriter(file, written) as writer:
            for block in blocks:
                texts = _checked_texts(block)
                if self._escapes:
                    texts = [_escaped(text) for text in texts]
                writer.write_batch(pa.record_batch(texts, schema=written))

    def read(
        self,
        file: BinaryIO,
        schema: "pa.Schema | None",
        columns: Sequence[str] | None = None,
    ) -> "pa.Table":
        """Read every field as text, then convert each column to its type."""
        import pyarrow as pa

        table_schema, batches = self.stream(file, schema)
        if columns is None:
            return pa.Table.from_batches(batches, table_schema)
        wanted = schema_of(table_schema, columns)
        return pa.Table.from_batches((batch.select(columns) for batch in batches), wanted)

    def stream(
        self, file: BinaryIO, schema: "pa.Schema | None"
    ) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
        """Read block by block; a few blocks are in memory at once."""
        if schema is None:
            raise ValueError("no schema")
        metadata = dict(schema.metadata or {})
        escaped = metadata.pop(_ESCAPED, None) is not None
        table_schema = schema.with_metadata(metadata or None)
        if not len(table_schema):
            return table_schema, iter(())
        names = _header(table_schema, escaped=escaped)
        return table_schema, (
            batch
            for texts in read_texts(file, names)
            for batch in _typed(texts, table_schema, escaped=escaped).to_batches()
        )


def _typed(texts: "pa.RecordBatch", schema: "pa.Schema", *, escaped: bool) -> "pa.Table":
    import pyarrow as pa

    columns = []
    for text, field in zip(texts.columns, schema, strict=True):
        values = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        chunked = pa.chunked_array([_unescaped(text) if escaped else text])
        columns.append(retype_column(_from_text(chunked, values), field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _header(schema: "pa.Schema", *, escaped: bool) -> list[str]:
    import pyarrow as pa

    names: list[str] = schema.names
    if escaped and names:
        names = _escaped(pa.array(names)).to_pylist()
    return names


def _escaped(text: "pa.Array") -> "pa.Array":
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(text.type):
        return text
    return pc.replace_substring_regex(text, r"^([-=+@\t\r\n'])", r"'\1")


def _unescaped(text: "pa.Array") -> "pa.Array":
    import pyarrow.compute as pc

    return pc.replace_substring_regex(text, "^'", "")


def _has_text(type_: "pa.DataType") -> bool:
    """Return whether values of a type can be written as CSV text."""
    import pyarrow.types as t

    if t.is_dictionary(type_):  # Arrow can't make dictionaries of nested values again
        return _has_text(type_.value_type) and not is_nested(type_.value_type)
    if is_nested(type_):
        return has_json(type_)
    return not (t.is_nested(type_) or t.is_interval(type_) or hasattr(type_, "storage_type"))


def _checked_texts(block: "pa.RecordBatch") -> "list[pa.Array]":
    """Return the columns as text; refuse times and nested values that don't come back equal."""
    import pyarrow as pa
    import pyarrow.types as t

    texts = []
    for position, (name, column) in enumerate(zip(block.schema.names, block.columns, strict=True)):
        with storable(
            column_label(name, position), f"CSV text of {named_column_type(column.type)}"
        ):
            texts.append(_to_text(column))
            if t.is_temporal(column.type) and not _from_text(texts[-1], column.type).equals(column):
                raise ValueError
            if is_nested(column.type):
                back = _from_text(texts[-1], column.type)
                if not back.equals(pa.chunked_array([column])):
                    raise ValueError
    return texts


def _written_type(type_: "pa.DataType") -> "pa.DataType":
    """Return the type in which values are written: one that pyarrow writes and reads exactly."""
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_dictionary(type_):
        return _written_type(type_.value_type)
    if t.is_timestamp(type_) and type_.tz:
        return pa.timestamp(type_.unit, "UTC")
    if t.is_duration(type_):
        return pa.int64()
    if t.is_float16(type_):
        return pa.float32()
    if t.is_null(type_) or _is_bytes(type_) or is_nested(type_):
        return pa.string()
    text = str(type_) in {"large_string", "string_view"}
    return pa.string() if text else type_


def _to_text(column: "pa.Array") -> "pa.Array":
    """Return a column in the type in which it is written."""
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_dictionary(column.type):
        return _to_text(column.dictionary_decode())
    if is_nested(column.type):
        return to_json(column)
    if _is_bytes(column.type):
        values = column.to_pylist()
        return pa.array(
            [None if each is None else b64encode(each).decode() for each in values], pa.string()
        )
    return column.cast(_written_type(column.type))


def _from_text(text: Any, type_: "pa.DataType") -> Any:
    """Return a column from its text, or from the result of :func:`_to_text`."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    if t.is_null(type_):
        return pa.chunked_array([pa.nulls(len(text))])
    text = text.cast(pa.string())
    if is_nested(type_):
        return from_json(text.to_pylist(), type_)
    if t.is_time(type_):
        moment = pc.binary_join_element_wise("1970-01-01", text, " ")
        return moment.cast(pa.timestamp(type_.unit)).cast(type_)
    if _is_bytes(type_):
        values = text.to_pylist()
        decoded = [None if each is None else b64decode(each) for each in values]
        return pa.chunked_array([pa.array(decoded, type_)])
    return text.cast(_written_type(type_)).cast(type_)


def _is_bytes(type_: "pa.DataType") -> bool:
    import pyarrow.types as t

    return t.is_fixed_size_binary(type_) or str(type_) in {"binary", "large_binary", "binary_view"}


# pyarrow refuses a row that is longer than a block; the last size is pyarrow's limit.
_BLOCK_BYTES = (1 << 24, 1 << 28, (1 << 31) - 1)


def read_texts(file: BinaryIO, names: Sequence[str]) -> "Iterator[pa.RecordBatch]":
    """Yield a file's rows with every field as text; an empty field without quotes is null.

    Args:
        file: CSV by RFC 4180, in UTF-8, with a header.
        names: the expected header.

    Raises:
        ValueError: the file is no such CSV, or has another header.
    """
    import pyarrow as pa

    size = file.seek(0, io.SEEK_END)
    yielded = 0
    for block in _BLOCK_BYTES:
        file.seek(0)
        try:
            for batch in _rows_after(yielded, _reader(file, block, names)):
                yielded += batch.num_rows
                yield batch
        except pa.ArrowInvalid:
            if block >= size:
                raise
        else:
            return
    raise ValueError("a row is too long")


def _reader(file: BinaryIO, block: int, names: Sequence[str]) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    read = arrow_csv.ReadOptions(block_size=block)
    parse = arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    convert = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    reader = arrow_csv.open_csv(file, read, parse, convert)
    if reader.schema.names != list(names):
        raise ValueError("another header")
    return reader


def _rows_after(yielded: int, reader: Any) -> "Iterator[pa.RecordBatch]":
    """Yield the rows after those that were already yielded with smaller blocks."""
    skipped = 0
    for batch in reader:
        skip = min(yielded - skipped, batch.num_rows)
        skipped += skip
        if skip < batch.num_rows:
            yield batch.slice(skip)


def plain_csv(file: BinaryIO, name: str, *, infer_types: bool) -> "pd.DataFrame":
    """Return a CSV file that another tool wrote as a frame of text.

    Args:
        file: CSV in UTF-8, with a header.
        name: the artifact's name, for errors.
        infer_types: let pandas infer each column's type instead.

    Raises:
        ArtifactCorruptError: the file is no such CSV.
    """
    import pandas as pd
    import pyarrow as pa

    from orch_assets.stores.formats.frames import arrow_to_frame

    try:
        if infer_types:
            return pd.read_csv(file)
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        names = next(csv.reader(text), [])
        text.detach()
        schema = pa.schema([(each, pa.string()) for each in names])
        return arrow_to_frame(pa.Table.from_batches(read_texts(file, names), schema))
    except (pa.ArrowException, ValueError):
        raise ArtifactCorruptError(
            f"{named(name)} is not a UTF-8 CSV file with one header and rows of equal length.",
            artifact=name,
        ) from None
