"""The marks that hold what an erasure would remove."""

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from orch_assets.marked_names import named, named_uri
from orch_assets.stores.erasing.erased_objects import ErasedArtifact
from orch_assets.stores.erasing.known_artifacts import ErasedStudy
from orch_assets.stores.object_keys import mark_prefix
from orch_assets.stores.order.marks import Mark

if TYPE_CHECKING:
    from orch_assets.stores.erasing.study_store import StudyStore

# The stores of which `orch-assets marks` removes marks.
_OF_COMMAND: Final = frozenset({"open", "restricted"})


def mark_refusals(
    study: ErasedStudy,
    label: str,
    store: "StudyStore",
    going: Sequence[ErasedArtifact],
    gone: Sequence[ErasedArtifact],
) -> Iterator[str]:
    """Yield which marks stand against an erasure, and how to remove them.

    Args:
        study: The study.
        label: What the store is called.
        store: The store.
        going: What is to be erased in all stores.
        gone: What an unfinished erasure lists.
    """
    whole = {each.uri for each in going if each.whole}
    versions = {(item.uri, each.sha256) for item in (*going, *gone) for each in item.versions}
    for key in store.marks.keys(store.prefix):
        mark, prefix = store.marks.read(key), mark_prefix(key) or ""
        if mark is None:
            continue
        held = {(store.uri(each.keys(prefix)), each.version) for each in mark.versions}
        uris = {uri for uri, _ in held}
        if mark.study == study.key or not held.isdisjoint(versions) or not uris.isdisjoint(whole):
            yield (
                f"The mark {named(mark.name)} ({mark}) holds versions that would go. "
                f"{_remedy(label, store, mark, key, prefix)}"
            )


def _remedy(label: str, store: "StudyStore", mark: Mark, key: str, prefix: str) -> str:
    if prefix == store.prefix and label in _OF_COMMAND:
        name, study = shlex.quote(mark.name), shlex.quote(mark.study)
        return f"Remove it with `orch-assets marks remove {name} --study {study}`."
    uri = store.backend.uri(key)
    return (
        f"It lies at {named_uri(uri, key)}: open that store, and remove the mark with "
        "store.remove_mark(…, study=…)."
    )
