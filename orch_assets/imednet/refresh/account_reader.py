"""Which account a study was read from: test and production accounts have the same study keys."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from orch_assets.errors import StudyNotFoundError
from orch_assets.study import current_run

if TYPE_CHECKING:
    from orch_assets.imednet.models import Study


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


def _digest(row: "Study") -> str:
    facts = repr((row.study_id, row.sponsor_key, row.date_created))
    return hashlib.sha256(facts.encode()).hexdigest()
