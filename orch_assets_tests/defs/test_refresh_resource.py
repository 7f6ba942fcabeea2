"""The settings of refreshes are fields of the account's resource, too."""

import pytest

from orch_assets.defs.resources import RegistryResource
from orch_assets.errors import SettingError


def test_the_simulator_has_a_name_that_its_port_does_not_change() -> None:
    resource = RegistryResource(kind="demo", demo_studies=1, demo_subjects=2)
    (study,) = resource.sdk.studies.list()
    stream = resource.sdk.sites.refresh(study.study_key)
    assert list(stream)
    assert stream.refresh is not None
    assert stream.refresh.state()["registry"] == "demo"
    resource.close()


@pytest.mark.parametrize(
    ("field", "variable"), [("overlap", "ORCH_OVERLAP"), ("full_every", "ORCH_FULL_EVERY")]
)
def test_the_fields_reach_the_client(field: str, variable: str) -> None:
    resource = RegistryResource(kind="demo", demo_studies=1, demo_subjects=2, **{field: -1})
    with pytest.raises(SettingError, match=f"{variable} must be a whole number"):
        _ = resource.sdk
