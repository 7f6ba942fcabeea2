"""Plans which studies to add and retire when the registry and the known studies differ.

A study may be missing from the registry for good, or only from one response. So a study is retired
only after it was missing at three consecutive checks, and a response that lacks many studies
changes nothing until someone accepts the loss.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orch_assets.errors import NoStudiesError, StudyLossError
from orch_assets.orchestration.selection import Selection, StudyFilter

TICKS_BEFORE_RETIRING: Final = 3
_ACCEPTABLE_LOSS: Final = 1
_ACCEPTABLE_SHARE: Final = 0.1


@dataclass(frozen=True)
class StudySyncPlan:
    """What one check of the registry changes.

    Attributes:
        add: New studies, in the registry's order.
        retire: Known studies to remove, with the reason.
        absences: Known studies missing from the registry, with the number of consecutive checks;
            input of the next check.
        selection: The registry's studies with the filter applied.
    """

    add: list[str]
    retire: dict[str, str]
    absences: dict[str, int]
    selection: Selection

    @property
    def sentences(self) -> list[str]:
        """The findings as sentences, most important first; retired studies are not included."""
        lines = [*self.selection.not_runnable, *self.selection.warnings]
        lines += [
            f"{key} is not in the registry: study_registry_sensor, if it is on, retires it after "
            f"{TICKS_BEFORE_RETIRING} consecutive ticks; {_command(key)} retires it now."
            for key in self.absences
            if key not in self.retire
        ]
        if self.add:
            lines.append(f"New studies: {', '.join(self.add)}.")
        return lines

    @property
    def left_to_sensor(self) -> list[str]:
        """A sentence for each study that a run or command does not retire itself."""
        return [
            f"{key} stays: {why}. study_registry_sensor, if it is on, retires it at its next tick; "
            f"{_command(key)} retires it now."
            for key, why in self.retire.items()
        ]


def _command(study_key: str) -> str:
    return f"`orch-assets studies retire {shlex.quote(study_key)}`"


def plan_study_sync(
    selection: Selection,
    study_filter: StudyFilter,
    known: Sequence[str],
    absences: Mapping[str, int],
    accepted_loss: int = 0,
) -> StudySyncPlan:
    """Return what a check of the registry changes.

    Args:
        selection: The registry's studies with the filter applied.
        study_filter: The filter, for the error message.
        known: The known studies, in their order.
        absences: ``absences`` of the previous check.
        accepted_loss: Number of studies that may be missing from the registry at once.

    Raises:
        StudyLossError: The registry lists no studies, or lacks at least two and more than a tenth
            of the known studies; and it lacks more than ``accepted_loss``.
        NoStudiesError: The filter excludes all studies, or the registry has no valid study key.
    """
    listed = {*selection.selected, *selection.excluded}
    if selection.refused and not listed:
        raise NoStudiesError(_all_refused(selection))
    lost = [key for key in known if key not in listed]
    _check_loss(lost, known, registry_empty=not listed, accepted_loss=accepted_loss)
    if listed and not selection.selected:
        raise NoStudiesError(_all_excluded(study_filter, selection))
    counts = {key: absences.get(key, 0) + 1 for key in lost}
    retire = {
        key: f"it was missing from the registry {count} times in a row"
        for key, count in counts.items()
        if count >= TICKS_BEFORE_RETIRING
    }
    excluded, already_known = set(selection.excluded), set(known)
    retire |= {key: "the filter excludes it" for key in known if key in excluded}
    return StudySyncPlan(
        add=[key for key in selection.selected if key not in already_known],
        retire=retire,
        absences=counts,
        selection=selection,
    )


def _check_loss(
    lost: Sequence[str], known: Sequence[str], *, registry_empty: bool, accepted_loss: int
) -> None:
    is_large = len(lost) > _ACCEPTABLE_LOSS and len(lost) > _ACCEPTABLE_SHARE * len(known)
    if not lost or len(lost) <= accepted_loss or not (is_large or registry_empty):
        return
    raise StudyLossError(lost, len(known))


def _all_refused(selection: Selection) -> str:
    reasons = "; ".join(f"{key!r} {why}" for key, why in selection.refused.items())
    return f"The registry has no valid study key: {reasons}. Nothing was changed."


def _all_excluded(study_filter: StudyFilter, selection: Selection) -> str:
    kind = "whitelist" if study_filter.whitelist is not None else "blacklist"
    details = "".join(f" {sentence}" for sentence in (*selection.not_runnable, *selection.warnings))
    return (
        f"The {kind} leaves none of the registry's {len(selection.excluded)} studies. "
        f"Check IMEDNET_{kind.upper()}.{details} Nothing was changed."
    )
