"""Deliveries to real servers on loopback: taken, refused, too late, and what no text repeats."""

import logging
import time
from email.utils import format_datetime, parsedate_to_datetime

import pytest

from orch_assets.alerts.alert_settings import AlertSettings
from orch_assets.alerts.receivers import receivers_of
from orch_assets.errors import AlertDeliveryError
from orch_assets.http_rules import seconds_to_wait
from orch_assets_tests.support.alert_receivers import mail_server, webhook

LOGIN = ("orch", "PLANTED-PASSWORD")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def post(url, alert, *, deadline=5.0, **variables):
    settings = AlertSettings.read({"ORCH_ALERT_WEBHOOK": url, **variables})
    receivers_of(settings, deadline=deadline)["webhook"](alert)


def mail(address, alert, *, deadline=5.0, login=None):
    variables = {
        "ORCH_ALERT_EMAIL": "one@example.com,two@example.com",
        "ORCH_ALERT_SENDER": "orch@example.com",
        "ORCH_ALERT_SMTP": address,
        "ORCH_ALERT_UI": "http://dagster.example.com/",
    }
    if login:
        variables |= {"ORCH_ALERT_SMTP_USER": login[0], "ORCH_ALERT_SMTP_PASSWORD": login[1]}
    receivers_of(AlertSettings.read(variables), deadline=deadline)["e-mail"](alert)


def failing(deliver, *args, **options):
    with pytest.raises(AlertDeliveryError) as caught:
        deliver(*args, **options)
    assert "PLANTED" not in str(caught.value)
    return caught.value


def test_a_webhook_is_sent_the_alert_as_json(alert):
    with webhook() as hook:
        post(hook.url, alert, ORCH_ALERT_UI="http://dagster.example.com/")
    (taken,) = hook.taken
    assert taken["link"] == "http://dagster.example.com/runs/0123456789ab"
    assert taken["title"] == alert.title


def test_a_webhook_with_tls_is_sent_it_if_its_certificate_is_trusted(alert, tls, monkeypatch):
    with webhook(tls=tls) as hook:
        post(hook.url, alert)
        assert len(hook.taken) == 1
        monkeypatch.delenv("SSL_CERT_FILE")
        assert str(failing(post, hook.url, alert)) == (
            "The webhook for alerts can't be reached (ConnectError)."
        )
        assert hook.tried == 1


@pytest.mark.parametrize(
    ("answer", "is_refused", "retry_after"),
    [
        (500, False, None),
        ((429, {"Retry-After": "120"}), False, 120.0),
        ((503, {"Retry-After": "soon"}), False, None),
        (302, False, None),
        (404, False, None),
        (400, True, None),
        (413, True, None),
    ],
)
def test_a_status_says_whether_the_receiver_or_the_alert_is_at_fault(
    alert, answer, is_refused, retry_after
):
    with webhook(answer) as hook:
        error = failing(post, hook.url, alert)
    assert hook.tried == 1  # nothing is followed or repeated
    assert (error.is_refused, error.retry_after) == (is_refused, retry_after)


def test_retry_after_may_be_a_date():
    later = format_datetime(parsedate_to_datetime("Sun, 01 Mar 2099 06:00:00 GMT"), usegmt=True)
    assert seconds_to_wait(later) > 3600
    assert seconds_to_wait("Sun, 01 Mar 2020 06:00:00 GMT") == 0.0


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_a_webhook_that_hangs_is_left_at_the_deadline(alert, how):
    """Each byte that drips would start a timeout for a single wait anew."""
    with webhook(how) as hook:
        began = time.monotonic()
        error = failing(post, hook.url, alert, deadline=0.5)
        assert time.monotonic() - began < 3
    assert str(error) == "The webhook for alerts did not take an alert within 0.5 seconds."


def test_a_webhook_that_is_down_is_named_without_its_address(alert):
    with webhook() as hook:
        pass
    assert "ConnectError" in str(failing(post, hook.url, alert))


def test_no_log_shows_the_token_of_a_webhook(alert, caplog):
    """An HTTP client logs the address of each request."""
    with webhook(500, 200) as hook, caplog.at_level(logging.DEBUG):
        failing(post, hook.url, alert)
        post(hook.url, alert)
    assert len(hook.taken) == 1
    assert "PLANTED" not in caplog.text


def test_a_mail_has_the_alert_and_an_id_that_stays(alert):
    with mail_server() as (mails, port):
        mail(f"smtp+plain://127.0.0.1:{port}", alert)
    (taken,) = mails.taken
    headers = {name: taken[name] for name in ("Subject", "From", "To", "Message-ID", "Date")}
    assert headers == {
        "Subject": "[orch-assets] 2 studies failed: KeyError",
        "From": "orch@example.com",
        "To": "one@example.com, two@example.com",
        "Message-ID": f"<{alert.id}@example.com>",
        "Date": "Sun, 01 Mar 2026 06:00:00 +0000",
    }
    assert taken.get_content().splitlines()[:3] == [
        *alert.lines,
        "http://dagster.example.com/runs/0123456789ab",
    ]


def test_a_mail_is_sent_with_implicit_tls(alert, tls):
    with mail_server(implicit=tls) as (mails, port):
        mail(f"smtps://127.0.0.1:{port}", alert)
    assert len(mails.taken) == 1


def test_a_mail_is_sent_with_starttls_and_a_login(alert, tls):
    with mail_server(starttls=tls, login=LOGIN) as (mails, port):
        mail(f"smtp://127.0.0.1:{port}", alert, login=LOGIN)
        assert len(mails.taken) == 1
        wrong = failing(mail, f"smtp://127.0.0.1:{port}", alert, login=("orch", "PLANTED"))
        assert "SMTPAuthenticationError 535" in str(wrong)
        none = failing(mail, f"smtp://127.0.0.1:{port}", alert)
        assert "530" in str(none)
    assert len(mails.taken) == 1


def test_a_mail_server_without_starttls_is_sent_neither_password_nor_alert(alert):
    with mail_server() as (mails, port):
        error = failing(mail, f"smtp://127.0.0.1:{port}", alert, login=LOGIN)
    assert "offers no STARTTLS" in str(error)
    assert mails.taken == []


@pytest.mark.parametrize("security", ["smtps", "smtp"])
def test_a_mail_server_with_a_certificate_of_nobody_is_sent_nothing(
    alert, tls, monkeypatch, security
):
    monkeypatch.delenv("SSL_CERT_FILE")
    server = {"smtps": "implicit", "smtp": "starttls"}[security]
    with mail_server(**{server: tls}) as (mails, port):
        error = failing(mail, f"{security}://127.0.0.1:{port}", alert)
    assert "SSLCertVerificationError" in str(error)
    assert mails.taken == []


def test_a_mail_that_all_recipients_refuse_is_not_delivered(alert, caplog):
    with mail_server() as (mails, port):
        mails.refused = {"one@example.com"}
        mail(f"smtp+plain://127.0.0.1:{port}", alert)
        assert len(mails.taken) == 1
        assert "refused 1 of the recipients" in caplog.text
        mails.refused = {"one@example.com", "two@example.com"}
        error = failing(mail, f"smtp+plain://127.0.0.1:{port}", alert)
    assert "refused for every recipient (550)" in str(error)


@pytest.mark.parametrize(("answer", "is_refused"), [("554 no", True), ("451 later", False)])
def test_a_mail_whose_text_is_refused_for_good_holds_up_no_other(alert, answer, is_refused):
    with mail_server() as (mails, port):
        mails.on_data = answer
        error = failing(mail, f"smtp+plain://127.0.0.1:{port}", alert)
    assert error.is_refused is is_refused
