"""Loads artifacts as the type that an input's annotation requests."""

import contextlib
import typing
from collections.abc import Iterator, Mapping
from contextvars import copy_context
from itertools import chain
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import ArtifactNotFoundError, StoreError
from orch_assets.marked_names import named, named_column_type
from orch_assets.orchestration.defining.received_types import ARROW, PANDAS, READER
from orch_assets.orchestration.returned_values import Document
from orch_assets.stores.artifacts import DOCUMENT_KINDS, ArtifactKind

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.stores import PipelineStore

POLARS: Final = "polars.DataFrame"
LAZY: Final = "polars.LazyFrame"
_MEDIA_TYPES: Final = {kind: media_type for media_type, kind in DOCUMENT_KINDS.items()}


def requested_table_type(annotation: Any) -> str:
    """Return the table type that an annotation requests; for a dict, the type of its values."""
    if is_mapping(annotation):
        values = typing.get_args(annotation)[1:]
        return requested_table_type(values[0]) if values else PANDAS
    module = getattr(annotation, "__module__", "").partition(".")[0]
    name = f"{module}.{getattr(annotation, '__name__', '')}"
    return name if name in {ARROW, READER, POLARS, LAZY} else PANDAS


def without_none(annotation: Any) -> tuple[bool, Any]:
    """Return whether an annotation is ``<type> | None``, and the annotation without None."""
    choices = typing.get_args(annotation)
    others = [choice for choice in choices if choice is not NoneType]
    optional = typing.get_origin(annotation) in {typing.Union, UnionType} and NoneType in choices
    return (True, others[0]) if optional and len(others) == 1 else (False, annotation)


def is_mapping(annotation: Any) -> bool:
    """Whether an annotation is a dict or another mapping type."""
    origin = typing.get_origin(annotation) or annotation
    return isinstance(origin, type) and issubclass(origin, Mapping)


def is_table_type(annotation: Any) -> bool:
    """Whether an annotation is the type of a single table."""
    name = getattr(annotation, "__name__", "")
    is_table = name == "DataFrame" or requested_table_type(annotation) != PANDAS
    return is_table and not is_mapping(annotation)


def load(
    store: "PipelineStore",
    name: str,
    table_type: str,
    as_of: str | None = None,
    versions: Mapping[str, str] | None = None,
) -> Any:
    """Return an artifact: a table of a type, a dict of such tables, a JSON value or a document.

    Args:
        store: The store of the artifact.
        name: Name of the artifact.
        table_type: Type of the tables.
        as_of: A moment or the name of a mark; None for the current version.
        versions: The version to load instead, by the artifact's URI.
    """
    if versions:
        kind, version = _kind_among(store, name, versions)
    elif as_of is None:
        kind, version = _newest_kind(store, name), None
    else:
        kind, version = _kind_and_version(store, name, as_of)
    if kind is ArtifactKind.JSON:
        return store.download_json(name, version)
    if kind is ArtifactKind.FILES:
        raise StoreError(
            f"{_named(name)} has files, which can't be loaded as a table. Take form_tables "
            "instead, or open a file with store.open_file.",
            artifact=name,
        )
    if kind in _MEDIA_TYPES:
        return Document(store.download_document(name, version, kind=kind), _MEDIA_TYPES[kind])
    if kind is ArtifactKind.SET:
        return _load_set(store, name, version, table_type)
    if table_type == READER:
        return store.open_reader(name, version)
    if table_type == PANDAS:
        return store.download(name, version)
    return _converted(store.download_table(name, version), table_type)


def _load_set(
    store: "PipelineStore", name: str, version: str | None, table_type: str
) -> dict[str, Any]:
    if table_type == PANDAS:
        return dict(store.download_set(name, version))
    if table_type == READER:
        version = version or store.manifest(name, kind=ArtifactKind.SET).content.sha256
        members = store.members(name, version)
        return {each: store.open_reader(name, version, member=each) for each in members}
    tables = store.download_set_tables(name, version)
    return {member: _converted(table, table_type) for member, table in tables.items()}


