import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orch_assets.errors import CredentialsError, SettingError
from orch_assets.imednet import ImednetSDK
from orch_assets.imednet.settings import RegistrySettings


def test_environment_is_read_when_constructed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMEDNET_API_KEY", "one\n")
    monkeypatch.setenv("IMEDNET_SECURITY_KEY", "two")
    monkeypatch.setenv("IMEDNET_BASE_URL", "https://edc.example.com/")
    monkeypatch.setenv("IMEDNET_TIMEOUT", "7.5")
    monkeypatch.setenv("IMEDNET_MAX_REQUESTS", "3")
    monkeypatch.setenv("IMEDNET_ANSWER_TIMEOUT", "60")
    monkeypatch.setenv("IMEDNET_MAX_ANSWER_MB", "64")
    assert RegistrySettings.read() == RegistrySettings(
        "one", "two", "https://edc.example.com", 7.5, 3, 60.0, 64
    )


@pytest.mark.parametrize(("timeout", "whole"), [(None, 300.0), (2.5, 25.0)])
def test_a_whole_answer_may_take_ten_timeouts(timeout: float | None, whole: float) -> None:
    settings = RegistrySettings.read("k", "s", timeout=timeout)
    assert (settings.answer_timeout, settings.max_answer_mb) == (whole, 256)


def test_blank_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BASE_URL", "TIMEOUT", "MAX_REQUESTS", "ANSWER_TIMEOUT", "MAX_ANSWER_MB"):
        monkeypatch.setenv(f"IMEDNET_{name}", "  ")
    assert RegistrySettings.read("k", "s") == RegistrySettings(
        "k", "s", "https://edc.prod.imednetapi.com", 30.0, None, 300.0, 256
    )


def test_arguments_go_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMEDNET_API_KEY", "environment")
    assert RegistrySettings.read("argument", "s").api_key == "argument"


def test_missing_keys_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CredentialsError) as caught:
        ImednetSDK()
    assert caught.value.missing == ("IMEDNET_API_KEY", "IMEDNET_SECURITY_KEY")
    monkeypatch.setenv("IMEDNET_API_KEY", "k")
    with pytest.raises(CredentialsError) as caught:
        ImednetSDK(security_key=" ")
    assert caught.value.missing == ("IMEDNET_SECURITY_KEY",)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("IMEDNET_TIMEOUT", "soon"),
        ("IMEDNET_TIMEOUT", "0"),
        ("IMEDNET_TIMEOUT", "-1"),
        ("IMEDNET_TIMEOUT", "nan"),
        ("IMEDNET_TIMEOUT", "inf"),
        ("IMEDNET_ANSWER_TIMEOUT", "later"),
        ("IMEDNET_ANSWER_TIMEOUT", "0"),
        ("IMEDNET_MAX_ANSWER_MB", "much"),
        ("IMEDNET_MAX_ANSWER_MB", "0"),
        ("IMEDNET_MAX_REQUESTS", "many"),
        ("IMEDNET_MAX_REQUESTS", "0"),
        ("IMEDNET_MAX_REQUESTS", "-4"),
        ("IMEDNET_MAX_REQUESTS", "2.5"),
        ("IMEDNET_BASE_URL", "edc.example.com"),
        ("IMEDNET_BASE_URL", "ftp://edc.example.com"),
        ("IMEDNET_BASE_URL", "https://"),
        ("IMEDNET_BASE_URL", "https://edc.example.com:port"),
        ("IMEDNET_BASE_URL", "https://[::1"),
        ("IMEDNET_BASE_URL", "https://edc.example.com?key=1"),
        ("IMEDNET_BASE_URL", "http://edc.example.com"),
        ("IMEDNET_BASE_URL", "http://127.0.0.1.example.com"),
        ("IMEDNET_BASE_URL", "http://localhost.example"),
        ("IMEDNET_BASE_URL", "http://localhost."),
        ("IMEDNET_BASE_URL", "http://127.1"),
        ("IMEDNET_BASE_URL", "http://0x7f.1"),
        ("IMEDNET_BASE_URL", "http://2130706433"),
        ("IMEDNET_BASE_URL", "http://0.0.0.0"),
        ("IMEDNET_BASE_URL", "http://[::]"),
        ("IMEDNET_BASE_URL", "http://[::ffff:10.0.0.1]"),
        ("IMEDNET_BASE_URL", "https://me:hunter2@edc.example.com"),
        ("IMEDNET_BASE_URL", "http://hunter2@127.0.0.1"),
        ("IMEDNET_API_KEY", "with space"),
        ("IMEDNET_SECURITY_KEY", "schlüssel"),
    ],
)
def test_malformed_settings_are_named_and_not_repeated(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMEDNET_API_KEY", "k")
    monkeypatch.setenv("IMEDNET_SECURITY_KEY", "s")
    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingError) as caught:
        ImednetSDK()
    assert caught.value.setting == variable
    assert "hunter2" not in str(caught.value)
    assert variable not in {"IMEDNET_API_KEY", "IMEDNET_SECURITY_KEY"} or text not in str(
        caught.value
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "http://localhost",
        "http://[::1]:9",
        "http://127.8.9.1",
        "http://[::ffff:127.0.0.1]:8000",
    ],
)
def test_plain_http_is_fine_on_loopback(url: str) -> None:
    assert RegistrySettings.read("k", "s", url).base_url == url


@pytest.mark.parametrize("suffix", ["", "/", "/api", "/api/", "/api/v1/edc", "/api/v1/edc/"])
def test_base_url_may_end_where_the_public_package_lets_it(suffix: str) -> None:
    url = f"https://edc.example.com/gateway{suffix}"
    assert RegistrySettings.read("k", "s", url).base_url == "https://edc.example.com/gateway"


@pytest.mark.parametrize(
    "option", [{"page_size": 0}, {"page_size": 501}, {"window": 0}, {"attempts": True}]
)
def test_sizes_out_of_range_are_refused(option: dict[str, int]) -> None:
    with pytest.raises(SettingError):
        ImednetSDK("k", "s", **option)


def test_repr_shows_the_host_and_no_key() -> None:
    settings = RegistrySettings.read("planted-key", "planted-secret")
    with ImednetSDK("planted-key", "planted-secret") as sdk:
        for text in (repr(sdk), repr(settings), repr(sdk.subjects)):
            assert "planted" not in text
        assert repr(sdk) == "<ImednetSDK https://edc.prod.imednetapi.com>"


@pytest.mark.parametrize("content", [None, "planted"])
def test_certificates_that_can_not_be_read_are_named_by_their_variable(
    content, tmp_path, monkeypatch
):
    """SSL_CERT_FILE is httpx's own setting; its error would be a traceback of another library."""
    file = tmp_path / "planted.pem"
    if content:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(SettingError, match=r"^SSL_CERT_FILE names no certificates") as caught:
        ImednetSDK("key", "key", "https://edc.example.com")
    assert "planted" not in str(caught.value)


@given(st.text(max_size=20) | st.text("a/:@%?#[]0\0\ud800\u2100 .", max_size=12))
@example("[::1")
@example("\u2100")
@example("a\0b")
def test_any_base_url_is_read_or_refused(text):
    for url in (text, f"https://{text}"):
        try:
            settings = RegistrySettings.read("key", "key", url or "x")
        except SettingError:
            continue
        httpx.URL(f"{settings.base_url}/api/v1/edc/studies")
