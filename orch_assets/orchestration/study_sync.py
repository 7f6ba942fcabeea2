"""Which studies join and leave, when the registry's list and the known studies differ.

A study may be gone from the registry for good, or only from one answer. So a study that the
registry no longer lists is retired after three looks in a row, and an answer that lacks many
studies at once changes nothing until somebody accepts the loss.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orch_assets.errors import NoStudiesError, StudyLossError
from orch_assets.orchestration.selection import Selection, StudyFilter

LOOKS_BEFORE_RETIRING: Final = 3
_ACCEPTABLE_LOSS: Final = 1
_ACCEPTABLE_SHARE: Final = 0.1


@dataclass(frozen=True)
class StudySyncPlan:
    """What one look at the registry changes.

    Attributes:
        add: new studies, in the registry's order.
        retire: known studies to remove, with the reason.
        absences: known studies that the registry did not list, with the number of looks in a row;
            to be handed to the next look.
        selection: what the filter made of the registry's studies.
    """

    add: list[str]
    retire: dict[str, str]
    absences: dict[str, int]
    selection: Selection

    @property
    def sentences(self) -> list[str]:
        """What a look found, for people, most important first; what is retired is not in it."""
        lines = [*self.selection.not_runnable, *self.selection.warnings]
        lines += [
            f"{key} is not in the registry: study_registry_sensor retires it after "
            f"{LOOKS_BEFORE_RETIRING} looks in a row, {_by_hand(key)} at once."
            for key in self.absences
            if key not in self.retire
        ]
        if self.add:
            lines.append(f"New studies: {', '.join(self.add)}.")
        return lines

    @property
    def left_to_sensor(self) -> list[str]:
        """What a run or a command leaves to the sensor, a sentence each."""
        return [
            f"{key} stays: {why}. study_registry_sensor retires it at its next look, "
            f"{_by_hand(key)} at once."
            for key, why in self.retire.items()
        ]


def _by_hand(study_key: str) -> str:
    return f"`orch-assets studies retire {shlex.quote(study_key)}`"


def plan_study_sync(
    selection: Selection,
    study_filter: StudyFilter,
    known: Sequence[str],
    absences: Mapping[str, int],
    accepted_loss: int = 0,
) -> StudySyncPlan:
    """Return what a look at the registry changes.

    Args:
        selection: the registry's studies through the filter.
        study_filter: the filter, for the message.
        known: the studies known so far, in their order.
        absences: the last look's ``absences``.
        accepted_loss: so many studies may be gone from the registry at once.

    Raises:
        StudyLossError: the registry came back empty, or lacks more than a tenth of the known
            studies and at least two, and more than ``accepted_loss``.
        NoStudiesError: the filter leaves none of the registry's studies, or none of their keys
            can be a study's.
    """
    listed = {*selection.selected, *selection.excluded}
    if selection.refused and not listed:
        raise NoStudiesError(_all_refused(selection))
    lost = [key for key in known if key not in listed]
    _check_loss(lost, known, registry_empty=not listed, accepted_loss=accepted_loss)
    if listed and not selection.selected:
        raise NoStudiesError(_names_nobody(study_filter, selection))
    counts = {key: absences.get(key, 0) + 1 for key in lost}
    retire = {
        key: f"the registry did not list it {count} times in a row"
        for key, count in counts.items()
        if count >= LOOKS_BEFORE_RETIRING
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
    many = len(lost) > _ACCEPTABLE_LOSS and len(lost) > _ACCEPTABLE_SHARE * len(known)
    if not lost or len(lost) <= accepted_loss or not (many or registry_empty):
        return
    raise StudyLossError(lost, len(known))


def _all_refused(selection: Selection) -> str:
    reasons = "; ".join(f"{key!r} {why}" for key, why in selection.refused.items())
    return f"No key of the registry can be a study's: {reasons}. Nothing was changed."


def _names_nobody(study_filter: StudyFilter, selection: Selection) -> str:
    kind = "whitelist" if study_filter.whitelist is not None else "blacklist"
    said = "".join(f" {sentence}" for sentence in (*selection.not_runnable, *selection.warnings))
    return (
        f"The {kind} leaves none of the registry's {len(selection.excluded)} studies. "
        f"Check IMEDNET_{kind.upper()}.{said} Nothing was changed."
    )
