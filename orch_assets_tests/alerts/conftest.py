"""Alerts to deliver, and a certificate that the clients trust."""

import ssl
from datetime import UTC, datetime

import pytest

from orch_assets.alerts.message import AlertKind, AlertMessage
from orch_assets_tests.support.wire import certificate

AT = datetime(2026, 3, 1, 6, tzinfo=UTC)


@pytest.fixture
def alert() -> AlertMessage:
    lines = ["KeyError (at labs.py:7 in labs)", "2 studies: ONC-301, ONC-302"]
    return AlertMessage.make(
        AlertKind.CAUSE, "2 studies failed: KeyError", lines, AT, run_id="0123456789ab"
    )


@pytest.fixture
def tls(tmp_path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The TLS context of a server on 127.0.0.1; the clients trust its certificate."""
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    return context
