"""IO managers on the artifact stores, for study pipelines and any other asset."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, PrivateAttr

from orch_assets.defs.dagster_internals import own_metadata
from orch_assets.defs.exports.stored_exports import publish_export
from orch_assets.defs.io.artifact_names import (
    artifact_name,
    key_columns,
    op_output_name,
    partition_keys,
)
from orch_assets.defs.io.asset_names import names_known_in, with_known_names_only
from orch_assets.defs.io.event_metadata import (
    COLUMN_SCHEMA,
    ROW_COUNT,
    URI,
    beside_own_metadata,
    check_own_metadata,
)
from orch_assets.defs.io.io_contexts import VERSIONS
from orch_assets.defs.io.loading import (
    is_table_type,
    load,
    load_together,
    requested_table_type,
    without_none,
)
from orch_assets.defs.io.pooling import Pool, is_over_studies, pool_studies
from orch_assets.defs.io.previews import preview_metadata
from orch_assets.defs.io.step_inputs import publishing, reading
from orch_assets.defs.io.table_types import (
    as_arrow,
    as_result,
    is_document,
    is_table,
    is_table_stream,
)
from orch_assets.defs.resources import StoreResource
from orch_assets.defs.set_in_code import SetInCode
from orch_assets.errors import ArtifactNotFoundError, UnstorableValueError
from orch_assets.exports.table_export import TableExport
from orch_assets.marked_names import named, named_column_type, with_known_names
from orch_assets.orchestration.reporting.known_names import KnownNames
from orch_assets.orchestration.returned_values import Document
from orch_assets.orchestration.study_tables import StudyTables

if TYPE_CHECKING:
    from orch_assets.stores import PipelineStore, Published, StorageFormat


class PipelineIOManager(SetInCode, dg.ConfigurableIOManager):
    """Stores each asset's result as one artifact per partition, named ``<asset>/<partition>``.

    A table (pandas, Arrow, Polars or a Polars query), a series or a stream of record batches is
    stored as a table. A mapping from names to such tables, or to tables of the set's current
    version, is stored as one artifact set. A matplotlib or plotly figure, or a ``Document``, is
    stored as a document. A ``TableExport`` is written, verified and stored as its files. Any other
    value is stored as JSON, in which NaN becomes null and keys
    become text. Manifests record the run, the asset, and the versions that the step
    has loaded.

    A refreshed table that is unchanged is not stored: its metadata is that of the current version.

    A downstream asset loads a table as the type of its annotation: ``pandas.DataFrame`` (the
    default), ``pyarrow.Table``, ``pyarrow.RecordBatchReader``, ``polars.DataFrame`` or
    ``polars.LazyFrame``. Several partitions are loaded as a dict by partition. If the annotation is
    a table, they are loaded as one table with the partition's key in a column. The column is
    ``study_key`` for studies and ``partition_key`` for other partitions; with several dimensions,
    there is one column per dimension, with the dimension's name. If there are no partitions to
    load, ``<table> | None`` is None.

    Of the tables of studies, those are loaded that are there. The dict, a ``StudyTables``, says
    which studies are missing, skipped or older than their newest run. The metadata of what the step
    makes says it too, whatever the input's type. With the input metadata
    ``{"require_all": True}``, such a study is an error; with ``"unless skipped"``, only a missing
    or older one. Other partitions must all be stored, unless the input's metadata has
    ``{"allow_missing_partitions": True}``.

    With the input metadata ``{"as_of": …}``, an input is read as of a moment (ISO 8601 with a time
    zone) or from a mark, by its name. A partition that the mark doesn't hold is an error, even if
    missing partitions are allowed.

    Values that ops pass to each other inside a graph are stored under ``~ops``.
    """

    @abstractmethod
    def pipeline_store(self) -> "PipelineStore":
        """Return the store. Every call returns the same object."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Publish a result, and add its rows, bytes, URI, hash and columns as metadata.

        A column's name is shown only if it occurs in the source file of the asset's function, in
        the columns that the asset declares, or in a shipped table. Otherwise the metadata and
        errors show its position, such as ``column 7``, counted from 0. The manifest contains all
        names.

        Raises:
            EventMetadataError: The asset gives metadata under a key of this IO manager.
            StoreError: The result can't be stored; nothing was published.
        """
        name = _output_name(context)
        known = names_known_in(context)
        own: Mapping[str, Any] = own_metadata(context)
        check_own_metadata(own, context.output_metadata)
        with publishing(context), with_known_names_only(known):
            value = as_result(obj)
            if isinstance(value, TableExport):
                published, about = publish_export(self.pipeline_store(), value, name)
            else:
                published, about = _publish(self.pipeline_store(), value, name), {}
        metadata = {**_metadata(published, known, context.definition_metadata), **about}
        metadata.update(preview_metadata(value))
        context.add_output_metadata({**beside_own_metadata(metadata, own)})

    def load_input(self, context: dg.InputContext) -> Any:
        """Return a result, or the results of several partitions.

        Raises:
            ArtifactNotFoundError: The result was never stored.
            ArtifactCorruptError: The stored bytes are not those that were published.
            StudiesMissingError: The input requires all studies, and some are missing or older.
            StoreError: The tables of several partitions have incompatible schemas.
        """
        with reading(context), with_known_names_only(names_known_in(context)):
            return self._load(context)

    def _load(self, context: dg.InputContext) -> Any:
        store, annotation, as_of = self.pipeline_store(), _annotation(context), _as_of(context)
        optional, annotation = without_none(annotation)
        table_type = requested_table_type(annotation)
        if not context.has_asset_key and context.upstream_output:
            return load(store, op_output_name(context.upstream_output), table_type)
        if not context.has_asset_partitions:
            return load(store, artifact_name(context.asset_key, None), table_type, as_of)
        names = {key: artifact_name(context.asset_key, key) for key in partition_keys(context)}
        if not _requests_many(context, list(names)):
            versions = (context.definition_metadata or {}).get(VERSIONS)
            return load(store, next(iter(names.values())), table_type, as_of, versions)
        pool = self._pool(context, names, as_of)
        if is_table_type(annotation):
            pool.refuse_data(context)
            if optional and not pool.given:
                return None
            columns = {names[key]: key_columns(context, key) for key in pool.given}
            return load_together(store, columns, table_type, as_of)
        loaded = {key: load(store, names[key], table_type, as_of) for key in pool.given}
        if pool.gaps.missing and not (loaded or pool.data or _allows_missing(context)):
            asset = context.asset_key.to_user_string()
            raise ArtifactNotFoundError(
                f"No study has a result of {asset}: materialize it first.", artifact=asset
            )
        tables = StudyTables[Any]({str(key): each for key, each in {**loaded, **pool.data}.items()})
        tables.gaps = pool.gaps
        return tables

    def _pool(self, context: dg.InputContext, names: Mapping[str, str], as_of: str | None) -> Pool:
        """Return which of an input's partitions are to be loaded."""
        store = self.pipeline_store()
        if as_of is None and is_over_studies(context):
            listed = {*store.list_artifacts(artifact_name(context.asset_key, None))}
            # One that isn't listed may be where an earlier release put it: that is no gap.
            stored = {name for name in names.values() if name in listed or store.kinds(name)}
            return pool_studies(context, names, stored)
        if _allows_missing(context):
            return Pool([key for key, name in names.items() if store.kinds(name)])
        return Pool([*names])


