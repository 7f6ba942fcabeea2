"""A run that is killed between the commits of the two parts of a merged table."""

import json
import signal
import subprocess
import sys

import pytest

from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets_tests.defs.test_refreshing import Account, edit, read_anew
from orch_assets_tests.support.harness import instance

# Runs the study once, and kills itself when the current object of a part of `records` is replaced.
RUN = """
import json, os, signal, sys
from types import SimpleNamespace
from orch_assets_tests.defs.test_refreshing import SHIPPED
from orch_assets_tests.support.harness import execute, instance
from orch_assets_tests.support.runs import location, small_pages
from pathlib import Path

server, folder, study, store = json.loads(sys.argv[1])

def kill(event, args):
    if event in ("os.rename", "os.link"):
        target = os.fspath(args[1])
        if f"/{store}/records/" in target and ".orch" not in target:
            os.kill(os.getpid(), signal.SIGKILL)

defs = location(
    Path(folder), small_pages(SimpleNamespace(**server)), *(each.function for each in SHIPPED)
)
with instance(study) as real:
    sys.addaudithook(kill)
    execute(defs, real, study)
"""


@pytest.mark.parametrize(
    ("store", "committed"), [("artifacts", ["restricted"]), ("restricted", [])]
)
def test_a_run_that_was_killed_before_a_commit_is_made_good_by_the_next(store, committed, tmp_path):
    with DemoServer(DemoRegistry(studies=1, subjects=8)) as server:
        (study,) = server.registry.study_keys()
        with instance(study) as real:
            account = Account(server, tmp_path / "refreshed", real)
            account.succeed()
            name = f"records/{study}"
            before = {
                each: account.store(each).previous(name) for each in ("artifacts", "restricted")
            }
            edit(account)
            record, other, *_ = account.records(formKey="RAND")
            with account.registry.edit(study) as study_edit:  # a blinded variable
                answer = {"KITNO": other["recordData"]["KITNO"]}
                study_edit.records.change(record["recordId"], answer)
            facts = {
                "api_key": server.api_key,
                "security_key": server.security_key,
                "base_url": server.base_url,
            }
            arguments = json.dumps([facts, str(account.folder), study, store])
            done = subprocess.run([sys.executable, "-c", RUN, arguments], check=False)
            assert done.returncode == -signal.SIGKILL
            replaced = [
                each
                for each, part in before.items()
                if account.store(each).previous(name).version != part.version
            ]
            assert replaced == committed
            account.succeed()
            expected, found = read_anew(account, tmp_path / "anew"), account.stored()
            assert [key for key, table in expected.items() if not found[key].equals(table)] == []
            assert account.store().verify() == []
