"""The IO manager over the artifact stores; for study pipelines and for any other asset."""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.errors import DagsterInvariantViolationError

from orch_assets.defs.resources import StoreResource
from orch_assets.defs.table_types import is_table, is_table_stream
from orch_assets.errors import ArtifactNotFoundError
from orch_assets.stores.names import encode_part

if TYPE_CHECKING:
    from orch_assets.stores import ArtifactKind, PipelineStore, Published


class StudyIOManager(dg.ConfigurableIOManager):
    """Keeps each asset's result in a store, one artifact a partition: ``<asset>/<partition>``.

    A table (pandas or Arrow) or a stream of record batches becomes a table; a mapping from names
    to tables one artifact set; anything else a JSON value. A downstream asset gets a table as its
    annotation says, ``pandas.DataFrame`` by default; several partitions as a dict by partition.

    Example:
        >>> StudyIOManager(store=StoreResource(uri="/data/artifacts")).store.location()
        '/data/artifacts'
    """

    store: StoreResource

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Publish a result and tell its rows, bytes, URI, hash and columns as metadata.

        Raises:
            StoreError: it can't be stored; nothing was published.
        """
        partition = context.asset_partition_key if context.has_asset_partitions else None
        name = artifact_name(context.asset_key, partition)
        context.add_output_metadata(_metadata(_publish(self.store.store, obj, name)))

    def load_input(self, context: dg.InputContext) -> Any:
        """Return a result, or the results of several partitions as a dict.

        Raises:
            ArtifactNotFoundError: it was never stored.
            ArtifactCorruptError: what is stored is not what was published.
        """
        arrow = _wants_arrow(context)
        if not context.has_asset_partitions:
            return _load(self.store.store, artifact_name(context.asset_key, None), arrow=arrow)
        loaded = {
            key: _load(self.store.store, artifact_name(context.asset_key, key), arrow=arrow)
            for key in context.asset_partition_keys
        }
        return next(iter(loaded.values())) if len(loaded) == 1 else loaded


def artifact_name(key: dg.AssetKey, partition: str | None) -> str:
    """Return the artifact's name of an asset's partition; different for different ones."""
    parts = [*key.path, *([] if partition is None else [partition])]
    return "/".join(encode_part(part) for part in parts)


def _publish(store: "PipelineStore", value: Any, name: str) -> "Published":
    if is_table(value):
        return store.publish(value, name)
    if is_table_stream(value):
        return store.publish_stream(value, value.schema, name)
    if isinstance(value, Mapping) and value and all(is_table(each) for each in value.values()):
        return store.publish_set(value, name)
    return store.publish_json(value, name)


def _load(store: "PipelineStore", name: str, *, arrow: bool) -> Any:
    from orch_assets.stores import ArtifactKind

    kind = _newest_kind(store, name)
    if kind is ArtifactKind.JSON:
        return store.download_json(name)
    if kind is ArtifactKind.SET:
        return store.download_set_tables(name) if arrow else store.download_set(name)
    return store.download_table(name) if arrow else store.download(name)


def _newest_kind(store: "PipelineStore", name: str) -> "ArtifactKind":
    """Return what was last published under a name: a pipeline may come to return another kind."""
    from orch_assets.stores import ArtifactKind

    kinds = [kind for kind in ArtifactKind if store.exists(name, kind=kind)]
    if not kinds:
        raise ArtifactNotFoundError(
            f"Nothing is stored as {name}: materialize it first.", artifact=name
        )
    if len(kinds) == 1:
        return kinds[0]
    return max(
        kinds, key=lambda kind: store.manifest(name, kind=kind).publications[-1].published_at
    )


def _wants_arrow(context: dg.InputContext) -> bool:
    try:
        wanted = context.dagster_type.typing_type
    except DagsterInvariantViolationError:  # a context that somebody built without a type
        wanted = None
    return getattr(wanted, "__module__", "").startswith("pyarrow")


def _metadata(published: "Published") -> dict[str, Any]:
    told: dict[str, Any] = {
        "uri": dg.MetadataValue.text(published.uri),
        "bytes": published.bytes,
        "sha256": published.sha256,
    }
    if published.rows is not None:
        told["rows"] = published.rows
    if published.columns:
        told["dagster/column_schema"] = _table_schema(published.columns)
    return told


@lru_cache(maxsize=256)  # hundreds of studies have the same columns
def _table_schema(columns: tuple[tuple[str, str], ...]) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name, type=type_) for name, type_ in columns])
