"""Erasing a study from all stores: a plan to be confirmed, then the erasure, then a certificate.

The order is safe to interrupt. The record of all that goes is written first. Then the objects are
removed, what was stored meanwhile too, the stores are verified, and the certificate is published.
The record is removed last; see ``erasure_record``.
"""

import json
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import ErasureRefusedError, StoreUnavailableError
from orch_assets.stores.erasing.erased_objects import ErasedArtifact
from orch_assets.stores.erasing.erasure_record import (
    ErasureRecord,
    ErasureRecords,
    ErasureRun,
    digest,
)
from orch_assets.stores.erasing.study_store import ErasedStudy
from orch_assets.stores.erasing.study_traces import FoundInStore, StudyTraces
from orch_assets.stores.manifest import publication_here_and_now
from orch_assets.study import check_study_key
from orch_assets.version import code_version

if TYPE_CHECKING:
    from orch_assets.stores.artifacts import Published
    from orch_assets.stores.store import PipelineStore

Progress = Callable[[int, int], object]

# How often objects that appear while a study is erased are removed, too.
_SWEEPS: Final = 5
_SCHEMA: Final = 1


@dataclass(frozen=True)
class ErasurePlan:
    """What an erasure would remove now.

    Attributes:
        study: Key of the study.
        stores: What goes, by what its store is called.
        blocked: What stands against it, and what to do.
        unexamined: Artifacts of which nobody can tell whether they hold the study's data.
        foreign: URIs of objects that bear the study's key, but weren't written by a store.
        unfinished: The record of an erasure of the study that has not ended; None without one.
    """

    study: str
    stores: Mapping[str, tuple[ErasedArtifact, ...]]
    blocked: tuple[ErasureRefusedError, ...]
    unexamined: tuple[str, ...]
    foreign: tuple[str, ...]
    unfinished: ErasureRecord | None

    @property
    def artifacts(self) -> list[ErasedArtifact]:
        """What goes, in all stores."""
        return [each for artifacts in self.stores.values() for each in artifacts]

    @property
    def objects(self) -> int:
        """Number of objects that go."""
        return sum(len(each.keys) for each in self.artifacts)

    @property
    def versions(self) -> int:
        """Number of versions that go."""
        return sum(len(each.versions) for each in self.artifacts)

    @property
    def bytes(self) -> int:
        """Number of bytes in these versions; what several sets share is counted for each."""
        return sum(version.bytes for each in self.artifacts for version in each.versions)

    @property
    def newest(self) -> str | None:
        """When the study was published last; None if that can't be told."""
        moments = [
            version.last_published_at
            for each in self.artifacts
            if each.whole
            for version in each.versions
        ]
        return max(filter(None, moments), default=None)


@dataclass(frozen=True)
class ErasureCertificate:
    """What was erased.

    Attributes:
        value: The certificate, as JSON values.
        published: The artifact that holds it.
        faults: What the verification found wrong in the stores.
    """

    value: Mapping[str, Any]
    published: "Published"
    faults: tuple[str, ...]