def load_together(
    store: "PipelineStore",
    names: Mapping[str, Mapping[str, str]],
    table_type: str,
    as_of: str | None = None,
) -> Any:
    """Return many artifacts as one table, with the keys of their partitions as columns.

    Args:
        store: The store of the artifacts.
        names: Names of the artifacts, with the key columns of each and their values.
        table_type: Type of the table.
        as_of: A moment or the name of a mark; None for the current versions.

    Raises:
        ArtifactNotFoundError: There are no artifacts, or one was never stored.
        StoreError: The schemas of the tables are incompatible, or an artifact is a set of tables.
    """
    if not names:
        raise ArtifactNotFoundError("There are no partitions to load as one table.")
    try:
        return _together(store, names, table_type, as_of)
    except ArtifactNotFoundError as error:
        if error.artifact and store.exists(error.artifact, kind=ArtifactKind.SET):
            raise StoreError(
                f"{_named(error.artifact)} is a set of tables, not a single table. Annotate "
                "the input as a dict of dicts of tables.",
                artifact=error.artifact,
            ) from None
        raise


def _together(
    store: "PipelineStore",
    names: Mapping[str, Mapping[str, str]],
    table_type: str,
    as_of: str | None,
) -> Any:
    if table_type == PANDAS:
        return _frames_together(store, names, as_of)
    if table_type == READER:
        return _readers_together(store, names, as_of)
    from orch_assets.stores.joining import join_tables

    tables = {
        name: _with_keys(store.download_table(name, as_of=as_of), keys, name)
        for name, keys in names.items()
    }
    return _converted(join_tables(tables), table_type)


def _frames_together(
    store: "PipelineStore", names: Mapping[str, Mapping[str, str]], as_of: str | None
) -> Any:
    import pandas as pd

    from orch_assets.stores.joining import join_frames

    frames = {}
    for name, keys in names.items():
        frame = store.download(name, as_of=as_of)
        for position, (column, key) in enumerate(keys.items()):
            if column not in frame:
                text = pd.Series([key], dtype=pd.Index([key]).dtype)  # the text type of this pandas
                frame = _with_column(frame, position, column, text)
            elif not all(isinstance(each, str) and each == key for each in frame[column]):
                raise _other_key(name, column)
        frames[name] = frame
    return join_frames(frames)


def _with_column(frame: Any, position: int, column: str, value: Any) -> Any:
    """Return a frame with a constant column added, whatever the type of the columns' index."""
    import pandas as pd

    if isinstance(frame.columns, pd.CategoricalIndex):
        frame = frame.set_axis(frame.columns.astype(object), axis="columns")
    repeated = value.repeat(len(frame)).set_axis(frame.index)
    frame.insert(position, column, repeated)
    return frame


def _readers_together(
    store: "PipelineStore", names: Mapping[str, Mapping[str, str]], as_of: str | None
) -> "pa.RecordBatchReader":
    import pyarrow as pa

    # The artifacts are read later, one at a time. The context of this call records them as inputs.
    context = copy_context()

    def pieces() -> "Iterator[tuple[str, pa.Table]]":
        for name, keys in names.items():
            for batch in context.run(store.open_reader, name, as_of=as_of):
                yield name, _with_keys(pa.Table.from_batches([batch]), keys, name)

    remaining = (piece for piece in pieces() if piece[1].num_rows)
    first = next(remaining, None)
    if first is None:
        name = next(iter(names))
        schema = store.open_reader(name, as_of=as_of).schema
        first = (name, _with_keys(schema.empty_table(), names[name], name))
    schema = first[1].schema

    def batches() -> "Iterator[pa.RecordBatch]":
        for name, piece in chain([first], remaining):
            if not piece.schema.equals(schema):
                raise _other_schema(name, piece.schema, first[0], schema)
            yield from piece.to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())


