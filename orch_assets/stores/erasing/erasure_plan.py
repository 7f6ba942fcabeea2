"""What an erasure would remove, and what a certificate says that it did."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import ErasureRefusedError
from orch_assets.stores.erasing.erased_objects import ErasedArtifact
from orch_assets.stores.erasing.erasure_record import ErasureRecord
from orch_assets.stores.formats.checked_json import digest

if TYPE_CHECKING:
    from orch_assets.stores.artifacts import Published
    from orch_assets.stores.erasing.study_store import StudyStore

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
        found_against: Those of ``blocked`` that are in the stores.
    """

    study: str
    stores: Mapping[str, tuple[ErasedArtifact, ...]]
    blocked: tuple[ErasureRefusedError, ...]
    unexamined: tuple[str, ...]
    foreign: tuple[str, ...]
    unfinished: ErasureRecord | None
    found_against: tuple[ErasureRefusedError, ...] = ()

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


def details_of(record: ErasureRecord, label: str) -> dict[str, Any]:
    """Return what a store other than the first one keeps itself: its part of the certificate."""
    artifacts = [each.to_certificate(hashes=True) for each in record.stores.get(label, ())]
    plain: list[dict[str, Any]] = json.loads(json.dumps(artifacts))
    return {
        "certificate": "details of the erasure of a study",
        "schema": _SCHEMA,
        "study": record.study,
        "id": record.id,
        "artifacts": plain,
    }


def certificate_of(
    record: ErasureRecord,
    stores: "Mapping[str, StudyStore]",
    verified: Mapping[str, Any],
    details: Mapping[str, Any],
    plan: ErasurePlan,
) -> dict[str, Any]:
    """Return the certificate of an erasure, as JSON values.

    Args:
        record: What went.
        stores: The stores, by what they are called.
        verified: What the verification of each found.
        details: For each but the first one, where the versions that went are listed, or None.
        plan: What nobody could judge, and what stays because no store wrote it.
    """
    sections = [
        {
            "store": label,
            "uri": store.root,
            "keeps_deleted_objects": store.backend.keeps_deleted(),
            "objects": sum(len(each.keys) for each in record.stores.get(label, ())),
            "artifacts": [
                each.to_certificate(hashes=label not in details)
                for each in record.stores.get(label, ())
            ],
            "details": details.get(label),
            "verified": verified[label],
        }
        for label, store in stores.items()
    ]
    value = {
        "certificate": "erasure of a study",
        "schema": _SCHEMA,
        "study": record.study,
        "id": record.id,
        "runs": [vars(each) for each in record.runs],
        "completed_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "stores": sections,
        "not_examined": list(plan.unexamined),
        "not_erased": list(plan.foreign),
    }
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return {**plain, "sha256": digest(plain)}