class StudyErasure:
    """Erases a study.

    Args:
        study_key: Key of the study.
        stores: The stores, by what they are called. The first one gets the certificate.
        parts: Further spellings of the key in the names of artifacts.
    """

    def __init__(
        self,
        study_key: str,
        stores: "Mapping[str, PipelineStore]",
        parts: Collection[str] = (),
    ) -> None:
        self._study = ErasedStudy(check_study_key(study_key), frozenset({study_key, *parts}))
        self._main = next(iter(stores.values()))
        views = {label: store.study_store() for label, store in stores.items()}
        roots = [store.root for store in views.values()]
        self._stores = {label: store.without(roots) for label, store in views.items()}
        main, *others = self._stores.values()
        self._records = ErasureRecords(self._study, main, others)

    def plan(self) -> ErasurePlan:
        """Return what would be erased; changes nothing.

        Raises:
            ArtifactCorruptError: A mark, or a table of the whole account, can't be read.
            StoreUnavailableError: A store can't be read.
        """
        unfinished = self._records.read()
        traces = StudyTraces(self._study, self._stores, _whole(unfinished))
        stores: Mapping[str, tuple[ErasedArtifact, ...]] = {
            label: tuple(found.artifacts) for label, found in traces.found.items()
        }
        if unfinished:
            still_there = {
                label: tuple(self._still_there(found, unfinished.stores.get(label, ())))
                for label, found in traces.found.items()
            }
            stores = replace(unfinished, stores=still_there).with_found(stores).stores
        return ErasurePlan(
            self._study.key,
            stores,
            tuple(traces.blocked),
            tuple(traces.unexamined),
            tuple(self._foreign(stores)),
            unfinished,
        )

    def carry_out(self, plan: ErasurePlan, progress: Progress) -> ErasureCertificate:
        """Erase what a plan lists, verify the stores, and certify both.

        Args:
            plan: A plan that was made just now.
            progress: Called with the number of objects verified in a store, and of all its objects.

        Raises:
            ErasureRefusedError: Something stands against it, and nothing was changed; or the study
                is published again and again, and the erasure is unfinished.
            StoreUnavailableError: A store can't be read or written. If the erasure had begun, it is
                unfinished: run it again.
        """
        if plan.blocked:
            raise ErasureRefusedError(" ".join(each.marked for each in plan.blocked))
        self._check_deletion()
        record = plan.unfinished or ErasureRecord(self._study.key, uuid.uuid4().hex, (), {})
        record = replace(record, runs=(*record.runs, _this_run())).with_found(plan.stores)
        self._records.write(record)
        self._remove(plan.stores)
        for _ in range(_SWEEPS):
            record = self._swept(record)
            verified = {label: self._verified(label, progress) for label in self._stores}
            if not self._left(record):
                break
        else:
            raise self._busy()
        self._remove_folders(record)
        value = self._certificate(record, verified, plan)
        published = self._main.publish_json(value, self._study.certificate)
        self._records.remove()
        faults = [fault for each in verified.values() for fault in each["faults"]]
        return ErasureCertificate(value, published, tuple(faults))

    def _still_there(
        self, found: FoundInStore, recorded: Iterable[ErasedArtifact]
    ) -> Iterator[ErasedArtifact]:
        """Yield what a record lists and what is still there, unless something that stays has it."""
        store, backend = found.store, found.store.backend
        listed = {*backend.list(store.prefix, hidden=True)}
        staying = {store.uri(each.keys): each for each in found.staying}
        for artifact in recorded:
            keys: Sequence[str] = [key for key in artifact.keys if key in listed]
            if artifact.uri in staying:
                keys = store.unused(staying[artifact.uri], keys)
            if keys:
                yield replace(artifact, keys=tuple(keys))

    def _check_deletion(self) -> None:
        for store in self._stores.values():
            try:
                store.check_deletion()
            except StoreUnavailableError as error:
                raise StoreUnavailableError(
                    f"Objects can't be deleted here, so nothing was changed. {error.marked}",
                    artifact=error.artifact,
                ) from None

    def _swept(self, record: ErasureRecord) -> ErasureRecord:
        """Remove what was stored since, too; return the record with it."""
        for _ in range(_SWEEPS):
            left = self._left(record)
            if not left:
                return record
            record = record.with_found(left)
            self._records.write(record)
            self._remove(left)
        raise self._busy()

    def _left(self, record: ErasureRecord) -> dict[str, tuple[ErasedArtifact, ...]]:
        """Return what there is of the study, in stores that have something."""
        uris = _whole(record)
        found = {
            label: tuple(
                store.whole(each)
                for each in store.artifacts(self._study, uris)
                if store.is_of_study(each, self._study)
            )
            for label, store in self._stores.items()
        }
        return {label: artifacts for label, artifacts in found.items() if artifacts}

    def _remove(self, stores: Mapping[str, Sequence[ErasedArtifact]]) -> None:
        """Remove objects: those of the restricted store first, since open ones lead to them."""
        for label in reversed([*self._stores]):
            store = self._stores[label]
            for artifact in stores.get(label, ()):
                if not artifact.whole:
                    store.mend_copies(artifact)
                for key in artifact.keys:
                    store.backend.delete(key)

    def _remove_folders(self, record: ErasureRecord) -> None:
        for label, artifacts in record.stores.items():
            for artifact in artifacts if label in self._stores else ():
                for folder in artifact.folders:
                    self._stores[label].backend.remove_empty_folders(folder)

    def _foreign(self, stores: Mapping[str, Sequence[ErasedArtifact]]) -> list[str]:
        listed = {
            self._stores[label].backend.uri(key)
            for label, artifacts in stores.items()
            for each in artifacts
            for key in each.keys
        }
        found = {
            store.backend.uri(key)
            for store in self._stores.values()
            for key in store.foreign(self._study)
        }
        return sorted(found - listed - self._record_uris())

    def _record_uris(self) -> set[str]:
        stores = self._stores.values()
        return {store.backend.uri(store.record_key(self._study)) for store in stores}

    def _verified(self, label: str, progress: Progress) -> dict[str, Any]:
        store, totals = self._stores[label], [0]

        def count(done: int, total: int) -> None:
            totals.append(total)
            progress(done, total)

        problems = store.verify(count)
        others = [each for each in problems if each.uri not in self._record_uris()]
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "objects": max(totals),
            "faults": [str(each) for each in others if not each.leftover],
            "leftovers": sum(each.leftover for each in others),
        }

    def _certificate(
        self, record: ErasureRecord, verified: Mapping[str, Any], plan: ErasurePlan
    ) -> dict[str, Any]:
        stores = [
            {
                "store": label,
                "uri": store.root,
                "keeps_deleted_objects": store.backend.keeps_deleted(),
                "objects": sum(len(each.keys) for each in record.stores.get(label, ())),
                "artifacts": [each.to_certificate() for each in record.stores.get(label, ())],
                "verified": verified[label],
            }
            for label, store in self._stores.items()
        ]
        value = {
            "certificate": "erasure of a study",
            "schema": _SCHEMA,
            "study": record.study,
            "id": record.id,
            "runs": [vars(each) for each in record.runs],
            "completed_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "stores": stores,
            "not_examined": list(plan.unexamined),
            "not_erased": list(plan.foreign),
        }
        plain: dict[str, Any] = json.loads(json.dumps(value))
        return {**plain, "sha256": digest(plain)}

    def _busy(self) -> ErasureRefusedError:
        return ErasureRefusedError(
            f"Study {self._study.key} is being published while it is erased, so its erasure is "
            "unfinished. Stop what publishes it, and run `orch-assets erase` again."
        )


def _whole(record: ErasureRecord | None) -> set[str]:
    """Return the URIs of the whole artifacts that a record lists."""
    listed = record.stores.values() if record else ()
    return {each.uri for artifacts in listed for each in artifacts if each.whole}


def _this_run() -> ErasureRun:
    here = publication_here_and_now()
    return ErasureRun(f"{here.user}@{here.host}", here.published_at, code_version())
