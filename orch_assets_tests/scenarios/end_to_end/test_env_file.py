"""`.env` in the working folder: read as `dagster` reads it, and never the demo's."""

import os
import subprocess
import sys

import pytest

from orch_assets.defs.environment import read_env_file
from orch_assets.errors import SettingError
from orch_assets_tests.support.processes import ROOT


@pytest.fixture
def environment(monkeypatch):
    """An environment of the project's own variables, given back at the end."""
    kept = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("IMEDNET_", "ORCH_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    yield os.environ
    os.environ.clear()
    os.environ.update(kept)


def as_dagster_reads(folder, names):
    """Return variables as a `dagster` command sees them in a folder with an .env."""
    code = (
        "import os; from dagster._cli.utils import get_temporary_instance_for_cli\n"
        f"with get_temporary_instance_for_cli(): print([os.environ.get(n) for n in {names}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_the_command_reads_the_file_as_dagster_does(tmp_path, environment):
    """The file wins over the environment, references are filled in, a name alone is nothing."""
    (tmp_path / ".env").write_text(
        'export IMEDNET_API_KEY="a b"  # a comment\nIMEDNET_WHITELIST=\n'
        "ORCH_STORE=${IMEDNET_BASE_URL}/x\nORCH_STORE_FORMAT\nIMEDNET_MAX_WORKERS='7'\n"
    )
    environment["IMEDNET_BASE_URL"] = "http://127.0.0.1"
    environment["IMEDNET_MAX_WORKERS"] = "3"
    environment["IMEDNET_WHITELIST"] = "S"
    names = ["IMEDNET_API_KEY", "IMEDNET_WHITELIST", "ORCH_STORE", "ORCH_STORE_FORMAT",
             "IMEDNET_MAX_WORKERS"]  # fmt: skip
    dagsters = as_dagster_reads(tmp_path, names)
    read_env_file(tmp_path / ".env")
    assert str([environment.get(name) for name in names]) == dagsters
    assert dagsters == "['a b', '', 'http://127.0.0.1/x', None, '7']"


@pytest.mark.parametrize(
    ("name", "given", "in_file"),
    [("ORCH_REGISTRY", "imednet", "demo"), ("DAGSTER_HOME", "/account", "/elsewhere")],
)
def test_a_file_that_would_take_other_studies_for_these_is_refused(
    tmp_path, environment, name, given, in_file
):
    (tmp_path / ".env").write_text(f"{name}={in_file}\nIMEDNET_API_KEY=real\n")
    environment[name] = given
    with pytest.raises(SettingError, match=f"{name} is {given} in the environment and {in_file}"):
        read_env_file(tmp_path / ".env")
    assert "IMEDNET_API_KEY" not in environment
    del environment[name]  # as the message advises
    read_env_file(tmp_path / ".env")
    assert environment[name] == in_file


def test_the_demo_takes_nothing_from_an_accounts_file(tmp_path, environment):
    (tmp_path / ".env").write_text("IMEDNET_API_KEY=real\nORCH_STORE=s3://real\nDAGSTER_HOME=/x\n")
    environment["ORCH_REGISTRY"] = "demo"
    environment["DAGSTER_HOME"] = "/demo"
    read_env_file(tmp_path / ".env")
    assert {"IMEDNET_API_KEY", "ORCH_STORE"}.isdisjoint(environment)
    assert environment["DAGSTER_HOME"] == "/demo"


def test_a_file_that_cannot_be_read_is_named_and_its_text_is_not(tmp_path, environment):
    (tmp_path / ".env").write_bytes(b"IMEDNET_API_KEY=planted\xff\n")
    with pytest.raises(SettingError, match="can't be read") as caught:
        read_env_file(tmp_path / ".env")
    assert "planted" not in str(caught.value)


def test_what_no_variable_can_hold_is_named_and_its_text_is_not(tmp_path, environment):
    (tmp_path / ".env").write_bytes(b"ORCH_STORE=planted\0\n")
    with pytest.raises(SettingError, match=r"^ORCH_STORE in .env ") as caught:
        read_env_file(tmp_path / ".env")
    assert "planted" not in str(caught.value)


def test_a_run_takes_its_keys_from_the_file(account, environment):
    """And a wrong key in the environment doesn't matter."""
    key = account.server.api_key
    (account.working_folder / ".env").write_text(f"IMEDNET_API_KEY={key}\n")
    done = account.command("studies", IMEDNET_API_KEY="wrong")
    assert (done.code, done.err) == (0, "")
    assert "Would be added: 3" in done.out


def test_help_asks_neither_the_registry_nor_dagster(tmp_path):
    """Nor does it need a DAGSTER_HOME, keys, or a readable .env."""
    (tmp_path / ".env").write_bytes(b"\xff")
    commands = [["run"], ["studies"], ["studies", "retire"], []]
    code = (
        "import sys; from orch_assets.cli import main\n"
        f"for each in {commands}: assert main([*each, '--help']) == 0\n"
        "assert main(['--version']) == 0\n"
        "assert not {'dagster', 'httpx', 'pandas'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True, capture_output=True,
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "orch_assets.studies", "--help"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.startswith("Usage: orch-assets studies")
