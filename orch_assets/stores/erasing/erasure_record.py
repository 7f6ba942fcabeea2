"""The record of an unfinished erasure: what it will remove, written before it removes anything.

A process that is killed leaves it behind. ``verify`` then reports it, and the next erasure of the
study completes it, so that the certificate lists what went in all runs. It is in the open store;
the other stores have a note in the same place while it is there.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orch_assets.errors import ArtifactCorruptError, ArtifactNotFoundError
from orch_assets.marked_names import named_uri
from orch_assets.stores.erasing.erased_objects import ErasedArtifact, merged_artifacts
from orch_assets.stores.erasing.known_artifacts import ErasedStudy
from orch_assets.stores.formats.checked_json import from_checked_json, to_checked_json
from orch_assets.stores.spooling import spool

if TYPE_CHECKING:
    from orch_assets.stores.erasing.study_store import StudyStore


@dataclass(frozen=True)
class ErasureRun:
    """A process that worked on an erasure.

    Attributes:
        by: Account name in the operating system, and name of the machine.
        at: When it began, in UTC, ISO 8601.
        release: Version of this package.
    """

    by: str
    at: str
    release: str


@dataclass(frozen=True)
class ErasureRecord:
    """What an erasure removes.

    Attributes:
        study: Key of the study.
        id: ID of the erasure.
        runs: The processes that worked on it, the first one first.
        stores: What goes, by what its store is called.
        roots: URIs of these stores.
    """

    study: str
    id: str
    runs: tuple[ErasureRun, ...] = ()
    stores: Mapping[str, tuple[ErasedArtifact, ...]] = field(default_factory=dict)
    roots: Mapping[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> set[str]:
        """URIs of the whole artifacts that go."""
        return {each.uri for found in self.stores.values() for each in found if each.whole}

    @property
    def objects(self) -> int:
        """Number of the objects that go."""
        return sum(len(each.keys) for found in self.stores.values() for each in found)

    def with_found(self, found: Mapping[str, Sequence[ErasedArtifact]]) -> "ErasureRecord":
        """Return the record with what was found since."""
        labels = dict.fromkeys([*self.stores, *found])
        stores = {
            label: merged_artifacts(self.stores.get(label, ()), found.get(label, ()))
            for label in labels
        }
        return replace(self, stores=stores)

    def to_bytes(self) -> bytes:
        """Return the stored form, with a checksum."""
        return to_checked_json("erasure", asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> "ErasureRecord":
        """Read a stored record.

        Raises:
            ValueError: The data is not a record.
        """
        value = from_checked_json("erasure", data)
        try:
            runs = tuple(ErasureRun(**each) for each in value["runs"])
            stores = {
                label: tuple(map(ErasedArtifact.from_json, artifacts))
                for label, artifacts in value["stores"].items()
            }
            return cls(value["study"], value["id"], runs, stores, {**value["roots"]})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(type(error).__name__) from None


class ErasureRecords:
    """Where the record of a study's erasure is stored.

    Args:
        study: The study.
        main: The store of the record.
        others: The stores that get a note.
    """

    def __init__(
        self, study: ErasedStudy, main: "StudyStore", others: "Sequence[StudyStore]"
    ) -> None:
        self._study = study
        self._main = main
        self._others = others

    def read(self) -> ErasureRecord | None:
        """Return the record; None if no erasure of the study is unfinished.

        None, too, if there is a note of an erasure whose first store was another one.

        Raises:
            ArtifactCorruptError: It can't be read.
        """
        key = self._main.record_key(self._study)
        if "see" in self._note(self._main):
            return None
        try:
            with self._main.backend.open(key) as file:
                return ErasureRecord.from_bytes(file.read())
        except ArtifactNotFoundError:
            return None
        except ValueError:
            uri = named_uri(self._main.backend.uri(key), key)
            raise ArtifactCorruptError(
                f"The record of an erasure at {uri} is not what was written there, so nobody can "
                "tell what has gone. Keep a copy of that object, remove it, and erase again."
            ) from None

    def elsewhere(self) -> Iterator[str]:
        """Yield the addresses of records to which the notes in the other stores lead.

        Then the first store was another one when the erasure began.
        """
        own = self._main.backend.uri(self._main.record_key(self._study))
        notes = (self._note(store).get("see", own) for store in (self._main, *self._others))
        yield from dict.fromkeys(str(see) for see in notes if see != own)

    def write(self, record: ErasureRecord) -> None:
        """Store the record, and a note in the other stores."""
        self._put(self._main, record.to_bytes())
        see = self._main.backend.uri(self._main.record_key(self._study))
        for store in self._others:
            if "erasure" not in self._note(store):  # never over a record
                self._put(store, json.dumps({"study": self._study.key, "see": see}).encode())

    def remove(self) -> None:
        """Remove the notes and then the record, at the end of the erasure."""
        for store in (*self._others, self._main):
            store.backend.delete(store.record_key(self._study))

    def _note(self, store: "StudyStore") -> Mapping[str, Any]:
        try:
            with store.backend.open(store.record_key(self._study)) as file:
                found = json.load(file)
        except (ArtifactNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _put(self, store: "StudyStore", data: bytes) -> None:
        with store.backend.spool() as path:
            spooled = spool(path, lambda file: file.write(data))
            store.backend.put(spooled, store.record_key(self._study))
