"""Settings of stores: one for each parameter, none ignored; encryption can be required."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from orch_assets import LocalPipelineStore, study_pipeline
from orch_assets.cli import main as verify_main
from orch_assets.defs.io.io_manager import StudyIOManager
from orch_assets.defs.resources import StoreResource
from orch_assets.errors import SettingError, StoreUnavailableError
from orch_assets.pipelines.sites import sites
from orch_assets.stores import GCSPipelineStore, S3PipelineStore
from orch_assets.stores.backends import s3 as s3_bucket_module
from orch_assets.stores.store_settings import (
    BUCKET_SETTINGS,
    ENCRYPTION,
    STORE_SETTINGS,
    StoreSettings,
    _settings_at,
    configured_store,
)
from orch_assets_tests.contracts.faulty import FaultyServer, faulty
from orch_assets_tests.support.harness import definitions, execute, failure_text, instance, states

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OTHER_KEY = KEY.replace("1234abcd", "ffffffff")
GOOGLE_KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
STORES = {"s3": S3PipelineStore, "gs": GCSPipelineStore, None: LocalPipelineStore}
FRAME = pd.DataFrame({"n": range(1000)})
BIG = pd.DataFrame({f"f{n}": np.random.default_rng(n).random(1_200_000) for n in range(4)})
SETTINGS = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*BUCKET_SETTINGS, *STORE_SETTINGS, ENCRYPTION):
        monkeypatch.delenv(f"ORCH_STORE_{name}", raising=False)
        monkeypatch.delenv(f"ORCH_RESTRICTED_STORE_{name}", raising=False)
    monkeypatch.delenv("ORCH_STORE", raising=False)
    monkeypatch.delenv("ORCH_RESTRICTED_STORE", raising=False)


@pytest.fixture
def set_to(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.mark.parametrize("scheme", STORES)
def test_every_parameter_of_a_store_has_a_setting(scheme: str | None) -> None:
    """Except bucket and prefix, which the address has, and the client, which isn't text."""
    parameters = {*inspect.signature(STORES[scheme]).parameters}
    parameters -= {"bucket", "prefix", "root", "client", "private"}
    given = {names[scheme] for names in BUCKET_SETTINGS.values() if scheme in names}
    assert {*STORE_SETTINGS.values()} | given == parameters


def test_the_page_of_settings_lists_every_setting() -> None:
    listed = SETTINGS.read_text(encoding="utf-8")
    for name in (*BUCKET_SETTINGS, *STORE_SETTINGS, ENCRYPTION):
        assert f"`ORCH_STORE_{name}`" in listed


@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("scheme", ["s3", "gs", None])
@pytest.mark.parametrize("setting", BUCKET_SETTINGS)
def test_a_setting_reaches_its_store_or_is_refused(
    setting: str, scheme: str | None, restricted: bool, set_to, tmp_path, monkeypatch
) -> None:
    """None is ignored: the error names the setting and the kind of store that it doesn't fit."""
    address = f"{scheme}://bucket/prefix" if scheme else str(tmp_path)
    variable = f"ORCH_{'RESTRICTED_' if restricted else ''}STORE_{setting}"
    set_to(**{"ORCH_STORE": address, variable: "a=b"})
    taken: dict[str, Any] = {}
    for store in ("S3", "GCS"):
        kind = S3PipelineStore if store == "S3" else GCSPipelineStore
        init = kind.__init__

        def noted(self, *args, init=init, **options: Any) -> None:
            taken.update(options)
            init(self, *args, **options)

        monkeypatch.setattr(kind, "__init__", noted)
    resource = StoreResource(restricted=restricted)
    if scheme not in BUCKET_SETTINGS[setting]:
        with pytest.raises(SettingError, match=f"^{variable} is for a store at ") as caught:
            _ = resource.store
        assert caught.value.setting == variable
        return
    _ = resource.store
    parameter = BUCKET_SETTINGS[setting][scheme or ""]
    assert taken[parameter] == ({"a": "b"} if setting == "TAGS" else "a=b")


