"""The JSON that a webhook receives, for Slack, Microsoft Teams and any other receiver.

Slack's blocks and Teams' cards have text elements that read no markup (``plain_text`` and
``TextRun``). Only these are used, so that no name is read as a link or as bold text.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from orch_assets.alerts.message import AlertMessage, AlertState

# Slack's limits, in characters: a header, a section. A message has 50 blocks at most.
_SLACK_HEADER: Final = 150
_SLACK_SECTION: Final = 3000

_RECOVERED, _PROBLEM = "\N{WHITE HEAVY CHECK MARK}", "\N{WARNING SIGN}"


class AlertFormat(StrEnum):
    """What a webhook expects.

    Attributes:
        SLACK: A message of Slack's incoming webhooks, in blocks.
        TEAMS: A message with an adaptive card, for the Workflows of Microsoft Teams.
        JSON: The alert's fields.
    """

    SLACK = "slack"
    TEAMS = "teams"
    JSON = "json"


def payload(format_: AlertFormat, message: AlertMessage, link: str | None) -> dict[str, Any]:
    """Return the body of a webhook's request.

    Args:
        format_: What the webhook expects.
        message: The alert.
        link: URL of the run that it is about; None for no link.
    """
    return _PAYLOADS[format_](message, link)


def plain_text(message: AlertMessage, link: str | None) -> str:
    """Return the alert as text for an e-mail."""
    details = [*message.lines, *([link] if link else []), "", f"{message.at}  {message.id}"]
    return "\n".join(details) + "\n"


def _slack(message: AlertMessage, link: str | None) -> dict[str, Any]:
    title = f"{_mark(message)} {message.title}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _slack_text(title, _SLACK_HEADER)},
        *({"type": "section", "text": _slack_text(line, _SLACK_SECTION)} for line in message.lines),
    ]
    if link:
        button = {"type": "button", "text": _slack_text("Run", _SLACK_HEADER), "url": link}
        blocks.append({"type": "actions", "elements": [button]})
    return {"text": _escaped(title), "mrkdwn": False, "blocks": blocks}


def _slack_text(text: str, limit: int) -> dict[str, Any]:
    shown = ""
    for character in map(_escaped, text):  # an escaped character must not be cut
        if len(shown) + len(character) >= limit:
            shown += "…"
            break
        shown += character
    return {"type": "plain_text", "text": shown or " ", "emoji": False}


def _escaped(text: str) -> str:
    """Return a text with Slack's three control characters escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _teams(message: AlertMessage, link: str | None) -> dict[str, Any]:
    color = "good" if message.state is AlertState.RECOVERED else "attention"
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            _run_of_text(message.title, size="large", weight="bolder", color=color),
            *(_run_of_text(line) for line in message.lines),
            _run_of_text(message.at, isSubtle=True, size="small"),
        ],
    }
    if link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Run", "url": link}]
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return {"type": "message", "attachments": [attachment]}


def _run_of_text(text: str, **style: Any) -> dict[str, Any]:
    # Cards replace {{DATE(…)}} and {{TIME(…)}} in any text.
    shown = text.replace("{{", "{ {") or " "
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": shown, **style}]}


def _plain(message: AlertMessage, link: str | None) -> dict[str, Any]:
    return {**message.as_json(), "link": link}


def _mark(message: AlertMessage) -> str:
    return _RECOVERED if message.state is AlertState.RECOVERED else _PROBLEM


_PAYLOADS: Final[Mapping[AlertFormat, Callable[[AlertMessage, str | None], dict[str, Any]]]] = {
    AlertFormat.SLACK: _slack,
    AlertFormat.TEAMS: _teams,
    AlertFormat.JSON: _plain,
}
