"""What a code location consists of: our part and a user's, and which names both have."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from orch_assets.errors import PipelineDefinitionError
from orch_assets.orchestration.defining.similar_names import closest_key, did_you_mean

_OR_LEAVE_OUT: Final = ", or leave out the shipped pipeline: `shipped` names those to include"


@dataclass(frozen=True, kw_only=True)
class LocationParts:
    """Definitions of each kind, as ``dg.Definitions`` takes them."""

    assets: Sequence[Any] = ()
    checks: Sequence[Any] = ()
    jobs: Sequence[Any] = ()
    sensors: Sequence[Any] = ()
    schedules: Sequence[Any] = ()

    def names(self) -> Iterator[tuple[str, str]]:
        """Yield the kind and the name of everything that must be unique in a code location."""
        for each in self.assets:
            keys = each.keys if isinstance(each, dg.AssetsDefinition) else [_key_of(each)]
            yield from (("asset", key.to_user_string()) for key in keys if key is not None)
        for each in (*self.assets, *self.checks):
            for check in getattr(each, "check_keys", ()):
                yield "asset check", f"{check.asset_key.to_user_string()}:{check.name}"
        for kind, parts in (
            ("job", self.jobs),
            ("sensor or schedule", (*self.sensors, *self.schedules)),
        ):
            yield from ((kind, str(getattr(each, "name", None))) for each in parts)

    def required_resources(self) -> set[str]:
        """Return the keys of the resources that the definitions require."""
        parts = (*self.assets, *self.checks, *self.jobs, *self.sensors, *self.schedules)
        return {key for part in parts for key in getattr(part, "required_resource_keys", ())}


def check_names(ours: LocationParts, theirs: LocationParts) -> None:
    """Check that no definition of a user has the name of one of ours.

    Raises:
        PipelineDefinitionError: One has. Dagster's own error wouldn't say whose is whose.
    """
    taken = set(ours.names())
    for kind, name in theirs.names():
        if (kind, name) in taken:
            raise PipelineDefinitionError(
                f"Your {kind} {name} has the name of one that orch-assets defines. Rename yours"
                f"{_OR_LEAVE_OUT if kind == 'asset' else ''}."
            )


def check_resource_keys(
    theirs: Mapping[str, Any], ours: Collection[str], required: Collection[str]
) -> None:
    """Check that no key of a user's resources is a misspelling of one of ours.

    Args:
        theirs: The user's resources by key.
        ours: Our keys.
        required: Keys that a definition requires, ours or the user's.

    Raises:
        PipelineDefinitionError: Nothing requires a key that is similar to one of ours, so that the
            resource would have no effect.
    """
    for key in theirs:
        closest = closest_key(key, sorted(ours))
        if key not in ours and key not in required and closest is not None:
            raise PipelineDefinitionError(
                f"Nothing requires your resource {key}.{did_you_mean(closest)} These keys replace "
                f"ours: {', '.join(sorted(ours))}."
            )


def _key_of(asset: Any) -> dg.AssetKey | None:
    key = getattr(asset, "key", None)
    return key if isinstance(key, dg.AssetKey) else None
