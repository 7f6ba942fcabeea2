"""``python -m orch_assets.studies``: what a look at the registry would change, and why.

It changes nothing. The known studies are those of the Dagster instance in ``DAGSTER_HOME``;
without one, none is known yet.
"""

import sys

from orch_assets.errors import OrchAssetsError


def main() -> int:
    """Print the plan; return 0, or 2 when the registry or the settings don't allow one."""
    import dagster as dg

    from orch_assets.defs import settings
    from orch_assets.defs.home import home_instance
    from orch_assets.defs.resources import OrchestrationResource, RegistryResource
    from orch_assets.defs.study_sensor import look_at_registry

    registry = RegistryResource()
    home = settings.text("DAGSTER_HOME")
    try:
        with home_instance() if home else dg.DagsterInstance.ephemeral() as instance:
            change = look_at_registry(instance, registry, OrchestrationResource(), absences={})
        print(f"Registry: {registry.label}")
    except OrchAssetsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    selection = change.selection
    _print("Selected", dict.fromkeys(selection.selected, ""))
    _print("Excluded by the filter", dict.fromkeys(selection.excluded, ""))
    _print("Unknown to the registry, named by the filter", dict.fromkeys(selection.unknown, ""))
    _print("Refused", selection.refused)
    _print("Would be added", dict.fromkeys(change.add, "new in the registry"))
    _print("Would be retired", change.retire)
    _print(
        "Not in the registry, retired after three looks in a row by study_registry_sensor",
        {key: "" for key in change.absences if key not in change.retire},
    )
    if not home:
        print("DAGSTER_HOME is not set: no study is known yet, so every one is new.")
    print("Nothing was changed.")
    return 0


def _print(title: str, lines: dict[str, str]) -> None:
    if lines:
        print(f"{title}: {len(lines)}")
        for key, why in lines.items():
            print(f"  {key}{': ' + why if why else ''}")


if __name__ == "__main__":
    sys.exit(main())
