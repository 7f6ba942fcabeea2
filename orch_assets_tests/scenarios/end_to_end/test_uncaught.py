"""What nobody catches in a run's process: failed partitions, reports, and no text to be read."""

import json

from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets_tests.orchestration.strays import ASYNC_STRAYS, PLANTED, STRAYS
from orch_assets_tests.support.harness import everything_logged, observations, states
from orch_assets_tests.support.processes import Home

LOCATION = "orch_assets_tests.scenarios.end_to_end.straying_location"


def test_it_fails_the_partition_and_is_told_whole_in_the_restricted_store_alone(tmp_path):
    """Looked through byte by byte: what the process printed, its compute logs, the databases."""
    home = Home(
        tmp_path / "home",
        {
            "ORCH_STORE": str(tmp_path / "artifacts"),
            "ORCH_RESTRICTED_STORE": str(tmp_path / "restricted"),
        },
    )
    with home.instance() as real:
        real.add_dynamic_partitions(STUDIES_NAME, ["ONC-301"])
    command = ("dagster", "asset", "materialize", "-m", LOCATION, "--select", "*")
    done = home.run(*command, "--partition", "ONC-301")
    assert done.returncode == 1

    strays = {**STRAYS, **ASYNC_STRAYS}
    names = [*(stray.__name__ for stray in strays), "behind", "both"]
    with home.instance() as real:
        (run,) = real.get_runs()
        events = everything_logged(real, run)
        found = {name: states(real, name)["ONC-301"] for name in [*names, "collected"]}
        errors = {name: observations(real, name)["ONC-301"]["error"] for name in names}
    assert found == {**dict.fromkeys(names, "FAILED"), "collected": "MATERIALIZED"}
    for stray, where in strays.items():
        assert errors[stray.__name__].startswith("ValueError (at strays.py:")
        assert errors[stray.__name__].endswith(f" in fail, {where})")
    assert errors["behind"] == "UpstreamFailed: thread"
    assert errors["both"].count("ValueError (at strays.py:") == 2
    assert "A failure belongs to no study: ValueError (at strays.py:" in events

    readable = {"stdout": done.stdout.encode(), "stderr": done.stderr.encode()}
    for folder in (home.folder, tmp_path / "artifacts"):
        files = [path for path in folder.rglob("*") if path.is_file()]
        readable.update({str(path): path.read_bytes() for path in files})
    assert any("compute_logs" in name for name in readable)
    assert [name for name, content in readable.items() if PLANTED.encode() in content] == []
    assert b"Traceback" not in b"".join(
        content for name, content in readable.items() if name.endswith(".err")
    )

    written = [path for path in (tmp_path / "restricted").rglob("*") if path.is_file()]
    texts = [text for path in written if "traceback" in (text := path.read_text())]
    reports = {report["pipeline"]: report for text in texts if (report := as_report(text))}
    assert set(reports) == set(names) - {"behind"}
    for report in reports.values():
        assert f"ValueError: {PLANTED}" in report["traceback"]
    assert reports["both"]["traceback"].count(f"ValueError: {PLANTED}") == 2


def as_report(text):
    """Return a failure report as the dict that it is; None for other files of the store."""
    content = json.loads(text)
    return content if "traceback" in content else None
