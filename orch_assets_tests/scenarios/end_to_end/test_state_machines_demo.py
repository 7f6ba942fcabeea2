"""``make demo-aws``, as the process that it starts."""

import os

import pytest

from orch_assets.demo import DemoRegistry
from orch_assets_tests.support.processes import Home, free_port


def test_the_demo_executes_a_machine_for_every_study_and_leaves_no_process(tmp_path):
    nobody = f"http://127.0.0.1:{free_port()}"
    home = Home(tmp_path, {"HTTP_PROXY": nobody, "http_proxy": nobody})  # not for loopback
    with home.start("python", "-m", "examples.state_machines") as process:
        out, err = process.communicate(timeout=240)
        with pytest.raises(ProcessLookupError):  # nobody of its group is left
            os.killpg(process.pid, 0)
    assert process.returncode == 0, out + err
    assert "Every study succeeded." in out
    assert "Deploying it again … nothing differs: arn:aws:states:us-east-1:" in out
    registry = DemoRegistry(12, 40)
    for study in registry.study_keys():
        (line,) = [line for line in out.splitlines() if line.startswith(f"{study:<12} SUCCESS")]
        assert f"'counted': {len(registry.rows('subjects', study))}," in line
