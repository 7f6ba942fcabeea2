"""``orch-assets init``: what it writes, and what it refuses."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from orch_assets.cli import main
from orch_assets.commands.release_address import address_of
from orch_assets.version import VERSION

ROOT = Path(__file__).parents[2]
WHEEL = f"orch_assets-{VERSION}-py3-none-any.whl"
REPOSITORY = "git+https://git.invalid/trials/orch-assets@v1"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def init(folder, *options, address=REPOSITORY):
    return main(["init", str(folder), *(["--from", address] if address else []), *options])


def files_in(folder):
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


def test_a_project_is_these_files_with_every_placeholder_filled(tmp_path):
    folder = tmp_path / "new" / "My-Trials"
    assert init(folder) == 0
    assert files_in(folder) == [
        ".env.example",
        ".github/workflows/tests.yml",
        ".gitignore",
        "Makefile",
        "README.md",
        "dagster.yaml",
        "my_trials/__init__.py",
        "my_trials/definitions.py",
        "my_trials/pipelines/__init__.py",
        "my_trials/pipelines/enrolled_by_site.py",
        "pyproject.toml",
        "tests/test_enrolled_by_site.py",
        "workspace.yaml",
    ]
    for name in files_in(folder):
        assert "{{" not in (folder / name).read_text(), name
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == "my-trials"
    assert project["project"]["dependencies"] == [f"orch-assets[charts,dagster] @ {REPOSITORY}"]
    assert len((folder / "my_trials" / "definitions.py").read_text().splitlines()) <= 15


def test_the_next_commands_can_be_copied_from_the_terminal(tmp_path, capsys):
    folder = tmp_path / "our trials"
    init(folder)
    assert f"  cd '{folder}'\n  make test\n" in capsys.readouterr().out


def test_no_file_of_a_project_names_a_package_index(tmp_path):
    init(tmp_path / "trials")
    text = "".join(
        (tmp_path / "trials" / name).read_text() for name in files_in(tmp_path / "trials")
    )
    assert not re.findall(r"pypi|pythonhosted|index-url|simple/", text, re.IGNORECASE)
    assert set(re.findall(r"https?://[^/\s`:]+", text)) == {
        "https://git.invalid",
        "http://127.0.0.1",
    }


def test_a_project_has_our_own_configuration_of_dagster(tmp_path):
    init(tmp_path / "trials")
    ours = (ROOT / "workspace.yaml").read_text()
    assert (tmp_path / "trials" / "workspace.yaml").read_text() == ours.replace(
        "orch_assets", "trials"
    )
    assert (tmp_path / "trials" / "dagster.yaml").read_text() == (ROOT / "dagster.yaml").read_text()
    written = tomllib.loads((tmp_path / "trials" / "pyproject.toml").read_text())
    assert written["project"]["requires-python"] == PYPROJECT["project"]["requires-python"]
    (dg,) = [each for each in PYPROJECT["dependency-groups"]["dev"] if "dagster-dg-cli" in each]
    assert dg in written["project"]["optional-dependencies"]["dev"]


def test_the_settings_of_a_project_are_documented_and_all_blank(tmp_path):
    init(tmp_path / "trials")
    text = (tmp_path / "trials" / ".env.example").read_text()
    documented = (ROOT / "docs" / "reference" / "settings.md").read_text()
    named = re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE)
    assert {value for _, value in named} == {""}
    assert [name for name, _ in named if f"`{name}`" not in documented] == []


def test_the_ci_file_pins_its_actions_and_needs_no_secret(tmp_path):
    init(tmp_path / "trials")
    text = (tmp_path / "trials" / ".github" / "workflows" / "tests.yml").read_text()
    actions = re.findall(r"uses: (\S+)", text)
    assert len(actions) == 2
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", each) for each in actions)
    assert "secrets" not in text


def test_a_wheel_is_copied_so_that_the_project_can_be_moved(tmp_path):
    wheel = tmp_path / WHEEL
    wheel.write_bytes(b"a wheel")
    assert init(tmp_path / "trials", address=str(wheel)) == 0
    assert (tmp_path / "trials" / "wheels" / WHEEL).read_bytes() == b"a wheel"
    written = (tmp_path / "trials" / "pyproject.toml").read_text()
    assert f'"orch-assets[charts,dagster] @ {{root:uri}}/wheels/{WHEEL}"' in written


@pytest.mark.parametrize(
    "address",
    [REPOSITORY, "git+ssh://git@git.invalid/x.git", f"https://files.invalid/{WHEEL}", str(ROOT)],
)
def test_pip_can_install_these_addresses(address):
    expected = address if "://" in address else Path(address).as_uri()
    assert address_of(address).requirement == f"orch-assets[charts,dagster] @ {expected}"


@pytest.mark.parametrize(
    "address",
    [
        "orch-assets",
        "orch-assets==0.2.0",
        f"missing/{WHEEL}",
        f"file:///missing/{WHEEL}",
        "http://files.invalid/x.whl",
        "git+http://git.invalid/x",
        "git+https://token@git.invalid/x",
        "git+https://user:token@git.invalid/x",
        "git+http://user:token@git.invalid/x",
        "http://user:token@files.invalid/x.whl",
        "https://files.invalid/x.whl?signature=token",
        "https://[files.invalid/x.whl",
        'https://files.invalid/x.whl"\nx = "',
        __file__,
    ],
)
def test_any_other_address_is_refused_and_no_password_is_repeated(address, tmp_path, capsys):
    assert init(tmp_path / "trials", address=address) == 2
    shown = capsys.readouterr().err
    assert "--from" in shown or "isn't a wheel of orch-assets" in shown
    assert "token" not in shown
    assert list(tmp_path.iterdir()) == []


def test_by_default_a_project_gets_the_release_that_wrote_it(tmp_path):
    """The installation records where pip took it from (PEP 610)."""
    installed = tmp_path / "site" / f"orch_assets-{VERSION}.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text(f"Name: orch-assets\nVersion: {VERSION}\n")
    (installed / "direct_url.json").write_text(
        '{"url": "https://git.invalid/x", "vcs_info": {"vcs": "git", "commit_id": "0a1b"}}'
    )
    project = tmp_path / "trials"
    run_command(["init", str(project)], PYTHONPATH=f"{installed.parent}:{ROOT}")
    assert "@ git+https://git.invalid/x@0a1b" in (project / "pyproject.toml").read_text()
    (installed / "direct_url.json").unlink()
    done = run_command(
        ["init", str(tmp_path / "other")], PYTHONPATH=f"{installed.parent}:{ROOT}", code=2
    )
    assert "Say with --from where the project gets orch-assets." in done.stderr


@pytest.mark.parametrize(
    ("name", "options", "package"),
    [("my trials.v2", (), "my_trials_v2"), ("2026", ("--package", "trials_2026"), "trials_2026")],
)
def test_the_package_has_the_folders_name_or_a_given_one(name, options, package, tmp_path):
    assert init(tmp_path / name, *options) == 0
    assert (tmp_path / name / package / "definitions.py").exists()


@pytest.mark.parametrize(
    "name", ["2026", "class", "étude", "a-", "_x", "json", "pandas", "orch_assets", "tests"]
)
def test_a_name_that_python_or_a_package_has_is_refused(name, tmp_path, capsys):
    assert init(tmp_path / name) == 2
    assert "Choose a name with --package." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_refused_and_left_as_it_is(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert init(tmp_path, "--package", "trials") == 2
    assert "isn't empty" in capsys.readouterr().err
    assert files_in(tmp_path) == ["notes.txt"]
    assert init(tmp_path / "notes.txt") == 2
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_an_empty_folder_and_a_new_repository_are_accepted(tmp_path, monkeypatch):
    (tmp_path / "trials" / ".git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "trials")
    assert init(".") == 0
    assert (tmp_path / "trials" / "trials" / "definitions.py").exists()


def test_if_a_file_cannot_be_written_nothing_is_left_of_the_project(tmp_path):
    """The system refuses files above a size, as it does on a full disk."""
    wheel = tmp_path / WHEEL
    wheel.write_bytes(b"x" * 100_000)
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))"
    command = f"{limit}; from orch_assets.cli import main; sys.exit(main(sys.argv[1:]))"
    folder = tmp_path / "trials"
    folder.mkdir()
    for target in (folder, tmp_path / "absent"):
        done = run_command(["init", str(target), "--from", str(wheel)], "-c", command, code=2)
        assert "File too large. Nothing is left of it." in done.stderr
    assert files_in(tmp_path) == [WHEEL]
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "absent").exists()


def run_command(arguments, *python, code=0, **settings):
    done = subprocess.run(
        [sys.executable, *(python or ("-m", "orch_assets")), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done
