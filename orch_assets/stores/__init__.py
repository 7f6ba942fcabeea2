"""Artifact stores: tables, sets of tables and JSON values, verified and with their history."""

from typing import TYPE_CHECKING

from orch_assets.lazy import attributes_of

if TYPE_CHECKING:
    from orch_assets.stores.artifacts import ArtifactKind, Published, StorageFormat
    from orch_assets.stores.backends.gcs import GCSPipelineStore
    from orch_assets.stores.backends.local import LocalPipelineStore
    from orch_assets.stores.backends.s3 import S3PipelineStore
    from orch_assets.stores.lineage import derived_from, note_input, noting_inputs, published_by
    from orch_assets.stores.maintenance.verification import Problem
    from orch_assets.stores.manifest import Content, Manifest, Publication
    from orch_assets.stores.opening import open_store
    from orch_assets.stores.store import PipelineStore

_HOMES = {
    "ArtifactKind": "artifacts",
    "Content": "manifest",
    "Problem": "maintenance.verification",
    "GCSPipelineStore": "backends.gcs",
    "LocalPipelineStore": "backends.local",
    "Manifest": "manifest",
    "PipelineStore": "store",
    "Publication": "manifest",
    "Published": "artifacts",
    "S3PipelineStore": "backends.s3",
    "StorageFormat": "artifacts",
    "derived_from": "lineage",
    "note_input": "lineage",
    "noting_inputs": "lineage",
    "open_store": "opening",
    "published_by": "lineage",
}

__all__ = [
    "ArtifactKind",
    "Content",
    "GCSPipelineStore",
    "LocalPipelineStore",
    "Manifest",
    "PipelineStore",
    "Problem",
    "Publication",
    "Published",
    "S3PipelineStore",
    "StorageFormat",
    "derived_from",
    "note_input",
    "noting_inputs",
    "open_store",
    "published_by",
]

__getattr__, __dir__ = attributes_of(__name__, _HOMES, former={"Fault": "Problem"})