def _with_keys(table: "pa.Table", keys: Mapping[str, str], name: str) -> "pa.Table":
    import pyarrow as pa

    for position, (column, key) in enumerate(keys.items()):
        if column not in table.column_names:
            table = table.add_column(position, column, [pa.repeat(key, table.num_rows)])
        elif table.num_rows and not _is_all(key, table[column]):
            raise _other_key(name, column)
    return table


def _is_all(key: str, column: "pa.ChunkedArray") -> bool:
    """Whether each value of a column is a key; a null is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return bool(pc.all(pc.equal(column, key), skip_nulls=False).as_py())
    except pa.ArrowException:  # a column of numbers, for example
        return False


def _converted(table: "pa.Table", table_type: str) -> Any:
    if table_type in {POLARS, LAZY}:
        import polars as pl

        # Polars would give a column without a name another name.
        numbered = table.rename_columns([str(number) for number in range(table.num_columns)])
        frame: Any = pl.from_arrow(numbered)
        frame.columns = table.column_names
        return frame.lazy() if table_type == LAZY else frame
    return table.to_reader() if table_type == READER else table


def _newest_kind(store: "PipelineStore", name: str) -> ArtifactKind:
    """Return the kind of the newest artifact with a name.

    A changed pipeline may return another kind than before. Their order is that of the clocks of the
    machines that published them.
    """
    kinds = store.kinds(name)
    if not kinds:
        raise ArtifactNotFoundError(
            f"Nothing is stored as {_named(name)}: materialize it first.", artifact=name
        )
    if len(kinds) == 1:
        return kinds[0]
    return max(
        kinds, key=lambda kind: store.manifest(name, kind=kind).publications[-1].published_at
    )


def _kind_among(
    store: "PipelineStore", name: str, versions: Mapping[str, str]
) -> tuple[ArtifactKind, str | None]:
    """Return the kind and the version of an artifact among versions by URI."""
    for kind in ArtifactKind:
        if version := versions.get(store.uri(name, kind=kind)):
            return kind, version
    raise ArtifactNotFoundError(f"The run has stored nothing as {_named(name)}.", artifact=name)


def _kind_and_version(
    store: "PipelineStore", name: str, as_of: str
) -> tuple[ArtifactKind, str | None]:
    """Return the kind and the version of an artifact as of a moment, or in a mark."""
    found = {}
    for kind in ArtifactKind:
        with contextlib.suppress(ArtifactNotFoundError):
            found[kind] = store.version_as_of(name, as_of, kind=kind)
    if len(found) > 1:
        raise StoreError(
            f"{_named(name)} is more than one artifact as of {as_of}: {', '.join(found)}. Read the "
            "one that you need from the store.",
            artifact=name,
        )
    kind = next(iter(found), None) or _newest_kind(store, name)
    return kind, found.get(kind) or store.version_as_of(name, as_of, kind=kind)  # raises


def _other_schema(name: str, schema: "pa.Schema", other: str, expected: "pa.Schema") -> StoreError:
    """Return the error for a stream whose schema differs from the first: it can't be converted."""
    types = {field.name: named_column_type(field.type) for field in schema}
    expected_types = {field.name: named_column_type(field.type) for field in expected}
    column = next(
        (
            (position, each)
            for position, each in enumerate({**expected_types, **types})
            if types.get(each) != expected_types.get(each)
        ),
        None,
    )
    differs = (
        "its columns are in another order"
        if column is None
        else f"its column {named(column[1], str(column[0]))} is "
        f"{types.get(column[1], 'missing')} here and "
        f"{expected_types.get(column[1], 'missing')} there"
    )
    return StoreError(
        f"The table {_named(name)} doesn't fit together with {_named(other)}: {differs}. Ask for "
        "a pyarrow.Table, or for a dict of streams.",
        artifact=name,
    )


def _other_key(name: str, column: str) -> StoreError:
    return StoreError(
        f"The table {_named(name)} has a column {named(column)} of its own that isn't its "
        "partition's key. Ask for a dict of tables, or rename it.",
        artifact=name,
    )


def _named(artifact: str) -> str:
    return named(artifact, shown=artifact)
