"""The simulator's data: the studies, their rows, and who may see them.

Any thread may read and change the data. The server uses a change from its next request on.
"""

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from orch_assets.demo.changes.account_clock import AccountClock
from orch_assets.demo.changes.daily_life import live
from orch_assets.demo.changes.study_edit import StudyEdit
from orch_assets.demo.read_api import ENDPOINTS, STUDIES
from orch_assets.demo.row_tables import Row, Table
from orch_assets.demo.studies import StudyPlan, make_study, plan_studies, plan_study
from orch_assets.study import check_study_key

Access = Literal["open", "forbidden", "unknown"]
Change = Callable[["DemoRegistry"], None]


@dataclass
class _Study:
    """A study; its tables are created when they are first used, and then live its first days."""

    plan: StudyPlan
    days: Sequence[tuple[datetime, int]] = ()  # when each began, and its random seed
    hidden: bool = False
    forbidden: bool = False
    tables: Mapping[str, Table] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    editing: threading.RLock = field(default_factory=threading.RLock)
    edited: bool = False

    def made(self) -> Mapping[str, Table]:
        with self.lock:
            if self.tables is None:
                tables = {
                    name: Table(ENDPOINTS[name], rows)
                    for name, rows in make_study(self.plan).items()
                }
                self._live_first_days(tables)
                self.tables = tables
        return self.tables

    def _live_first_days(self, tables: Mapping[str, Table]) -> None:
        """Live all days in one edit, which copies the rows once."""
        if not self.days:
            return
        edit = StudyEdit(self.plan, tables, self.days[0][0], None)
        for start, seed in self.days:
            edit.moment = start
            live(edit, _random_day(self.plan, start, seed))
        for endpoint, changes in edit.changes.items():
            tables[endpoint].apply(changes)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait for the edits of other threads, and let them wait.

        Raises:
            RuntimeError: This thread has an edit of the study open.
        """
        with self.editing:
            if self.edited:
                raise RuntimeError(f"An edit of study {self.plan.key} is open in this thread.")
            self.edited = True
            try:
                yield
            finally:
                self.edited = False


def _random_day(plan: StudyPlan, start: datetime, seed: int) -> random.Random:
    return random.Random(f"{seed}/{plan.index}/{start}")


@dataclass(frozen=True)
class _PageHook:
    endpoint: str
    page: int
    study_key: str | None
    change: Change


class DemoRegistry:
    """Made-up studies. The same arguments always give the same rows.

    Args:
        studies: The number of studies.
        subjects: The average number of subjects per study. Each study's own number varies.
        seed: The random seed of all data.
        days: How many days the account has lived since, as by :meth:`live_day`. A study's rows are
            created, and live these days, when they are first used.

    Attributes:
        clock: The account's clock, which gives edits their dates.

    Example:
        >>> registry = DemoRegistry(studies=3, subjects=5)
        >>> registry.study_keys()
        ['ONC-301', 'CARD-202', 'DERM-104']
        >>> registry.hide_study("CARD-202")
        >>> registry.study_keys()
        ['ONC-301', 'DERM-104']
        >>> with registry.edit("ONC-301") as edit:
        ...     event = edit.records.find(formKey="AE", deleted=False)
        ...     event = edit.records.change(event["recordId"], {"AESEV": "Severe"})
        >>> event["dateModified"]
        '2025-06-30 12:00:01'
    """

    def __init__(self, studies: int = 12, subjects: int = 40, seed: int = 7, days: int = 0) -> None:
        self._subjects = subjects
        self._seed = seed
        self.clock = AccountClock()
        self._lock = threading.RLock()
        lived = [(self.clock.now + timedelta(days=day), seed) for day in range(days)]
        self._studies = {
            plan.key: _Study(plan, lived) for plan in plan_studies(studies, subjects, seed)
        }
        self._hooks: list[_PageHook] = []
        self._listing = self._list_studies()
        self.clock.advance(timedelta(days=days))

    def study_keys(self) -> list[str]:
        """Return the keys of the listed studies, in the order of the studies' IDs."""
        return [row["studyKey"] for row in self._listing.rows]

    def access(self, study_key: str) -> Access:
        """Return whether the server's keys may read a study."""
        study = self._studies.get(study_key)
        if study is None or study.hidden:
            return "unknown"
        return "forbidden" if study.forbidden else "open"

    def made_up(self, study_key: str) -> bool:
        """Return whether a study's rows exist; they are created when they are first used."""
        return self._studies[study_key].tables is not None

    def table(self, endpoint: str, study_key: str | None) -> Table:
        """Return an endpoint's table, even if its study is hidden or forbidden.

        Args:
            endpoint: The API's name, such as ``"recordRevisions"``.
            study_key: The study; None for the endpoint ``"studies"``.

        Raises:
            KeyError: There is no such study or endpoint.
        """
        if endpoint == STUDIES.name:
            return self._listing
        if study_key is None:
            raise KeyError(f"{endpoint} needs a study key")
        return self._studies[study_key].made()[endpoint]

    def rows(self, endpoint: str, study_key: str | None = None) -> Sequence[Row]:
        """Return an endpoint's rows in the order of their IDs. Do not change the rows.

        Raises:
            KeyError: There is no such study or endpoint.
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
        """Add a study after all others.

        Args:
            study_key: The key of the new study.
            subjects: The exact number of subjects. None for a number around the average.
            forms: The exact number of forms. 0 for those that every study has, about twelve.
            variables: The number of variables on all forms together; used if ``forms`` is not 0.

        Raises:
            StudyKeyError: The key is not a valid study key.
            ValueError: A study has this key already.
        """
        check_study_key(study_key)
        with self._lock:
            if study_key in self._studies:
                raise ValueError(f"The simulator already has a study {study_key}.")
            plan = plan_study(
                len(self._studies), self._subjects, self._seed, key=study_key, exactly=subjects
            )
            plan = replace(plan, forms=forms, variables=variables)
            self._studies[study_key] = _Study(plan)
            self._listing = self._list_studies()

    def hide_study(self, study_key: str) -> None:
        """Remove a study from the list of studies; requests for it get status 404."""
        self._change_study(study_key, hidden=True)

    def show_study(self, study_key: str) -> None:
        """Undo :meth:`hide_study`."""
        self._change_study(study_key, hidden=False)

    def forbid_study(self, study_key: str) -> None:
        """Keep a study in the list of studies, but answer its requests with status 403."""
        self._change_study(study_key, forbidden=True)

    def allow_study(self, study_key: str) -> None:
        """Undo :meth:`forbid_study`."""
        self._change_study(study_key, forbidden=False)

    @contextmanager
    def edit(
        self, study_key: str, *, user: str | None = None, at: datetime | None = None
    ) -> Iterator[StudyEdit]:
        """Edit a study as its users do: dates, revisions and dependent rows follow.

        The changes become visible together when the block ends, and not at all if it raises. One
        edit of a study is open at a time; others wait for it.

        Args:
            study_key: The study, even if it is hidden or forbidden.
            user: The login of the user who edits; None for users whose roles fit.
            at: The date of the changes, with a time zone; None for the clock's.

        Raises:
            KeyError: There is no such study or user.
            ValueError: ``at`` has no time zone.
            RuntimeError: This thread has an edit of the study open.
        """
        study = self._studies[study_key]
        if at is not None and at.tzinfo is None:
            raise ValueError("The date of an edit needs a time zone, such as UTC.")
        with study.alone():
            moment = self.clock.next_edit() if at is None else at.astimezone(UTC)
            edit = StudyEdit(study.plan, study.made(), moment, user)
            if user is not None:
                edit.user()  # refuse an unknown one before anything is edited
            yield edit
            with self._lock:
                for endpoint, changes in edit.changes.items():
                    study.made()[endpoint].apply(changes)

    def live_day(self, seed: int | None = None) -> None:
        """Let all studies change as much as on a normal day, and advance the clock by a day.

        About 0.7 % of the records are edited, 0.2 % added and 0.1 % deleted; queries are opened,
        answered and closed, and terms coded. The same seed, clock and rows give the same day.

        Args:
            seed: The random seed; None for that of all data.
        """
        start = self.clock.now
        for study_key, study in list(self._studies.items()):
            day = _random_day(study.plan, start, self._seed if seed is None else seed)
            with self.edit(study_key, at=start - self.clock.late) as edit:
                live(edit, day)
        self.clock.advance(timedelta(days=1))

    def insert_row(self, endpoint: str, study_key: str, row: Row) -> None:
        """Add a row, in the order of the IDs."""
        with self._lock:
            self.table(endpoint, study_key).insert(row)

    def update_row(self, endpoint: str, study_key: str, row_id: object, **changes: Any) -> None:
        """Change fields of a row, and nothing else: not its ``dateModified``, no revision.

        Raises:
            KeyError: There is no row with this ID.
        """
        with self._lock:
            self.table(endpoint, study_key).update(row_id, changes)

    def delete_row(self, endpoint: str, study_key: str, row_id: object) -> None:
        """Remove a row completely, instead of marking it as deleted.

        Raises:
            KeyError: There is no row with this ID.
        """
        with self._lock:
            self.table(endpoint, study_key).delete(row_id)

    def after_page(
        self, endpoint: str, page: int, change: Change, *, study_key: str | None = None
    ) -> None:
        """Change the data once, after a page has been read and before its answer is sent.

        Args:
            endpoint: The API's name.
            page: The 0-based page number.
            change: Called with this registry, on the server's thread.
            study_key: The study; None for the first study whose page is read.
        """
        with self._lock:
            self._hooks.append(_PageHook(endpoint, page, study_key, change))

    def page_served(self, endpoint: str, study_key: str | None, page: int) -> None:
        """Run the changes that :meth:`after_page` stored for a page. The server calls this."""
        with self._lock:  # waits for an edit that is being stored: answers show all of it
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
