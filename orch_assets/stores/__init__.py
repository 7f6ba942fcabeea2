"""Artifact stores: tables, sets of tables and JSON values, whole, verified, with their history."""

from orch_assets.stores.artifacts import ArtifactKind, Published
from orch_assets.stores.formats import StorageFormat
from orch_assets.stores.local import LocalPipelineStore
from orch_assets.stores.manifest import Content, Manifest, Publication
from orch_assets.stores.names import decode_part, encode_part
from orch_assets.stores.opening import open_store
from orch_assets.stores.store import PipelineStore

__all__ = [
    "ArtifactKind",
    "Content",
    "LocalPipelineStore",
    "Manifest",
    "PipelineStore",
    "Publication",
    "Published",
    "StorageFormat",
    "decode_part",
    "encode_part",
    "open_store",
]
