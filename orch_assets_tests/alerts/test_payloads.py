"""What Slack, Teams and others are sent: valid, within their limits, and without markup."""

import json

import pytest

from orch_assets.alerts.message import AlertKind, AlertMessage, AlertState
from orch_assets.alerts.payloads import AlertFormat, payload
from orch_assets_tests.alerts.conftest import AT

LINK = "https://dagster.example.com/runs/0123456789ab"
# As a study key or the name of a pipeline may be.
HOSTILE = "<!channel> & <https://evil.example|x> *b* _i_ [l](https://evil.example) {{DATE(1)}} :x:"


def of(*lines, title="2 studies failed: KeyError", **options):
    return AlertMessage.make(AlertKind.CAUSE, title, lines, AT, **options)


def texts_in(value):
    """Yield every text of a payload."""
    if isinstance(value, dict):
        for each in value.values():
            yield from texts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)
    elif isinstance(value, str):
        yield value


def test_slack_gets_a_header_a_section_for_each_line_and_a_button(alert):
    assert payload(AlertFormat.SLACK, alert, LINK) == {
        "text": "⚠ 2 studies failed: KeyError",
        "mrkdwn": False,
        "blocks": [
            {"type": "header", "text": plain("⚠ 2 studies failed: KeyError")},
            {"type": "section", "text": plain("KeyError (at labs.py:7 in labs)")},
            {"type": "section", "text": plain("2 studies: ONC-301, ONC-302")},
            {
                "type": "actions",
                "elements": [{"type": "button", "text": plain("Run"), "url": LINK}],
            },
        ],
    }


def plain(text):
    return {"type": "plain_text", "text": text, "emoji": False}


def test_slack_reads_no_markup_link_or_mention_in_a_name():
    sent = payload(AlertFormat.SLACK, of(HOSTILE, title=HOSTILE), None)
    texts = [*texts_in(sent)]
    assert not any("<" in text or ">" in text for text in texts)
    assert any("&lt;!channel&gt; &amp; &lt;https" in text for text in texts)
    elements = [block["text"] for block in sent["blocks"]]
    assert {element["type"] for element in elements} == {"plain_text"}


@pytest.mark.parametrize("text", ["&" * 6000, "x" * 6000, "é<" * 3000])
def test_slack_s_limits_hold_after_escaping(text):
    blocks = payload(AlertFormat.SLACK, of(*[text] * 60, title=text), LINK)["blocks"]
    assert len(blocks) <= 50
    assert len(blocks[0]["text"]["text"]) <= 150
    assert all(0 < len(b["text"]["text"]) <= 3000 for b in blocks if "text" in b)
    ends = [b["text"]["text"].rstrip("…") for b in blocks if "text" in b]
    assert all(end.endswith((";", "x", "é", "lines")) for end in ends)  # no entity is cut


def test_teams_gets_a_message_with_an_adaptive_card(alert):
    sent = payload(AlertFormat.TEAMS, alert, LINK)
    (attachment,) = sent["attachments"]
    card = attachment["content"]
    assert sent["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert card["$schema"] == "http://adaptivecards.io/schemas/adaptive-card.json"
    assert card["actions"] == [{"type": "Action.OpenUrl", "title": "Run", "url": LINK}]
    for block in card["body"]:  # required of a RichTextBlock and of a TextRun
        assert block["type"] == "RichTextBlock"
        assert [run["type"] for run in block["inlines"]] == ["TextRun"]
        assert block["inlines"][0]["text"]
    shown = [block["inlines"][0]["text"] for block in card["body"]]
    assert shown == [alert.title, *alert.lines, "2026-03-01T06:00:00+00:00"]


def test_teams_reads_no_markup_or_date_function_in_a_name():
    sent = payload(AlertFormat.TEAMS, of(HOSTILE), None)
    assert not any("{{" in text for text in texts_in(sent))
    # A TextBlock reads Markdown; a TextRun doesn't.
    assert "TextBlock" not in texts_in(sent)


def test_teams_limit_of_28_kilobytes_holds():
    sent = payload(AlertFormat.TEAMS, of(*["\N{GRINNING FACE}" * 900] * 60), LINK)
    assert len(json.dumps(sent, ensure_ascii=False).encode()) <= 28_000


def test_a_recovery_looks_different():
    over = of("x", state=AlertState.RECOVERED)
    assert payload(AlertFormat.SLACK, over, None)["text"].startswith("✅")
    card = payload(AlertFormat.TEAMS, over, None)["attachments"][0]["content"]
    assert card["body"][0]["inlines"][0]["color"] == "good"
    assert "actions" not in card


def test_any_other_receiver_gets_the_fields(alert):
    assert payload(AlertFormat.JSON, alert, LINK) == {
        "id": alert.id,
        "kind": "cause",
        "state": "problem",
        "title": "2 studies failed: KeyError",
        "lines": ["KeyError (at labs.py:7 in labs)", "2 studies: ONC-301, ONC-302"],
        "at": "2026-03-01T06:00:00+00:00",
        "run_id": "0123456789ab",
        "link": LINK,
    }
