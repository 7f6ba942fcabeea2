"""The tree of errors: as it is drawn, and each of them Python's own error, too, where it is one."""

import importlib
import pkgutil
import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

import orch_assets
from orch_assets import (
    LocalPipelineStore,
    MultiStudyOrchestrator,
    PipelineStep,
    S3PipelineStore,
    StepFunctionsPipeline,
    errors,
    study_pipeline,
)
from orch_assets.defs.resources import OrchestrationResource, StoreResource
from orch_assets.demo import DemoServer
from orch_assets.errors import OrchAssetsError
from orch_assets.imednet.sdk import ImednetSDK
from orch_assets.step_functions import execution_errors as step_function_errors
from orch_assets.stores import open_store
from orch_assets.study import check_study_key


def drawn(module: Any) -> dict[str, tuple[str | None, str | None]]:
    """Return each error of a drawing with the one above it, and Python's."""
    found: dict[str, tuple[str | None, str | None]] = {}
    above: list[str] = []
    for line in module.__doc__.splitlines():
        match = re.match(r"^ {4}([│ ├└─]*)(\w+(?:Error|Failed)\b)(?: \((\w+)\))?", line)
        if match:
            depth = len(match[1]) // 4
            del above[depth:]
            found[match[2]] = (above[-1] if above else None, match[3])
            above.append(match[2])
    return found


def every_error() -> list[type[OrchAssetsError]]:
    for module in pkgutil.walk_packages(orch_assets.__path__, "orch_assets."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: list[type[OrchAssetsError]] = [OrchAssetsError]
    for error in found:
        found += error.__subclasses__()
    return [error for error in found if error.__module__.startswith("orch_assets.")]


@pytest.mark.filterwarnings("ignore:orch_assets.registry:DeprecationWarning")  # its former name
def test_the_drawings_are_the_tree() -> None:
    """A class that is missing there, hangs elsewhere, or is another of Python's, fails here."""
    tree = {**drawn(errors), **drawn(step_function_errors)}
    tree["StateMachineError"] = ("OrchAssetsError", None)
    for error in every_error():
        above, python = tree.pop(error.__name__)
        base, *others = error.__bases__
        assert base.__name__ == (above or "MarkedError"), error
        assert [other.__name__ for other in others] == ([python] if python else []), error
        pythons = (ValueError, LookupError, ImportError)
        wider = {each.__name__ for each in pythons if issubclass(error, each)}
        inherited = {name for each in error.__mro__ if (name := _python_of(each)) is not None}
        assert wider == inherited, error
    assert tree == {}


def _python_of(error: type) -> str | None:
    tree = {**drawn(errors), **drawn(step_function_errors)}
    return tree.get(error.__name__, (None, None))[1]


def local(tmp_path: Any) -> LocalPipelineStore:
    return LocalPipelineStore(tmp_path)


def machine() -> StepFunctionsPipeline:
    return StepFunctionsPipeline("name", "arn:aws:iam::123456789012:role/r")


WRONG: dict[str, Callable[[Any], Any]] = {
    "a study's key": lambda _: check_study_key(""),
    "max_workers": lambda _: MultiStudyOrchestrator(None, max_workers=0),
    "an option": lambda _: MultiStudyOrchestrator(None).execute_pipeline(print, timeout=-1),
    "no function": lambda _: MultiStudyOrchestrator(None).execute_pipeline("no function"),  # type: ignore[arg-type]
    "a filter": lambda _: MultiStudyOrchestrator(None).resolve_active_studies(whitelist="A"),  # type: ignore[arg-type]
    "two filters": lambda _: MultiStudyOrchestrator(None).resolve_active_studies({"A"}, {"B"}),
    "a setting": lambda _: OrchestrationResource(max_workers=0).workers(),
    "a setting of the store": lambda _: StoreResource(uri="x", store_format="xlsx").store,
    "a pipeline": lambda _: study_pipeline(lambda study_key: None),  # type: ignore[arg-type]
    "an address": lambda _: open_store("ftp://host/folder"),
    "no address": lambda _: open_store(""),
    "a bucket": lambda _: S3PipelineStore("bucket/prefix"),
    "an artifact's name": lambda folder: local(folder).upload(pd.DataFrame({"a": [1]}), "../x"),
    "a table": lambda folder: local(folder).upload(pd.DataFrame({"a": [object()]}), "x"),
    "a value": lambda folder: local(folder).publish_json({"a": object()}, "x"),
    "a retention": lambda folder: local(folder).retain(keep_last=-1),
    "a step": lambda _: machine().add_step(PipelineStep("A", "no ARN")).definition(),
    "no steps": lambda _: machine().definition(),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_an_argument_is_a_value_error(name: str, tmp_path: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - that it is one is what is tested
        WRONG[name](tmp_path)


MISSING: dict[str, Callable[[Any], Any]] = {
    "an artifact": lambda folder: local(folder).download("x"),
    "a manifest": lambda folder: local(folder).manifest("x"),
    "a set": lambda folder: local(folder).download_set("x"),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_not_there_is_a_lookup_error(name: str, tmp_path: Any) -> None:
    with pytest.raises(LookupError):
        MISSING[name](tmp_path)


def test_a_study_that_is_not_there_is_a_lookup_error() -> None:
    with (
        DemoServer(studies=1, subjects=1) as server,
        ImednetSDK(server.api_key, server.security_key, server.base_url) as sdk,
    ):
        with pytest.raises(LookupError, match="404"):
            list(sdk.sites.list("NO-1"))
        study = importlib.import_module("orch_assets.pipelines.study").study
        with pytest.raises(LookupError, match="does not list study NO-1: check"):
            study("NO-1", sdk, None)
