import pytest

from orch_assets_tests.end_to_end.processes import Home


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A DAGSTER_HOME after one run of the main job on the embedded registry, and that run."""
    home = Home(tmp_path_factory.mktemp("demo"), {"ORCH_REGISTRY": "demo"})
    return home, home.run("python", "-m", "orch_assets", "run", timeout=240)
