"""Delivers one alert to a webhook or by e-mail, within a fixed time."""

import contextlib
import json
import logging
import smtplib
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from functools import partial
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from orch_assets.alerts.alert_settings import AlertSettings, Mailbox, Webhook
from orch_assets.alerts.message import AlertMessage
from orch_assets.alerts.payloads import payload, plain_text
from orch_assets.errors import AlertDeliveryError
from orch_assets.http_rules import is_loopback, seconds_to_wait
from orch_assets.version import VERSION

_log = logging.getLogger(__name__)

WEBHOOK: Final = "webhook"
E_MAIL: Final = "e-mail"

# For a connection, and for each wait on it.
_TIMEOUT: Final = 5.0
# For the whole delivery: a receiver that answers byte by byte would pass every other limit.
_DEADLINE: Final = 8.0
# Statuses of a server that may take the same alert later.
_FOR_NOW: Final = frozenset({401, 403, 404, 408, 410, 425, 429})

# SMTP codes from here on are permanent.
_FOR_EVER: Final = 500

Receiver = Callable[[AlertMessage], None]


def receivers_of(settings: AlertSettings, *, deadline: float = _DEADLINE) -> Mapping[str, Receiver]:
    """Return what delivers an alert, by the receiver's name.

    Each raises ``AlertDeliveryError`` if the receiver doesn't take the alert within the deadline.

    Args:
        settings: Where alerts go.
        deadline: Seconds for a delivery.
    """
    found: dict[str, Receiver] = {}
    if settings.webhook is not None:
        post = partial(_post, settings.webhook, settings.ui)
        found[WEBHOOK] = partial(_within, deadline, WEBHOOK, post)
    if settings.mailbox is not None:
        mail = partial(_mail, settings.mailbox, settings.ui)
        found[E_MAIL] = partial(_within, deadline, E_MAIL, mail)
    return found


def _within(deadline: float, name: str, deliver: Receiver, message: AlertMessage) -> None:
    """Deliver an alert in a thread of its own, and wait no longer than the deadline."""
    failures: list[Exception | None] = []

    def call() -> None:
        try:
            deliver(message)
        except Exception as error:  # noqa: BLE001 - raised below, in the caller's thread
            failures.append(error)
        else:
            failures.append(None)

    thread = threading.Thread(target=call, name=f"alert-{name}", daemon=True)
    thread.start()
    thread.join(deadline)
    if not failures:
        raise AlertDeliveryError(name, f"did not take an alert within {deadline:g} seconds")
    if isinstance(failures[0], AlertDeliveryError):
        raise failures[0]
    if failures[0] is not None:  # the text of an error may hold the address
        problem = f"can't be reached ({type(failures[0]).__name__})"
        raise AlertDeliveryError(name, problem) from None


def _post(webhook: Webhook, ui: str | None, message: AlertMessage) -> None:
    import httpx  # loading the code location needs no HTTP client

    body = payload(webhook.format, message, _link(ui, message))
    # The transport, because a client logs the address, and so the token in it.
    proxy = _proxy_for(webhook.url)
    with httpx.HTTPTransport(
        verify=ssl.create_default_context(),
        trust_env=False,
        proxy=httpx.Proxy(proxy) if proxy else None,
    ) as transport:
        request = httpx.Request(
            "POST",
            webhook.url,
            content=json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
            headers={
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": f"orch-assets/{VERSION}",
            },
            extensions={"timeout": httpx.Timeout(_TIMEOUT).as_dict()},
        )
        response = transport.handle_request(request)
        status, headers = response.status_code, response.headers
        response.close()  # its body says nothing that may be logged
    if not httpx.codes.is_success(status):
        raise AlertDeliveryError(
            WEBHOOK,
            f"answered with status {status}",
            is_refused=httpx.codes.is_client_error(status) and status not in _FOR_NOW,
            retry_after=seconds_to_wait(headers.get("Retry-After", "")),
        )


def _proxy_for(url: str) -> str | None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def _mail(mailbox: Mailbox, ui: str | None, message: AlertMessage) -> None:
    try:
        with _server(mailbox) as server:
            if mailbox.login is not None:
                server.login(*mailbox.login)
            refused = server.send_message(_email(mailbox, ui, message))
    except smtplib.SMTPNotSupportedError:
        raise AlertDeliveryError(
            E_MAIL, "can't be sent: the server offers no STARTTLS, or no login"
        ) from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = sorted({code for code, _ in error.recipients.values()})
        raise AlertDeliveryError(
            E_MAIL, f"was refused for every recipient ({', '.join(map(str, codes))})"
        ) from None
    except smtplib.SMTPResponseException as error:
        is_data = isinstance(error, smtplib.SMTPDataError)
        raise AlertDeliveryError(
            E_MAIL,
            f"was refused: {type(error).__name__} {error.smtp_code}",
            is_refused=is_data and error.smtp_code >= _FOR_EVER,
        ) from None
    if refused:
        _log.warning("The mail server refused %d of the recipients of alerts.", len(refused))


@contextlib.contextmanager
def _server(mailbox: Mailbox) -> Iterator[smtplib.SMTP]:
    where = (mailbox.host, mailbox.port)
    tls = ssl.create_default_context()  # it verifies the certificate and the server's name
    if mailbox.security == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(*where, timeout=_TIMEOUT, context=tls)
    else:
        server = smtplib.SMTP(*where, timeout=_TIMEOUT)
    with server:
        if mailbox.security == "smtp":
            server.starttls(context=tls)
        yield server


def _email(mailbox: Mailbox, ui: str | None, message: AlertMessage) -> EmailMessage:
    email = EmailMessage()
    email["Subject"] = f"[orch-assets] {message.title}"
    email["From"] = mailbox.sender
    email["To"] = ", ".join(mailbox.recipients)
    email["Date"] = format_datetime(datetime.fromisoformat(message.at))
    # Mail programs show a message with the same ID once.
    email["Message-ID"] = f"<{message.id}@{mailbox.sender.rpartition('@')[2]}>"
    email["Auto-Submitted"] = "auto-generated"
    email.set_content(plain_text(message, _link(ui, message)))
    return email


def _link(ui: str | None, message: AlertMessage) -> str | None:
    return f"{ui}/runs/{message.run_id}" if ui and message.run_id else None
