"""The data and state behind the server: which studies there are, and their rows.

Any thread may ask and change; the server sees a change with its next request.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from orch_assets.demo.read_api import ENDPOINTS, STUDIES
from orch_assets.demo.row_tables import Row, Table
from orch_assets.demo.studies import StudyPlan, make_study, plan_studies, plan_study
from orch_assets.study import check_study_key

Access = Literal["open", "forbidden", "unknown"]
Change = Callable[["DemoRegistry"], None]


@dataclass
class _Study:
    """A study of the registry; its tables are made when they are first asked for."""

    plan: StudyPlan
    hidden: bool = False
    forbidden: bool = False
    tables: Mapping[str, Table] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def table(self, endpoint: str) -> Table:
        with self.lock:
            if self.tables is None:
                self.tables = {
                    name: Table(ENDPOINTS[name], rows)
                    for name, rows in make_study(self.plan).items()
                }
        return self.tables[endpoint]


@dataclass(frozen=True)
class _PageHook:
    endpoint: str
    page: int
    study_key: str | None
    change: Change


class DemoRegistry:
    """Made-up studies: the same seed and sizes give the same rows, always.

    Args:
        studies: how many.
        subjects: per study, on average; a study's own number varies around it.
        seed: of everything.

    Example:
        >>> registry = DemoRegistry(studies=3, subjects=5)
        >>> registry.study_keys()
        ['ONC-301', 'CARD-202', 'DERM-104']
        >>> registry.hide_study("CARD-202")
        >>> registry.study_keys()
        ['ONC-301', 'DERM-104']
    """

    def __init__(self, studies: int = 12, subjects: int = 40, seed: int = 7) -> None:
        self._subjects = subjects
        self._seed = seed
        self._lock = threading.RLock()
        self._studies = {plan.key: _Study(plan) for plan in plan_studies(studies, subjects, seed)}
        self._hooks: list[_PageHook] = []
        self._listing = self._list_studies()

    def study_keys(self) -> list[str]:
        """Return the keys that the registry lists, in the order of the studies' IDs."""
        return [row["studyKey"] for row in self._listing.rows]

    def access(self, study_key: str) -> Access:
        """Return what the server's keys may do with a study."""
        study = self._studies.get(study_key)
        if study is None or study.hidden:
            return "unknown"
        return "forbidden" if study.forbidden else "open"

    def made_up(self, study_key: str) -> bool:
        """Return whether a study's rows exist already; they are made when first asked for."""
        return self._studies[study_key].tables is not None

    def table(self, endpoint: str, study_key: str | None) -> Table:
        """Return an endpoint's table; of a study that is hidden or forbidden too.

        Args:
            endpoint: the API's name, such as ``"recordRevisions"``.
            study_key: None for ``"studies"``.

        Raises:
            KeyError: no such study or endpoint.
        """
        if endpoint == STUDIES.name:
            return self._listing
        if study_key is None:
            raise KeyError(f"{endpoint} needs a study")
        return self._studies[study_key].table(endpoint)

    def rows(self, endpoint: str, study_key: str | None = None) -> Sequence[Row]:
        """Return an endpoint's rows in the order of their IDs; not to be changed.

        Raises:
            KeyError: no such study or endpoint.
        """
        return self.table(endpoint, study_key).rows

    def add_study(
        self,
        study_key: str,
        *,
        subjects: int | None = None,
        forms: int = 0,
        variables: int = 0,
    ) -> None:
        """Add a study behind all others.

        Args:
            study_key: a new key.
            subjects: exactly so many; None for a number around the registry's average.
            forms: exactly so many; 0 for those that every study has, some twelve.
            variables: of all forms together, where their number is given.

        Raises:
            StudyKeyError: a key that no study can have.
            ValueError: the registry has it already.
        """
        check_study_key(study_key)
        with self._lock:
            if study_key in self._studies:
                raise ValueError(f"The registry has a study {study_key} already")
            plan = plan_study(
                len(self._studies), self._subjects, self._seed, key=study_key, exactly=subjects
            )
            plan = replace(plan, forms=forms, variables=variables)
            self._studies[study_key] = _Study(plan)
            self._listing = self._list_studies()

    def hide_study(self, study_key: str) -> None:
        """Take a study out of the listing; asking for it is a 404."""
        self._change_study(study_key, hidden=True)

    def show_study(self, study_key: str) -> None:
        """Undo :meth:`hide_study`."""
        self._change_study(study_key, hidden=False)

    def forbid_study(self, study_key: str) -> None:
        """Keep a study in the listing, but answer 403 to every question about it."""
        self._change_study(study_key, forbidden=True)

    def allow_study(self, study_key: str) -> None:
        """Undo :meth:`forbid_study`."""
        self._change_study(study_key, forbidden=False)

    def insert_row(self, endpoint: str, study_key: str, row: Row) -> None:
        """Add a row at its ID's place."""
        with self._lock:
            self.table(endpoint, study_key).insert(row)

    def update_row(self, endpoint: str, study_key: str, row_id: object, **changes: Any) -> None:
        """Change fields of the row of that ID; ``dateModified`` is one of them.

        Raises:
            KeyError: there is no such row.
        """
        with self._lock:
            self.table(endpoint, study_key).update(row_id, changes)

    def delete_row(self, endpoint: str, study_key: str, row_id: object) -> None:
        """Remove the row of that ID, as if it had never been (not marked as deleted).

        Raises:
            KeyError: there is no such row.
        """
        with self._lock:
            self.table(endpoint, study_key).delete(row_id)

    def after_page(
        self, endpoint: str, page: int, change: Change, *, study_key: str | None = None
    ) -> None:
        """Change the registry once, when that page has been read and before it is answered.

        Args:
            endpoint: the API's name.
            page: 0-based.
            change: called with this registry, on the server's thread.
            study_key: of which study; None for whichever is read first.
        """
        with self._lock:
            self._hooks.append(_PageHook(endpoint, page, study_key, change))

    def page_served(self, endpoint: str, study_key: str | None, page: int) -> None:
        """Run what :meth:`after_page` holds for a page; the server calls this."""
        with self._lock:
            due = [
                hook
                for hook in self._hooks
                if (hook.endpoint, hook.page) == (endpoint, page)
                and hook.study_key in {None, study_key}
            ]
            self._hooks = [hook for hook in self._hooks if hook not in due]
        for hook in due:
            hook.change(self)

    def _change_study(self, study_key: str, **state: bool) -> None:
        with self._lock:
            for name, value in state.items():
                setattr(self._studies[study_key], name, value)
            self._listing = self._list_studies()

    def _list_studies(self) -> Table:
        return Table(
            STUDIES, [study.plan.row for study in self._studies.values() if not study.hidden]
        )
