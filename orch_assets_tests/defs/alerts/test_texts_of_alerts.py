"""Planted strings in all that a run may fail with: none in a message, a cursor or a tick."""

import json

import dagster as dg

from orch_assets import study_pipeline
from orch_assets.errors import RegistryError, SettingError, UnstorableTableError
from orch_assets.marked_names import named
from orch_assets_tests.defs.alerts.ticking import Daemon
from orch_assets_tests.scenarios.extraction.test_planted_strings import PLANTED
from orch_assets_tests.support.alert_receivers import mail_server, webhook
from orch_assets_tests.support.harness import Account, definitions, execute, failure_text, instance

TEXT = " | ".join(PLANTED.values())


def raised_with_a_cause():
    error = ValueError(TEXT)
    error.__cause__ = KeyError(PLANTED["name"])
    error.add_note(PLANTED["date of birth"])
    return error


WAYS = {
    "message": lambda: ValueError(TEXT),
    "key": lambda: KeyError(PLANTED["subject key"]),
    "type": lambda: type(PLANTED["diagnosis"], (Exception,), {})(TEXT),
    "borrowed": lambda: type("RegistryError", (Exception,), {"__module__": "orch_assets.errors"})(
        TEXT
    ),
    "named": lambda: UnstorableTableError(f"Column {named(PLANTED['name'])} can't be stored."),
    "own_text": lambda: SettingError("ORCH_PLAIN", TEXT),
    "own_endpoint": lambda: RegistryError(TEXT, endpoint=f"/studies/{PLANTED['name']}/records"),
    "chain": raised_with_a_cause,
    "group": lambda: ExceptionGroup(TEXT, [ValueError(TEXT)]),
}


@study_pipeline
def labs(study_key, sdk, study_logger):
    error = WAYS[study_key]()
    raise error


def test_no_message_cursor_or_tick_holds_a_planted_string(tmp_path, monkeypatch):
    """The formats for Slack and Teams have the same texts."""
    with webhook() as hook, mail_server() as (mails, port), instance(*WAYS) as real:
        settings = {
            "WEBHOOK": hook.url,
            "EMAIL": "one@example.com",
            "SENDER": "orch@example.com",
            "SMTP": f"smtp+plain://127.0.0.1:{port}",
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"ORCH_ALERT_{name}", value)
        defs = definitions(tmp_path, labs, registry=Account())
        daemon = Daemon(real, frozenset({dg.AssetKey("labs")}))
        daemon.tick()
        ended = execute(defs, real, next(iter(WAYS)), [*WAYS][-1])
        assert f"{len(WAYS)} of {len(WAYS)} studies failed" in failure_text(real, ended)
        daemon.registry_ticks(raised_with_a_cause())
        said = [daemon.tick(60) for _ in range(3)]
        assert len(hook.taken) == len(mails.taken) > 4
        shown = [json.dumps(hook.taken, ensure_ascii=False), *said, daemon.alerts]
        for mail in mails.taken:
            shown += [mail.as_string(), mail.get_content(), str(mail["Subject"])]
    found = {
        kind
        for kind, text in PLANTED.items()
        for piece in {text, max(text.split(), key=len)}
        if any(piece in each for each in shown)
    }
    assert found == set()
