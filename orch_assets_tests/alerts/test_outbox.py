"""The outbox: nothing lost, nothing sent twice, and a dead receiver delays nothing."""

import json
from datetime import UTC, datetime

from orch_assets.alerts.alert_settings import AlertSettings
from orch_assets.alerts.message import AlertKind, AlertMessage
from orch_assets.alerts.outbox import MAX_ALERTS, MAX_DELIVERIES, Outbox
from orch_assets.alerts.receivers import receivers_of
from orch_assets.errors import AlertDeliveryError
from orch_assets_tests.support.alert_receivers import webhook


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


class Fake:
    """Takes alerts, or fails as told; each call lasts some seconds of a clock."""

    def __init__(self, *failures, clock=None, lasts=0.0):
        self.failures, self.taken, self.tried = list(failures), [], 0
        self.clock, self.lasts = clock, lasts

    def __call__(self, message):
        self.tried += 1
        if self.clock:
            self.clock.now += self.lasts
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.taken.append(message.title)


def down(**options):
    return AlertDeliveryError("webhook", "is down", **options)


def messages(number, length=10):
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return [
        AlertMessage.make(AlertKind.CAUSE, f"alert {each}", ["x" * length], at)
        for each in range(number)
    ]


def stored(outbox):
    """Return an outbox as a cursor gives it back."""
    return Outbox.from_json(json.loads(json.dumps(outbox.as_json())))


def test_each_receiver_takes_each_alert_once_and_in_order():
    clock, hook, mail = Clock(), Fake(), Fake()
    receivers = {"webhook": hook, "e-mail": mail}
    outbox = Outbox().with_messages(messages(3), receivers).delivered(receivers, clock)
    assert stored(outbox) == Outbox()
    stored(outbox).delivered(receivers, clock)
    assert hook.taken == mail.taken == ["alert 0", "alert 1", "alert 2"]


def test_a_receiver_that_is_down_for_ten_minutes_gets_its_alerts_after():
    """A real webhook that isn't there, ticks of a minute, and nothing sent twice."""
    clock = Clock()
    with webhook() as hook:
        port = int(hook.url.split(":")[2].split("/")[0])
    settings = AlertSettings.read({"ORCH_ALERT_WEBHOOK": hook.url})
    receivers = receivers_of(settings)
    outbox = Outbox().with_messages(messages(3), receivers)
    for _ in range(10):
        outbox = stored(outbox.delivered(receivers, clock))
        assert len(outbox.waiting) == 3
        clock.now += 60
    with webhook(port=port) as hook:
        for _ in range(10):
            outbox = stored(outbox.delivered(receivers, clock))
            clock.now += 60
    assert [each["title"] for each in hook.taken] == ["alert 0", "alert 1", "alert 2"]
    assert outbox == Outbox()


def test_pauses_grow_up_to_ten_minutes():
    clock, hook = Clock(), Fake(*[down()] * 8)
    outbox, pauses = Outbox().with_messages(messages(1), ["webhook"]), []
    while hook.failures:
        outbox = stored(outbox.delivered({"webhook": hook}, clock))
        pauses.append(outbox.paused["webhook"].until - clock.now)
        clock.now = outbox.paused["webhook"].until
    assert pauses == [60, 120, 240, 480, 600, 600, 600, 600]


def test_within_a_pause_nothing_is_tried_and_a_success_ends_it():
    clock, hook = Clock(), Fake(down())
    outbox = Outbox().with_messages(messages(2), ["webhook"])
    outbox = outbox.delivered({"webhook": hook}, clock)
    assert outbox.problems == ("The webhook for alerts is down.",)
    clock.now += 59
    outbox = outbox.delivered({"webhook": hook}, clock)
    assert hook.tried == 1
    clock.now += 1
    assert outbox.delivered({"webhook": hook}, clock) == Outbox()


def test_a_receiver_that_asks_to_wait_is_waited_for_but_an_hour_at_most():
    for asked, waited in ((5.0, 60), (300.0, 300), (1e9, 3600)):
        clock, hook = Clock(), Fake(down(retry_after=asked))
        outbox = Outbox().with_messages(messages(1), ["webhook"])
        paused = outbox.delivered({"webhook": hook}, clock).paused["webhook"]
        assert paused.until - clock.now == waited


def test_a_dead_receiver_delays_no_other():
    clock, hook, mail = Clock(), Fake(down()), Fake()
    receivers = {"webhook": hook, "e-mail": mail}
    outbox = Outbox().with_messages(messages(3), receivers).delivered(receivers, clock)
    assert (hook.tried, mail.taken) == (1, ["alert 0", "alert 1", "alert 2"])
    clock.now += 60
    stored(outbox).delivered(receivers, clock)
    assert len(hook.taken) == len(mail.taken) == 3


def test_a_refused_alert_holds_up_no_other_and_is_tried_again():
    clock, hook = Clock(), Fake(down(is_refused=True))
    outbox = Outbox().with_messages(messages(3), ["webhook"])
    outbox = stored(outbox.delivered({"webhook": hook}, clock))
    assert hook.taken == ["alert 1", "alert 2"]
    clock.now += 60
    assert outbox.delivered({"webhook": hook}, clock) == Outbox()
    assert hook.taken == ["alert 1", "alert 2", "alert 0"]


def test_a_tick_makes_few_deliveries_and_begins_none_after_its_time():
    clock, hook = Clock(), Fake()
    outbox = Outbox().with_messages(messages(30), ["webhook"])
    outbox.delivered({"webhook": hook}, clock)
    assert hook.tried == MAX_DELIVERIES
    slow = Fake(clock=clock, lasts=3.0)
    outbox.delivered({"webhook": slow}, clock, seconds=5.0)
    assert slow.tried == 2


def test_a_receiver_that_is_no_longer_set_is_waited_for_no_more():
    outbox = Outbox().with_messages(messages(2), ["webhook", "e-mail"])
    mail = Fake()
    assert outbox.delivered({"e-mail": mail}, Clock()) == Outbox()
    assert len(mail.taken) == 2


def test_what_does_not_fit_is_left_out_oldest_first_and_counted():
    clock, hook = Clock(), Fake(down())
    outbox = Outbox().with_messages(messages(MAX_ALERTS + 7), ["webhook"])
    assert (len(outbox.waiting), outbox.left_out) == (MAX_ALERTS, 7)
    outbox = stored(outbox.delivered({"webhook": hook}, clock))
    while outbox.waiting:
        clock.now += 60
        outbox = stored(outbox.delivered({"webhook": hook}, clock))
    assert hook.taken[:2] == ["7 alerts were left out", "alert 7"]
    assert len(hook.taken) == MAX_ALERTS + 1


def test_long_alerts_fill_the_outbox_earlier():
    outbox = Outbox().with_messages(messages(90, length=800), ["webhook"])
    assert outbox.left_out == 90 - len(outbox.waiting) > 0
    assert len(json.dumps(outbox.as_json())) < 60_000
