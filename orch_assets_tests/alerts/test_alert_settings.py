"""The settings of alerts: what is accepted, what is refused, and what no text repeats."""

import pytest

from orch_assets.alerts.alert_settings import AlertSettings, Mailbox
from orch_assets.alerts.payloads import AlertFormat
from orch_assets.errors import SettingError

HOOK = "https://alerts.example.com/T0/PLANTED-TOKEN"
MAIL = {
    "ORCH_ALERT_EMAIL": "one@example.com, two@example.com",
    "ORCH_ALERT_SENDER": "orch@example.com",
    "ORCH_ALERT_SMTP": "smtps://mail.example.com",
}


def read(**variables):
    return AlertSettings.read({f"ORCH_ALERT_{name}": text for name, text in variables.items()})


def test_without_settings_alerts_are_off():
    assert AlertSettings.read({}).is_off
    assert read(WEBHOOK=" ", EMAIL="").is_off


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("hooks.slack.com", AlertFormat.SLACK),
        ("contoso.webhook.office.com", AlertFormat.TEAMS),
        ("alerts.example.com", AlertFormat.JSON),
        ("hooks.slack.com.example.com", AlertFormat.JSON),
    ],
)
def test_the_format_is_guessed_only_from_hosts_with_one_format(host, expected):
    assert read(WEBHOOK=f"https://{host}/x").webhook.format is expected


@pytest.mark.parametrize(
    "host", ["prod-1.westeurope.logic.azure.com", "d.12.environment.api.powerplatform.com"]
)
def test_a_workflow_of_power_automate_needs_its_format(host):
    """It answers 202 to a body that it can't use, so a wrong guess would lose every alert."""
    with pytest.raises(SettingError, match="ORCH_ALERT_FORMAT must be set"):
        read(WEBHOOK=f"https://{host}/x")
    assert read(WEBHOOK=f"https://{host}/x", FORMAT="teams").webhook.format is AlertFormat.TEAMS


def test_plain_http_is_for_loopback_only():
    assert read(WEBHOOK="http://127.0.0.1:8000/x").webhook
    assert read(WEBHOOK="http://localhost:8000/x").webhook
    with pytest.raises(SettingError, match="must begin with https://"):
        read(WEBHOOK="http://alerts.example.com/PLANTED-TOKEN")


@pytest.mark.parametrize(
    "url", ["PLANTED-TOKEN", "ftp://x/PLANTED-TOKEN", "https://u:PLANTED-TOKEN@x/", "https:///x"]
)
def test_a_webhook_that_is_no_address_is_refused_and_not_repeated(url):
    with pytest.raises(SettingError) as caught:
        read(WEBHOOK=url)
    assert "PLANTED" not in str(caught.value)


def test_no_text_of_the_settings_shows_a_token_or_a_password():
    settings = AlertSettings.read(
        {
            **MAIL,
            "ORCH_ALERT_WEBHOOK": HOOK,
            "ORCH_ALERT_SMTP_USER": "orch",
            "ORCH_ALERT_SMTP_PASSWORD": "PLANTED",
        }
    )
    assert "PLANTED" not in repr(settings)


@pytest.mark.parametrize(
    ("address", "port", "security"),
    [
        ("smtps://mail.example.com", 465, "smtps"),
        ("smtp://mail.example.com", 587, "smtp"),
        ("smtp://mail.example.com:2525", 2525, "smtp"),
        ("smtp+plain://localhost", 25, "smtp+plain"),
    ],
)
def test_the_address_of_the_mail_server_says_how_it_is_encrypted(address, port, security):
    mailbox = AlertSettings.read({**MAIL, "ORCH_ALERT_SMTP": address}).mailbox
    assert mailbox == Mailbox(
        recipients=("one@example.com", "two@example.com"),
        sender="orch@example.com",
        host=address.split("/")[2].split(":")[0],
        port=port,
        security=security,
    )


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"ORCH_ALERT_SMTP": "smtp+plain://mail.example.com"}, "on loopback only"),
        ({"ORCH_ALERT_SMTP": "mail.example.com"}, "must be a URL"),
        ({"ORCH_ALERT_SMTP": "smtps://me:PLANTED@mail.example.com"}, "nothing more"),
        ({"ORCH_ALERT_SMTP": "smtps://mail.example.com:x"}, "must be a URL"),
        ({"ORCH_ALERT_SMTP": ""}, "ORCH_ALERT_SMTP must be set, because ORCH_ALERT_EMAIL is"),
        ({"ORCH_ALERT_SENDER": ""}, "ORCH_ALERT_SENDER must be set"),
        ({"ORCH_ALERT_SENDER": "nobody"}, "must hold e-mail addresses"),
        ({"ORCH_ALERT_EMAIL": "https://x/PLANTED-TOKEN"}, "must hold e-mail addresses"),
        ({"ORCH_ALERT_EMAIL": "a@example.com,,"}, "must hold e-mail addresses"),
        ({"ORCH_ALERT_EMAIL": "a@example.com\nBcc: b@example.com"}, "must hold e-mail addresses"),
        ({"ORCH_ALERT_EMAIL": ""}, "ORCH_ALERT_EMAIL must name the recipients"),
        ({"ORCH_ALERT_SMTP_USER": "orch"}, "belong together"),
        ({"ORCH_ALERT_SMTP_PASSWORD": "PLANTED"}, "belong together"),
        ({"ORCH_ALERT_FORMAT": "slack"}, "ORCH_ALERT_WEBHOOK isn't"),
        ({"ORCH_ALERT_WEBHOOK": HOOK, "ORCH_ALERT_FORMAT": "PLANTED"}, "slack, teams, json"),
        ({"ORCH_ALERT_UI": "dagster"}, "must be a URL"),
    ],
)
def test_a_wrong_setting_is_named(changed, problem):
    with pytest.raises(SettingError, match=problem) as caught:
        AlertSettings.read({**MAIL, **changed})
    assert "PLANTED" not in str(caught.value)
