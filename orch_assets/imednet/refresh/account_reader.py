"""Which account a study was read from: test and production accounts have the same study keys."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from orch_assets.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    OtherRegistryError,
    StudyNotFoundError,
)
from orch_assets.refreshing import PreviousResult
from orch_assets.study import current_run

if TYPE_CHECKING:
    import pyarrow as pa

    from orch_assets.imednet.models import Study

# They tell studies of two accounts apart, and don't change.
_FACTS: Final = ("study_id", "sponsor_key", "date_created")


class AccountReader:
    """Reads the list of studies, once for each run. Thread-safe.

    Args:
        studies: Reads the list.
    """

    def __init__(self, studies: "Callable[[], Iterable[Study]]") -> None:
        self._studies = studies
        self._lock = threading.Lock()
        self._run: str | None = None
        self._digests: Mapping[str, str] = {}

    def digest(self, study_key: str) -> str:
        """Return a digest of the study's row: its ID, its sponsor and when it was created.

        Raises:
            StudyNotFoundError: The account doesn't list the study.
            RegistryError: The list can't be read completely.
        """
        run = current_run()
        with self._lock:
            if run is None or run != self._run or study_key not in self._digests:
                self._digests = {row.study_key or "": _digest(row) for row in self._studies()}
                self._run = run
            if study_key not in self._digests:
                raise StudyNotFoundError(study_key, 0)
            return self._digests[study_key]


def require_same_study(study_key: str, row: "pa.Table", previous: PreviousResult | None) -> None:
    """Refuse to replace the row of another account's study with the same key.

    Args:
        study_key: The study.
        row: The study's row in the list of studies.
        previous: The stored row; None if there is none.

    Raises:
        OtherRegistryError: It was read from another account, and must stay.
    """
    if previous is None or previous.accept_other_registry:
        return
    try:
        stored = previous.table.columns(_FACTS)
    except (KeyError, ArtifactCorruptError, ArtifactNotFoundError):
        return  # nothing is known of it
    if stored.to_pylist() != row.select(_FACTS).to_pylist():
        raise OtherRegistryError(study_key, "studies", "account")


def _digest(row: "Study") -> str:
    facts = repr(tuple(getattr(row, name) for name in _FACTS))
    return hashlib.sha256(facts.encode()).hexdigest()
