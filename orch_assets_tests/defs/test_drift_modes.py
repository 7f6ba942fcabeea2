"""The setting ``ORCH_DRIFT``."""

import pytest

from orch_assets.defs.checks.drift_modes import DriftMode, DriftModes
from orch_assets.defs.resources import OrchestrationResource
from orch_assets.errors import SettingError


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, DriftModes()),
        (" ", DriftModes()),
        ("warn", DriftModes(DriftMode.WARN)),
        ("warn, ONC-301 = freeze,", DriftModes(DriftMode.WARN, {"ONC-301": DriftMode.FREEZE})),
        ("A=B=warn", DriftModes(by_study={"A=B": DriftMode.WARN})),
    ],
)
def test_a_mode_for_all_studies_and_others_for_single_ones(setting, expected):
    assert DriftModes.read(setting) == expected


def test_a_study_has_its_own_mode_or_that_of_all():
    modes = DriftModes.read("freeze,ONC-301=evolve")
    assert (modes.of("ONC-301"), modes.of("X")) == (DriftMode.EVOLVE, DriftMode.FREEZE)
    assert DriftModes().of("X") == DriftMode.EVOLVE


@pytest.mark.parametrize(
    "setting", ["froze", "ONC-301=", "ONC-301", "warn,freeze", "A=warn,A=freeze"]
)
def test_anything_else_is_refused(setting):
    with pytest.raises(SettingError, match="ORCH_DRIFT has"):
        DriftModes.read(setting)


def test_a_field_of_the_resource_comes_before_the_variable(monkeypatch):
    monkeypatch.setenv("ORCH_DRIFT", "warn")
    assert OrchestrationResource().drift_modes().default == DriftMode.WARN
    assert OrchestrationResource(drift="freeze").drift_modes().default == DriftMode.FREEZE