def test_the_restricted_store_takes_the_open_ones_settings_while_it_lies_below_it(
    set_to, s3, s3_bucket: str
) -> None:
    """With an address of its own it has its own key, role and region: they belong to a location."""
    set_to(ORCH_STORE=f"s3://{s3_bucket}/open", ORCH_STORE_KMS_KEY=KEY, ORCH_STORE_TAGS="class=phi")
    StoreResource(restricted=True).store.upload(FRAME, "below")
    assert keys_used(s3, s3_bucket) == {KEY}
    set_to(ORCH_RESTRICTED_STORE_KMS_KEY=OTHER_KEY)
    StoreResource(restricted=True).store.upload(FRAME, "own")
    assert keys_used(s3, s3_bucket, "open/restricted/own") == {OTHER_KEY}
    set_to(ORCH_RESTRICTED_STORE=f"s3://{s3_bucket}/apart", ORCH_RESTRICTED_STORE_TAGS="a=b")
    StoreResource(restricted=True).store.upload(FRAME, "x")
    assert keys_used(s3, s3_bucket, "apart/x") == {OTHER_KEY}
    tags = s3.get_object_tagging(Bucket=s3_bucket, Key="apart/x.parquet")["TagSet"]
    assert tags == [{"Key": "a", "Value": "b"}]