class StudyIOManager(PipelineIOManager):
    """Stores results in the code location's store, which ``ORCH_STORE`` selects.

    Example:
        >>> StudyIOManager(store=StoreResource(uri="/data/artifacts")).store.location()
        '/data/artifacts'
    """

    store: StoreResource

    def pipeline_store(self) -> "PipelineStore":
        """Return the store, which is created on first use."""
        return self.store.store


class ConfiguredStoreIOManager(PipelineIOManager):
    """Stores results in a store that is configured by the IO manager's own fields."""

    prefix: str = Field(default="", description="Prefix of every artifact's name.")
    format: str = Field(default="parquet", description="Format of tables: `parquet` or `csv`.")
    escape_formulas: bool = Field(
        default=False, description="Write CSV so that spreadsheets don't evaluate text as formulas."
    )

    _store: "PipelineStore | None" = PrivateAttr(default=None)

    def pipeline_store(self) -> "PipelineStore":
        """Return the store, which is created on first use."""
        if self._store is None:
            from orch_assets.stores import StorageFormat

            self._store = self._opened_store(StorageFormat(self.format))
        return self._store

    @abstractmethod
    def _opened_store(self, table_format: "StorageFormat") -> "PipelineStore":
        """Create the store."""


class LocalPipelineIOManager(ConfiguredStoreIOManager):
    """Stores results in a folder on the local disk.

    Example:
        >>> io_manager = LocalPipelineIOManager(root="/data/artifacts", prefix="prod")
    """

    root: str = Field(description="Folder in which artifacts are stored.")

    def _opened_store(self, table_format: "StorageFormat") -> "PipelineStore":
        from orch_assets.stores import LocalPipelineStore

        return LocalPipelineStore(
            self.root, self.prefix, table_format, escape_formulas=self.escape_formulas
        )


