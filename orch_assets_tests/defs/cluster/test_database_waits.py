"""A database that is away is awaited; one that refuses, or never returns, ends the process."""

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import psycopg2
import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError, ProgrammingError

from orch_assets.defs.cluster import database_waits
from orch_assets.defs.cluster.database_waits import is_away, is_refused, while_away
from orch_assets_tests.defs.postgres import postgres_server
from orch_assets_tests.support.processes import free_port

AWAY = OperationalError("SELECT 1", {}, Exception())


class EndedError(BaseException):
    """Stands for the end of the process."""


def end(reason: str) -> NoReturn:
    raise EndedError(reason)


def raising(error: Exception) -> Callable[[], NoReturn]:
    def call() -> NoReturn:
        raise error

    return call


def caused_by(error: Exception) -> Exception:
    wrapper = RuntimeError("on the way")
    wrapper.__cause__ = error
    return wrapper


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock, which goes on by each sleep."""
    now = [1000.0]
    monkeypatch.setattr(database_waits.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(database_waits.time, "sleep", lambda more: now.append(now.pop() + more))
    return now


@pytest.mark.parametrize("wrapped", [lambda error: error, caused_by])
def test_an_unreachable_database_is_told_from_a_wrong_statement(
    wrapped: Callable[[Exception], Exception],
) -> None:
    assert is_away(wrapped(AWAY))
    assert not is_away(wrapped(ProgrammingError("SELEC 1", {}, Exception())))
    assert not is_away(None)


@pytest.mark.usefixtures("seconds")
def test_each_minute_says_that_the_database_is_away(capsys: pytest.CaptureFixture[str]) -> None:
    errors: list[Exception] = [AWAY] * 150

    def call() -> str:
        if errors:
            raise errors.pop()
        return "there"

    assert while_away(call, 900, end=end) == "there"
    assert capsys.readouterr().err.splitlines() == [
        f"Dagster's database has been away for {each} seconds." for each in (60, 120)
    ]


def test_a_database_that_never_returns_ends_the_process(seconds: list[float]) -> None:
    with pytest.raises(EndedError, match="away for 900 seconds"):
        while_away(raising(AWAY), 900, end=end)
    assert seconds == [1900]


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, Any]]:
    with postgres_server() as made:
        yield made


def refused(server: dict[str, Any], user: str, database: str) -> Exception:
    url = f"postgresql+psycopg2://{user}@127.0.0.1:{server['port']}/{database}"
    with pytest.raises(OperationalError) as found:
        create_engine(url).connect()
    return found.value


def test_a_database_that_refuses_ends_the_process_at_once(server: dict[str, Any]) -> None:
    for error in (refused(server, "dagster", "unknown"), refused(server, "nobody", "postgres")):
        with pytest.raises(EndedError, match="refuses this process"):
            while_away(raising(caused_by(error)), 900, end=end)
    wrong = 'FATAL:  password authentication failed for user "dagster"'
    assert is_refused(OperationalError("", {}, psycopg2.OperationalError(wrong)))


def test_a_server_that_is_not_there_refuses_nobody() -> None:
    assert not is_refused(refused({"port": free_port()}, "dagster", "dagster"))
    starting = "FATAL:  the database system is starting up"
    assert not is_refused(OperationalError("", {}, psycopg2.OperationalError(starting)))
