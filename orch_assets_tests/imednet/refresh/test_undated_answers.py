"""Answers without a time: no date of a row can then be told from one in the future."""

import json
from collections.abc import Callable

import httpx

from orch_assets_tests.imednet.refresh.conftest import STUDY, Account

UNDATED = "no row is dated up to the time of the API's answer, or the answer has none"


class UndatedAnswers(httpx.HTTPTransport):
    """Removes the time from some answers; by default, from all."""

    def __init__(self, is_undated: Callable[[httpx.Request], bool] = lambda _: True) -> None:
        super().__init__()
        self.is_undated = is_undated

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        answer = json.loads(response.read())
        if self.is_undated(request):
            del answer["metadata"]["timestamp"]
        return httpx.Response(response.status_code, json=answer)


def date_in_the_future(account: Account) -> None:
    record = account.registry.rows("records", STUDY)[5]["recordId"]
    account.registry.update_row("records", STUDY, record, dateModified="2031-01-01 00:00:00")


def test_a_date_in_the_future_hides_no_later_change(account: Account) -> None:
    date_in_the_future(account)
    refresher = account.refresher(transport=UndatedAnswers())
    first = refresher.run("records")
    account.registry.live_day()
    again = refresher.run("records", previous=first)["records"]
    refresher.assert_whole("records", again)
    assert again.changes.reason == UNDATED


def test_a_date_in_the_future_that_is_merged_hides_no_later_change(account: Account) -> None:
    transport = UndatedAnswers(lambda _: False)
    refresher = account.refresher(transport=transport)
    first = refresher.run("records")
    transport.is_undated = lambda _: True
    date_in_the_future(account)
    watermark = first["records"].parts[0].state["watermark"]
    result = first
    for _ in range(2):
        result = refresher.run("records", previous=result)
        refresher.assert_whole("records", result["records"])
        assert result["records"].changes.reading == "counted"
        assert not result["records"].unchanged
        assert result["records"].parts[0].state["watermark"] == watermark
        account.registry.live_day()


def test_the_time_of_a_later_page_is_not_that_of_the_first(account: Account) -> None:
    transport = UndatedAnswers(lambda request: request.url.params.get("page") == "0")
    first = account.refresher(transport=transport).run("records")["records"]
    assert first.parts[0].state["watermark"] is None