def keys_used(s3, bucket: str, prefix: str = "") -> set[str | None]:
    """Return the KMS keys of all objects below a prefix; None for an object without one."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    names = [each["Key"] for page in pages for each in page.get("Contents", ())]
    assert names
    heads = [s3.head_object(Bucket=bucket, Key=name) for name in names]
    return {head.get("SSEKMSKeyId") for head in heads}


@pytest.fixture
def strict_s3(s3, s3_settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """S3 with a bucket policy that denies objects without a key."""
    with faulty(s3_settings["AWS_ENDPOINT_URL"]) as proxy:
        passed_on = proxy.RequestHandlerClass._pass_on

        class Handler(proxy.RequestHandlerClass):
            def _pass_on(self, body: bytes, *, cut: bool) -> None:
                makes = self.command == "PUT" and "uploadId=" not in self.path
                makes |= self.command == "POST" and self.path.endswith("?uploads")
                if makes and not self.headers.get("x-amz-server-side-encryption-aws-kms-key-id"):
                    self.send_response(403)
                    answer = b"<Error><Code>AccessDenied</Code></Error>"
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                    return
                passed_on(self, body, cut=cut)

        proxy.RequestHandlerClass = Handler
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.mark.parametrize("copied_in_parts", [False, True])
def test_every_way_of_writing_carries_the_key(
    copied_in_parts: bool, strict_s3: FaultyServer, s3, s3_bucket: str, monkeypatch, set_to
) -> None:
    """Versions, manifests, current objects, sets, reports, uploads and copies in parts."""
    if copied_in_parts:
        monkeypatch.setattr(s3_bucket_module, "_COPY_AT_ONCE", 5 << 20)
    set_to(ORCH_STORE=f"s3://{s3_bucket}/open", ORCH_STORE_TAGS="class=phi")
    with pytest.raises(StoreUnavailableError):
        StoreResource().store.upload(FRAME, "x")
    set_to(ORCH_STORE_KMS_KEY=KEY)
    resource = StoreResource()
    resource.store.upload(BIG, "big")
    resource.store.upload(BIG, "big")
    resource.store.publish_set({"a": FRAME}, "set")
    resource.write_report("failures/report", {"failed": 1})
    resource.store.retain(keep_last=1)
    assert keys_used(s3, s3_bucket) == {KEY}
    assert resource.store.verify() == []


def test_every_google_object_carries_the_key(
    gcs, gcs_bucket: str, gcs_settings, monkeypatch, set_to
) -> None:
    set_to(ORCH_STORE=f"gs://{gcs_bucket}/open", ORCH_STORE_KMS_KEY=GOOGLE_KEY)
    set_to(ORCH_STORE_ENCRYPTION="required")
    with faulty(gcs_settings["STORAGE_EMULATOR_HOST"]) as proxy:
        set_to(STORAGE_EMULATOR_HOST=proxy.url)
        store = StoreResource().store
        store.upload(FRAME, "x")
        store.publish_set({"a": FRAME}, "set")
        posted = [seen for seen in proxy.seen if seen.startswith("POST")]
    assert len(posted) > 5
    assert all(re.search("[kK]msKeyName=", each) for each in posted)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"ORCH_STORE": "s3://b/p"}, "ORCH_STORE_KMS_KEY is missing, and ORCH_STORE_ENCRYPTION"),
        ({"ORCH_STORE": "gs://b/p"}, "ORCH_STORE_KMS_KEY is missing"),
        ({"ORCH_STORE": "{folder}"}, "ORCH_STORE_ENCRYPTION is required, but the store is a fold"),
        (
            {
                "ORCH_STORE": "s3://b/p",
                "ORCH_STORE_KMS_KEY": KEY,
                "ORCH_RESTRICTED_STORE": "s3://c/p",
            },
            "ORCH_RESTRICTED_STORE_KMS_KEY is missing",
        ),
        (
            {
                "ORCH_STORE": "s3://b/p",
                "ORCH_STORE_KMS_KEY": KEY,
                "ORCH_RESTRICTED_STORE": "{folder}",
            },
            "ORCH_STORE_ENCRYPTION is required, but the store is a folder",
        ),
    ],
)
def test_required_encryption_refuses_a_run_before_its_first_study(
    variables: dict[str, str], says: str, set_to, tmp_path
) -> None:
    set_to(**{name: value.format(folder=tmp_path / "x") for name, value in variables.items()})
    set_to(ORCH_STORE_ENCRYPTION="required")
    started: list[str] = []

    @study_pipeline
    def counted(study_key: str, sdk: Any, study_logger: Any) -> dict[str, int]:
        started.append(study_key)
        return {"n": 1}

    restricted = StoreResource(restricted=True)
    defs = definitions(
        tmp_path,
        counted,
        io_manager=StudyIOManager(store=StoreResource()),
        restricted_io_manager=StudyIOManager(store=restricted),
        restricted_store=restricted,
    )
    with instance("ONC-301") as real:
        run = execute(defs, real, "ONC-301")
        assert says in failure_text(real, run)
    assert started == []
    assert not (tmp_path / "x").exists()


def test_encryption_in_buckets_alone_leaves_folders(set_to, tmp_path) -> None:
    set_to(ORCH_STORE=str(tmp_path), ORCH_STORE_ENCRYPTION="required-in-buckets")
    StoreResource().store.upload(FRAME, "x")
    set_to(ORCH_STORE="s3://b/p")
    with pytest.raises(SettingError, match="ORCH_STORE_KMS_KEY is missing"):
        _ = StoreResource().store


def test_a_run_encrypts_all_that_it_writes(
    strict_s3: FaultyServer, s3, s3_bucket: str, set_to, tmp_path
) -> None:
    """Tables of both stores, and the report of a failed study."""
    set_to(
        ORCH_STORE=f"s3://{s3_bucket}/trials",
        ORCH_STORE_KMS_KEY=KEY,
        ORCH_STORE_ENCRYPTION="required",
    )

    @study_pipeline
    def fails(study_key: str, sdk: Any, study_logger: Any) -> dict[str, int]:
        raise ValueError

    restricted = StoreResource(restricted=True)
    defs = definitions(
        tmp_path,
        sites,
        fails,
        io_manager=StudyIOManager(store=StoreResource()),
        restricted_io_manager=StudyIOManager(store=restricted),
        restricted_store=restricted,
    )
    with instance("ONC-301") as real:
        execute(defs, real, "ONC-301")
        assert states(real, "sites") == {"ONC-301": "MATERIALIZED"}
    assert keys_used(s3, s3_bucket) == {KEY}
    assert keys_used(s3, s3_bucket, "trials/restricted/") == {KEY}


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("ORCH_STORE_TAGS", "trial"),
        ("ORCH_STORE_TAGS", "=x"),
        ("ORCH_STORE_TAGS", "a=1,a=2"),
        ("ORCH_STORE_TAGS", "a=1,"),
        ("ORCH_STORE_ENCRYPTION", "yes"),
        ("ORCH_STORE_ESCAPE_FORMULAS", "maybe"),
        ("ORCH_STORE_FORMAT", "xlsx"),
    ],
)
def test_a_setting_that_can_not_be_read_names_itself(variable: str, text: str, set_to) -> None:
    set_to(ORCH_STORE="s3://bucket/prefix", **{variable: text})
    with pytest.raises(SettingError, match=f"^{variable} ") as caught:
        _ = StoreResource().store
    assert caught.value.setting == variable


def test_formulas_are_escaped_by_a_setting(set_to, tmp_path) -> None:
    set_to(
        ORCH_STORE=str(tmp_path), ORCH_STORE_FORMAT="csv", ORCH_RESTRICTED_STORE_FORMAT="parquet"
    )
    set_to(ORCH_STORE_ESCAPE_FORMULAS="true")
    StoreResource().store.upload(pd.DataFrame({"a": ["=1+1"]}), "x")
    assert "'=1+1" in (tmp_path / "x.csv").read_text(encoding="utf-8")
    uri = StoreResource(restricted=True).store.upload(FRAME, "x")
    assert uri.endswith("restricted/x.parquet")


def test_a_store_is_opened_from_any_mapping() -> None:
    """It holds outside Dagster, too."""
    settings = StoreSettings({"ORCH_STORE_REGION": "eu-central-1"}.get)
    assert isinstance(configured_store("s3://bucket/prefix", settings), S3PipelineStore)


# --- a store named on the command line ---


@pytest.mark.parametrize(
    ("address", "region"),
    [
        ("s3://open", "open-1"),
        ("S3://open/trials/", "open-1"),
        ("s3://open/elsewhere", "open-1"),
        ("s3://open/trials/restricted", "open-1"),
        ("s3://private/x", "private-1"),
        ("s3://opened/trials", None),
        ("gs://open/trials", None),
    ],
)
def test_a_bucket_that_a_setting_names_is_opened_by_that_stores_settings(
    address: str, region: str | None
) -> None:
    """A bucket that no setting names is opened with the defaults of the provider's library."""
    settings = {
        "ORCH_STORE": "s3://open/trials",
        "ORCH_STORE_REGION": "open-1",
        "ORCH_RESTRICTED_STORE": "s3://private/x",
        "ORCH_RESTRICTED_STORE_REGION": "private-1",
    }
    assert found_region(address, settings) == region


