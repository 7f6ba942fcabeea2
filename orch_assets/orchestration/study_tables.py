"""What an asset over all studies receives: the studies' tables, and which are missing or older."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class StudyGaps:
    """Studies whose table an asset over all studies doesn't receive, or not in its newest state.

    Attributes:
        missing: Studies without a result: they never had one, or it was removed from its store.
        skipped: Studies that the pipeline left out, see :class:`~orch_assets.Skip`.
        older: Studies whose table is given, but is not that of the newest run for the study: that
            run failed, was cancelled or hasn't ended. With the time of their table; None if the
            Dagster instance doesn't know it.
    """

    missing: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    older: Mapping[str, datetime | None] = field(default_factory=dict)


class StudyTables(dict[str, T], Generic[T]):
    """The tables of studies by study key, with the studies that are not in it or are older.

    Attributes:
        gaps: These studies.
    """

    gaps: StudyGaps = StudyGaps()

    @property
    def missing(self) -> tuple[str, ...]:
        """Studies without a result."""
        return self.gaps.missing

    @property
    def skipped(self) -> tuple[str, ...]:
        """Studies that the pipeline left out."""
        return self.gaps.skipped

    @property
    def older(self) -> Mapping[str, datetime | None]:
        """Studies whose table is not that of the newest run for the study, with its time."""
        return self.gaps.older
