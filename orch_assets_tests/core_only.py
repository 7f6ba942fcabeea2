"""What must work, and what must be said, where only the core dependencies are installed.

``.ci/run`` runs this file by itself, in an environment that has the built wheel and its core
dependencies; `test_extras.py` runs it where the other packages can't be imported. It prints what it
did, and fails on what is wrong.
"""

import contextlib
import importlib
import io
import os
import runpy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ABSENT = ("dagster", "dagster_webserver", "boto3", "botocore", "google.cloud.storage")
QUICK_START = Path(__file__).parent / "scenarios" / "peers" / "quick_start.py"


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def nothing_else_is_there() -> None:
    for module in ABSENT:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(module)
            raise AssertionError(f"{module} is installed, and must not be")
    say("Neither Dagster nor a cloud's package is there.")


def quick_start_runs() -> None:
    """The quick start, as it was published, over the simulator."""
    from orch_assets.demo import DemoServer

    with DemoServer(studies=3, subjects=5) as server:
        os.environ["IMEDNET_BASE_URL"] = server.base_url
        os.environ["IMEDNET_API_KEY"] = server.api_key
        os.environ["IMEDNET_SECURITY_KEY"] = server.security_key
        sys.argv = [str(QUICK_START), "orch_assets"]
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            runpy.run_path(str(QUICK_START))
        registry = server.registry
        counts = {key: len(registry.rows("subjects", key)) for key in registry.study_keys()}
    expected = [f"{key}: {{'subject_count': {count}}}" for key, count in counts.items()]
    assert len(expected) == 3
    assert printed.getvalue().splitlines() == expected, printed.getvalue()
    say(printed.getvalue().strip())


def tables_are_read_and_stored() -> None:
    from orch_assets import ImednetSDK, LocalPipelineStore
    from orch_assets.demo import DemoServer

    with (
        DemoServer(studies=1, subjects=5) as server,
        ImednetSDK(server.api_key, server.security_key, server.base_url) as sdk,
        tempfile.TemporaryDirectory() as folder,
    ):
        frame = sdk.sites.table("ONC-301").to_pandas()
        store = LocalPipelineStore(folder)
        store.upload(frame, "sites/ONC-301")
        assert store.list_artifacts() == ["sites/ONC-301"]
        assert store.download("sites/ONC-301").equals(frame)
    say("A table of the registry is stored, and comes back.")


def every_public_name_is_there() -> None:
    import orch_assets

    for name in orch_assets.__all__:
        getattr(orch_assets, name)


def refused(extra: str, use: Callable[[], Any]) -> None:
    from orch_assets.errors import MissingExtraError

    told = None
    try:
        use()
    except MissingExtraError as error:
        told = error
    assert told is not None, f"Without the extra {extra}, an error says so"
    assert f'pip install "orch-assets[{extra}]"' in str(told), told
    assert told.extra == extra
    assert told.__suppress_context__


def an_extra_that_is_missing_is_named() -> None:
    from orch_assets import (
        GCSPipelineStore,
        PipelineStep,
        S3PipelineStore,
        StepFunctionsPipeline,
    )
    from orch_assets.stores import open_store

    arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
    machine = StepFunctionsPipeline("m", "arn:aws:iam::123456789012:role/r", region="us-east-1")
    machine.add_step(PipelineStep("A", arn))
    stores: dict[str, list[Any]] = {
        "aws": [S3PipelineStore("bucket"), open_store("s3://bucket/prefix")],
        "gcp": [GCSPipelineStore("bucket"), open_store("gs://bucket/prefix")],
    }
    for extra, made in stores.items():
        for store in made:
            refused(extra, store.try_access)
            refused(extra, store.list_artifacts)
            refused(extra, lambda store=store: store.publish_json(1, "x"))
            refused(extra, lambda store=store: store.download("x"))
            refused(extra, lambda store=store: store.exists("x"))
    refused("aws", machine.deploy)
    refused("aws", lambda: machine.execute({}))
    refused("dagster", lambda: importlib.import_module("orch_assets.defs.bucket_io_managers"))
    say("A missing extra is named, with the command that installs it.")


def the_command_says_what_it_needs() -> None:
    from orch_assets import cli
    from orch_assets.stores import __main__ as stores

    os.environ["ORCH_REGISTRY"] = "demo"  # no .env is read
    cases: list[tuple[str, Callable[[], int]]] = [
        ("dagster", lambda: cli.main(["run"])),
        ("dagster", lambda: cli.main(["studies"])),
        ("gcp", lambda: stores.main(["verify", "gs://bucket"])),
        ("aws", lambda: stores.main(["verify", "s3://bucket"])),
    ]
    for extra, command in cases:
        with contextlib.redirect_stderr(io.StringIO()) as told:
            assert command() == 2, told.getvalue()
        assert f'pip install "orch-assets[{extra}]"' in told.getvalue()
        assert "Traceback" not in told.getvalue()
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert cli.main(["--version"]) == 0
        assert cli.main(["--help"]) == 0
    assert "orch-assets" in shown.getvalue()
    say("The command says which extra it needs.")


if __name__ == "__main__":
    nothing_else_is_there()
    quick_start_runs()
    tables_are_read_and_stored()
    every_public_name_is_there()
    an_extra_that_is_missing_is_named()
    the_command_says_what_it_needs()
    say("core: all is well")