def _output_name(context: dg.OutputContext) -> str:
    if not context.has_asset_key:
        return op_output_name(context)
    partition = None
    if context.has_asset_partitions:
        _ = context.asset_partition_key  # raises Dagster's own error if there are several
        (partition,) = partition_keys(context)
    return artifact_name(context.asset_key, partition)


def _publish(store: "PipelineStore", value: Any, name: str) -> "Published":
    if isinstance(value, Document):
        return store.publish_document(value.content, name, str(value.media_type))
    value = as_arrow(value)
    if is_table(value):
        return store.publish(value, name)
    if is_table_stream(value):
        return store.publish_stream(value, value.schema, name)
    if isinstance(
        value, Mapping
    ):  # an empty mapping is also stored as a set, and loads as an empty dict
        tables = {member: as_arrow(table) for member, table in value.items()}
        if all(_is_member(table) for table in tables.values()):
            return store.publish_set(tables, name)
        if any(map(is_document, value.values())):
            raise UnstorableValueError(
                f"{named(name)} is a dict with documents, which can't be stored together. Return "
                "each document from a pipeline of its own.",
                artifact=name,
            )
    return store.publish_json(value, name, missing_as_null=True)


def _is_member(value: Any) -> bool:
    """Whether a value is a table, a stream, or a table of an earlier version of a set."""
    from orch_assets.stores.stored_versions import StoredMember

    return is_table(value) or is_table_stream(value) or isinstance(value, StoredMember)


def _annotation(context: dg.InputContext) -> Any:
    try:
        return context.dagster_type.typing_type
    except dg.DagsterInvariantViolationError:  # the context was built without a type
        return None


def _requests_many(context: dg.InputContext, keys: list[str]) -> bool:
    """Whether an input is a collection of partitions, even if it has only one at the moment."""
    if len(keys) != 1 or not context.has_partition_key:
        return True
    # A study as the input from a study × date asset means all its dates, even if there is only one.
    has_dimensions = isinstance(keys[0], dg.MultiPartitionKey)
    return has_dimensions and not isinstance(context.partition_key, dg.MultiPartitionKey)


def _allows_missing(context: dg.InputContext) -> bool:
    return bool((context.definition_metadata or {}).get("allow_missing_partitions"))


def _as_of(context: dg.InputContext) -> str | None:
    """Return the moment, or the name of a mark, in an input's metadata; None without one."""
    as_of = (context.definition_metadata or {}).get("as_of")
    as_of = getattr(as_of, "value", as_of)  # Dagster may have made it a metadata value
    return None if as_of is None else str(as_of)


def _metadata(
    published: "Published", known: KnownNames, definition: Mapping[str, Any]
) -> dict[str, Any]:
    """Return an artifact's metadata, without columns if the asset's definition declares them."""
    metadata: dict[str, Any] = {
        URI: dg.MetadataValue.text(published.uri),
        "bytes": published.bytes,
        "sha256": published.sha256,
    }
    if published.rows is not None:
        metadata[ROW_COUNT] = published.rows
    declared = _declared_columns(definition)
    names = {name for name, _ in declared or ()}
    columns = tuple(
        (
            name if name in names or known.knows(name) else f"column {position}",
            with_known_names(named_column_type(type_), known.knows),
        )
        for position, (name, type_) in enumerate(published.columns)
    )
    if columns and columns != declared:
        metadata[COLUMN_SCHEMA] = _table_schema(columns)
    return metadata


def _declared_columns(definition: Mapping[str, Any]) -> tuple[tuple[str, str], ...] | None:
    """Return the names and types of the columns that an asset's definition declares."""
    declared = definition.get(COLUMN_SCHEMA)
    schema = getattr(declared, "schema", declared)  # a metadata value, or the schema itself
    if not isinstance(schema, dg.TableSchema):
        return None
    return tuple((column.name, column.type) for column in schema.columns)


@lru_cache(maxsize=256)  # hundreds of studies have the same columns
def _table_schema(columns: tuple[tuple[str, str], ...]) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name, type=type_) for name, type_ in columns])
