"""The settings of alerts. No text of an error repeats an address that may hold a token."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.headerregistry import Address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from orch_assets.alerts.payloads import AlertFormat
from orch_assets.errors import SettingError
from orch_assets.http_rules import is_loopback

WEBHOOK: Final = "ORCH_ALERT_WEBHOOK"
FORMAT: Final = "ORCH_ALERT_FORMAT"
EMAIL: Final = "ORCH_ALERT_EMAIL"
SENDER: Final = "ORCH_ALERT_SENDER"
SMTP: Final = "ORCH_ALERT_SMTP"
SMTP_USER: Final = "ORCH_ALERT_SMTP_USER"
SMTP_PASSWORD: Final = "ORCH_ALERT_SMTP_PASSWORD"  # noqa: S105 - the variable's name
UI: Final = "ORCH_ALERT_UI"

# Only Slack and the former connectors of Teams have hosts of their own. Any workflow of Power
# Automate may be behind these, and answers 202 to a body that it can't use.
_SLACK_HOSTS: Final = ("hooks.slack.com", "hooks.slack-gov.com")
_TEAMS_HOSTS: Final = (".webhook.office.com",)
_UNCLEAR_HOSTS: Final = (".logic.azure.com", ".powerplatform.com", ".powerautomate.com")
# TLS from the first byte; TLS by STARTTLS; none.
_PORTS: Final = {"smtps": 465, "smtp": 587, "smtp+plain": 25}


@dataclass(frozen=True)
class Webhook:
    """A webhook that receives alerts.

    Attributes:
        url: Its address, which may hold a token.
        format: What it expects.
    """

    url: str = field(repr=False)
    format: AlertFormat


@dataclass(frozen=True)
class Mailbox:
    """A mail server, and who receives alerts through it.

    Attributes:
        recipients: Addresses.
        sender: Address.
        host: The server.
        port: Its port.
        security: ``smtps`` (TLS), ``smtp`` (STARTTLS) or ``smtp+plain`` (loopback only).
        login: User and password; None for no login.
    """

    recipients: tuple[str, ...]
    sender: str
    host: str
    port: int
    security: str
    login: tuple[str, str] | None = field(repr=False, default=None)


@dataclass(frozen=True)
class AlertSettings:
    """Where alerts go.

    Attributes:
        webhook: The webhook; None for none.
        mailbox: The mail server and recipients; None for none.
        ui: URL of Dagster's UI, for links to runs; None for no links.
    """

    webhook: Webhook | None = None
    mailbox: Mailbox | None = None
    ui: str | None = None

    @classmethod
    def read(cls, variables: Mapping[str, str] = os.environ) -> "AlertSettings":
        """Return the settings in environment variables. A blank variable is an unset one.

        Raises:
            SettingError: A setting is invalid, or one is missing.
        """
        texts = {name: value for name in _ALL if (value := variables.get(name, "").strip())}
        return cls(_webhook(texts), _mailbox(texts), _ui(texts))

    def __str__(self) -> str:
        """Return who receives alerts, without any address."""
        receivers = []
        if self.webhook is not None:
            receivers.append(f"a webhook ({self.webhook.format})")
        if self.mailbox is not None:
            number = len(self.mailbox.recipients)
            receivers.append(f"{number} e-mail address{'' if number == 1 else 'es'}")
        return " and ".join(receivers) or "off"

    @property
    def is_off(self) -> bool:
        """Whether nobody receives alerts."""
        return self.webhook is None and self.mailbox is None


_ALL: Final = (WEBHOOK, FORMAT, EMAIL, SENDER, SMTP, SMTP_USER, SMTP_PASSWORD, UI)


def _webhook(texts: Mapping[str, str]) -> Webhook | None:
    if WEBHOOK not in texts:
        if FORMAT in texts:
            raise SettingError(FORMAT, f"is set, but {WEBHOOK} isn't.")
        return None
    parts = _url(WEBHOOK, texts[WEBHOOK], {"http", "https"})
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise SettingError(WEBHOOK, "must begin with https:// (http:// is for loopback only).")
    if parts.username or parts.password:
        raise SettingError(WEBHOOK, "must not hold a user name or a password.")
    if FORMAT not in texts:
        return Webhook(texts[WEBHOOK], _format_of(parts.hostname or ""))
    try:
        return Webhook(texts[WEBHOOK], AlertFormat(texts[FORMAT].lower()))
    except ValueError:
        known = ", ".join(AlertFormat)
        raise SettingError(FORMAT, f"must be one of {known}.") from None


def _format_of(host: str) -> AlertFormat:
    if host in _SLACK_HOSTS:
        return AlertFormat.SLACK
    if host.endswith(_TEAMS_HOSTS):
        return AlertFormat.TEAMS
    if host.endswith(_UNCLEAR_HOSTS):
        raise SettingError(
            FORMAT, "must be set for a workflow of Power Automate: teams, or json for one of yours."
        )
    return AlertFormat.JSON


def _mailbox(texts: Mapping[str, str]) -> Mailbox | None:
    others = [name for name in (SENDER, SMTP, SMTP_USER, SMTP_PASSWORD) if name in texts]
    if EMAIL not in texts:
        if others:
            raise SettingError(EMAIL, f"must name the recipients, because {others[0]} is set.")
        return None
    missing = [name for name in (SENDER, SMTP) if name not in texts]
    if missing:
        raise SettingError(missing[0], f"must be set, because {EMAIL} is.")
    if (SMTP_USER in texts) != (SMTP_PASSWORD in texts):
        raise SettingError(SMTP_USER, f"and {SMTP_PASSWORD} belong together; set both or neither.")
    parts = _url(SMTP, texts[SMTP], set(_PORTS))
    host, recipients = parts.hostname or "", texts[EMAIL].split(",")
    if parts.username or parts.password or parts.path.strip("/") or parts.query:
        raise SettingError(SMTP, "must be smtps://host:port or smtp://host:port, nothing more.")
    if parts.scheme == "smtp+plain" and not is_loopback(host):
        raise SettingError(SMTP, "may be smtp+plain:// on loopback only; use smtps:// or smtp://.")
    return Mailbox(
        recipients=tuple(_address(EMAIL, each) for each in recipients),
        sender=_address(SENDER, texts[SENDER]),
        host=host,
        port=parts.port or _PORTS[parts.scheme],
        security=parts.scheme,
        login=(texts[SMTP_USER], texts[SMTP_PASSWORD]) if SMTP_USER in texts else None,
    )


def _ui(texts: Mapping[str, str]) -> str | None:
    if UI not in texts:
        return None
    parts = _url(UI, texts[UI], {"http", "https"})
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingError(UI, "must be the address of Dagster's UI, nothing more.")
    return texts[UI].rstrip("/")


def _url(name: str, text: str, schemes: set[str]) -> SplitResult:
    shown = " or ".join(f"{scheme}://" for scheme in sorted(schemes))
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        is_url = None
    if not is_url or not text.isascii() or any(map(str.isspace, text)):
        raise SettingError(name, f"must be a URL that begins with {shown}.")
    return parts


def _address(name: str, text: str) -> str:
    address = text.strip()
    try:
        parsed = Address(addr_spec=address)
        is_address = bool(parsed.username and parsed.domain) and address.isascii()
    except Exception:  # noqa: BLE001 - the parser's errors have no common class
        is_address = False
    if not is_address:
        # Not repeated: it may be a webhook that was put into the wrong variable.
        raise SettingError(name, "must hold e-mail addresses such as me@example.com.")
    return address
