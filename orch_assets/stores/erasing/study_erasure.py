"""Erasing a study from all stores: a plan to be confirmed, then the erasure, then a certificate.

The order is safe to interrupt. The record of all that goes is written first. Then the objects are
removed, what was stored meanwhile too, the stores are verified, and the certificate is published.
The record is removed last; see ``erasure_record``.
"""

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import ErasureRefusedError, StoreUnavailableError
from orch_assets.stores.erasing.erased_objects import ErasedArtifact
from orch_assets.stores.erasing.erasure_plan import (
    ErasureCertificate,
    ErasurePlan,
    certificate_of,
    details_of,
)
from orch_assets.stores.erasing.erasure_record import ErasureRecord, ErasureRecords, ErasureRun
from orch_assets.stores.erasing.known_artifacts import ErasedStudy
from orch_assets.stores.erasing.mark_refusals import mark_refusals
from orch_assets.stores.erasing.study_store import StudyStore
from orch_assets.stores.erasing.study_traces import FoundInStore, StudyTraces
from orch_assets.stores.manifest import publication_here_and_now
from orch_assets.study import check_study_key
from orch_assets.version import code_version

if TYPE_CHECKING:
    from orch_assets.stores.store import PipelineStore

Progress = Callable[[int, int], object]

# How often objects that appear while a study is erased are removed, too.
_SWEEPS: Final = 5