@pytest.mark.parametrize(
    ("address", "region"),
    [
        ("s3://open/trials", "open-1"),
        ("s3://open/trials/restricted/subjects", "private-1"),
        ("s3://open/trials/restricted2", "open-1"),
    ],
)
@pytest.mark.parametrize("apart", [None, "s3://open/trials/restricted/"])
def test_in_one_bucket_what_lies_in_the_restricted_store_is_opened_by_its_settings(
    apart: str | None, address: str, region: str
) -> None:
    settings = {
        "ORCH_STORE": "s3://open/trials",
        "ORCH_STORE_REGION": "open-1",
        "ORCH_RESTRICTED_STORE_REGION": "private-1",
        **({"ORCH_RESTRICTED_STORE": apart} if apart else {}),
    }
    assert found_region(address, settings) == region


def found_region(address: str, settings: dict[str, str]) -> str | None:
    found = _settings_at(address, settings.get)
    return settings[found.find("REGION")[0]] if found else None


def test_verify_reads_a_bucket_by_the_settings_of_its_store(
    s3, s3_bucket: str, set_to, monkeypatch, capsys
) -> None:
    """Without the endpoint, the command would look for the bucket at AWS."""
    endpoint = s3.meta.endpoint_url
    set_to(ORCH_STORE=f"s3://{s3_bucket}/trials")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    set_to(ORCH_STORE_ENDPOINT=endpoint)
    StoreResource().store.upload(FRAME, "x")
    assert verify_main(["verify", f"s3://{s3_bucket}/trials"]) == 0
    assert "4 objects, no faults." in capsys.readouterr().out
    set_to(ORCH_STORE_ESCAPE_FORMULAS="maybe")
    assert verify_main(["verify", f"s3://{s3_bucket}/trials"]) == 2
    assert capsys.readouterr().err.startswith("SettingError: ORCH_STORE_ESCAPE_FORMULAS is 'maybe'")
