"""Many studies use a store for the first time at the same moment."""

import subprocess
import sys
import threading
import time

import pandas as pd

from orch_assets import LocalPipelineStore
from orch_assets.stores.backends.s3 import S3Bucket


def test_clients_are_made_one_after_the_other_whatever_the_store():
    """If two threads import boto3 at once, one of them may see it half imported."""
    at_work, most = 0, 0

    def connect():
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.05)
        at_work -= 1

    buckets = [S3Bucket(f"bucket-{number}", connect) for number in range(4)]
    threads = [threading.Thread(target=lambda b=bucket: b._client) for bucket in buckets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


FIRST_USE = """
import sys, threading
sys.setswitchinterval(1e-5)
from orch_assets.step_functions.client import Aws
from orch_assets.stores.backends import s3
from orch_assets.stores.backends.s3_errors import reporting
from orch_assets.clouds import connecting

errors, begin = [], threading.Barrier(6)

def report():
    with reporting("s3://bucket"):
        pass

def connect():
    with connecting:
        s3._connect("eu-west-1", None, "http://127.0.0.1:9", None)

def step_functions():
    Aws("eu-west-1").states

def use(it):
    begin.wait()
    try:
        it()
    except BaseException as error:
        errors.append(repr(error))

calls = (report, connect, step_functions) * 2
threads = [threading.Thread(target=use, args=(call,)) for call in calls]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not errors, errors
"""


def test_boto3_is_imported_whole_whoever_needs_it_first():
    """Without a lock, two of five such processes saw a half-imported boto3, or a deadlock."""
    for _ in range(8):
        subprocess.run([sys.executable, "-c", FIRST_USE], check=True, timeout=60)


def test_a_small_table_is_read_without_threads(tmp_path):
    """On a busy machine, a process that ends while threads of pyarrow begin may abort."""
    LocalPipelineStore(tmp_path).upload(pd.DataFrame({"subject": ["001"]}), "enrolled")
    reading = """
import os, sys
import pandas, pyarrow
from orch_assets import LocalPipelineStore
before = len(os.listdir("/proc/self/task"))
table = LocalPipelineStore(sys.argv[1]).download_table("enrolled")
print(len(table), len(os.listdir("/proc/self/task")) - before)
"""
    command = [sys.executable, "-c", reading, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0"]