class StudyErasure:
    """Erases a study.

    Args:
        study_key: Key of the study.
        stores: The stores, by what they are called. The first one gets the certificate.
        parts: Further spellings of the key in the names of artifacts.
        over_studies: See ``ErasedStudy``. Artifacts of no study that are named like this one's, but
            aren't of one of these assets, stay.
        is_of_run: See ``ErasedStudy``.
        refusals: Yields what else stands against the erasure, as sentences. Asked before the stores
            are searched for what is left.
    """

    def __init__(
        self,
        study_key: str,
        stores: "Mapping[str, PipelineStore]",
        parts: Collection[str] = (),
        *,
        over_studies: Mapping[str, tuple[int, int]] | None = None,
        is_of_run: Callable[[str], bool | None] = lambda _run: None,
        refusals: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        known = frozenset({check_study_key(study_key), *parts})
        self._study = ErasedStudy(study_key, known, over_studies or {}, is_of_run)
        self._published = {**stores}
        self._main = next(iter(stores.values()))
        self._refusals = refusals
        views: dict[str, StudyStore] = {}
        for label, store in stores.items():
            view = store.study_store()
            if view.place not in {each.place for each in views.values()}:
                views[label] = view
        places = [view.place for view in views.values()]
        self._stores = {label: view.without(places) for label, view in views.items()}
        main, *others = self._stores.values()
        self._records = ErasureRecords(self._study, main, others)

    def plan(self) -> ErasurePlan:
        """Return what would be erased; changes nothing.

        Raises:
            ArtifactCorruptError: A mark, or a table of the whole account, can't be read.
            StoreUnavailableError: A store can't be read.
        """
        refused = [*self._refusals()]
        unfinished = self._records.read()
        traces = StudyTraces(self._study, self._stores, unfinished.stores if unfinished else {})
        stores: Mapping[str, tuple[ErasedArtifact, ...]] = {
            label: tuple(found.artifacts) for label, found in traces.found.items()
        }
        if unfinished:
            still_there = {
                label: tuple(self._still_there(found)) for label, found in traces.found.items()
            }
            stores = replace(unfinished, stores=still_there).with_found(stores).stores
        against = (*map(ErasureRefusedError, self._other_stores(unfinished)), *traces.blocked)
        return ErasurePlan(
            self._study.key,
            stores,
            (*map(ErasureRefusedError, refused), *against),
            tuple(traces.unexamined),
            tuple(self._foreign(stores)),
            unfinished,
            against,
        )

    def carry_out(self, plan: ErasurePlan, progress: Progress) -> ErasureCertificate:
        """Erase what a plan lists, verify the stores, and certify both.

        Args:
            plan: A plan that was made just now.
            progress: Called with the number of objects verified in a store, and of all its objects.

        Raises:
            ErasureRefusedError: Something stands against it, and nothing was changed; or something
                came to do so meanwhile, and the erasure is unfinished.
            StoreUnavailableError: A store can't be read or written. If the erasure had begun, it is
                unfinished: run it again.
        """
        if plan.blocked:
            raise ErasureRefusedError(" ".join(each.marked for each in plan.blocked))
        self._check_deletion()
        record = plan.unfinished or ErasureRecord(self._study.key, uuid.uuid4().hex)
        roots = {label: store.root for label, store in self._stores.items()}
        record = replace(record, runs=(*record.runs, _this_run()), roots=roots)
        record = self._removed(record, plan.stores)
        for _ in range(_SWEEPS):
            record = self._swept(record)
            verified = {label: self._verified(label, progress) for label in self._stores}
            # Who began after the sweep found nothing of the study, and may be publishing now.
            left, traces = self._left(record, is_swept=True)
            if not left:
                break
        else:
            raise self._busy()
        self._remove_folders(record)
        foreign = tuple(self._foreign(record.stores))
        now = replace(plan, unexamined=tuple(traces.unexamined), foreign=foreign)
        details = self._publish_details(record)
        value = certificate_of(record, self._stores, verified, details, now)
        published = self._main.publish_json(value, self._study.certificate)
        self._records.remove()
        faults = [fault for each in verified.values() for fault in each["faults"]]
        return ErasureCertificate(value, published, tuple(faults))

    def _publish_details(self, record: ErasureRecord) -> dict[str, dict[str, str] | None]:
        """Publish in each other store which of its versions went; return where that is."""
        details: dict[str, dict[str, str] | None] = {}
        for label in [*self._stores][1:]:
            details[label] = None
            if record.stores.get(label):
                value = details_of(record, label)
                published = self._published[label].publish_json(value, self._study.certificate)
                details[label] = {"uri": published.uri, "sha256": published.sha256}
        return details

    def _other_stores(self, unfinished: ErasureRecord | None) -> Iterator[str]:
        """Yield why an unfinished erasure was one of other stores than these."""
        for label, root in (unfinished.roots if unfinished else {}).items():
            if label not in self._stores or self._stores[label].root != root:
                yield (
                    f"The unfinished erasure of the study is also one of the {label} store at "
                    f"{root}, which isn't a store of the code location now. Let it have that store "
                    "again until the erasure is complete."
                )
        for see in self._records.elsewhere():
            yield (
                f"An erasure of the study is unfinished, whose record is at {see}. Let the code "
                "location have that store as its open one until the erasure is complete."
            )

    def _still_there(self, found: FoundInStore) -> Iterator[ErasedArtifact]:
        """Yield what a record lists and what is still there, unless something that stays has it."""
        store, backend = found.store, found.store.backend
        listed = {*backend.list(store.prefix, hidden=True)}
        staying = {store.uri(each.keys): each for each in found.staying}
        for artifact in found.recorded:
            keys: Sequence[str] = [key for key in artifact.keys if key in listed]
            if artifact.uri in staying and keys:
                own = staying[artifact.uri]
                keys = [key for key in store.unused(own, artifact) if key in listed]
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
            left, _ = self._left(record)
            if not left:
                return record
            record = self._removed(record, left)
        raise self._busy()

    def _left(
        self, record: ErasureRecord, *, is_swept: bool = False
    ) -> tuple[dict[str, tuple[ErasedArtifact, ...]], StudyTraces]:
        """Return what there is of the study, in stores that have something.

        Raises:
            ErasureRefusedError: Something stands against its removal.
        """
        # First: what has ended by now is found below.
        refused = [] if is_swept else [*self._refusals()]
        traces = StudyTraces(self._study, self._stores, record.stores, leftovers=not is_swept)
        self._check_refusals([*refused, *(each.marked for each in traces.blocked)])
        found = {label: tuple(each.artifacts) for label, each in traces.found.items()}
        return {label: artifacts for label, artifacts in found.items() if artifacts}, traces

    def _check_refusals(self, reasons: Sequence[str]) -> None:
        if reasons:
            raise ErasureRefusedError(
                f"The erasure of study {self._study.key} is unfinished: run `orch-assets erase` "
                f"again once nothing stands against it. {' '.join(reasons)}"
            )

    def _removed(
        self, record: ErasureRecord, found: Mapping[str, Sequence[ErasedArtifact]]
    ) -> ErasureRecord:
        """Remove objects, and return the record with them, which is written first.

        Those of the first store go last, since they lead to others.

        Raises:
            ErasureRefusedError: What goes was marked since it was found; it stays.
        """
        record = record.with_found(found)
        self._records.write(record)
        going = [each for artifacts in found.values() for each in artifacts]
        for label, store in self._stores.items():
            self._check_refusals([*mark_refusals(self._study, label, store, going, ())])
        for label in reversed([*self._stores]):
            for artifact in found.get(label, ()):
                self._remove(label, artifact, record.whole)
        return record

    def _remove(self, label: str, artifact: ErasedArtifact, whole: Collection[str]) -> None:
        """Remove an artifact's objects as far as it doesn't need them now."""
        store, keys = self._stores[label], artifact.keys
        if not artifact.whole:
            store.mend_copies(artifact)
        now = store.again(store.keys_of(artifact))
        is_whole = artifact.whole and (now is None or now.is_of(self._study, whole, artifact.uri))
        if now and not is_whole:
            keys = tuple(store.unused(now, artifact))
        store.remove(artifact, keys)

    def _remove_folders(self, record: ErasureRecord) -> None:
        for label, artifacts in record.stores.items():
            for artifact in artifacts if label in self._stores else ():
                for folder in artifact.folders:
                    self._stores[label].backend.remove_empty_folders(folder)

    def _foreign(self, stores: Mapping[str, Sequence[ErasedArtifact]]) -> list[str]:
        listed = {
            label: {key for each in stores.get(label, ()) for key in each.keys}
            for label in self._stores
        }
        uris = {
            self._stores[label].backend.uri(key) for label, keys in listed.items() for key in keys
        }
        found = {
            store.backend.uri(key)
            for label, store in self._stores.items()
            for key in store.foreign(self._study, listed[label])
        }
        return sorted(found - uris - self._record_uris())

    def _record_uris(self) -> set[str]:
        stores = self._stores.values()
        return {store.backend.uri(store.record_key(self._study)) for store in stores}

    def _verified(self, label: str, progress: Progress) -> dict[str, Any]:
        store = self._stores[label]
        problems = store.verify(progress)
        others = [each for each in problems if each.uri not in self._record_uris()]
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "objects": store.count(),
            "faults": [str(each) for each in others if not each.leftover],
            "leftovers": sum(each.leftover for each in others),
        }

    def _busy(self) -> ErasureRefusedError:
        return ErasureRefusedError(
            f"Study {self._study.key} is being published while it is erased, so its erasure is "
            "unfinished. Stop what publishes it, and run `orch-assets erase` again."
        )


def _this_run() -> ErasureRun:
    here = publication_here_and_now()
    return ErasureRun(f"{here.user}@{here.host}", here.published_at, code_version())
