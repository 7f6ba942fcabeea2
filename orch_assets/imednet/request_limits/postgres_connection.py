"""A connection to Postgres of which every answer comes within some seconds, or is an error."""

import os
import re
import select
import time
from typing import Any, Final

_ANSWER_SECONDS: Final = 3.0


class PostgresConnection:
    """A session that commits each statement by itself.

    Args:
        url: ``postgresql://…``; SQLAlchemy's name of a driver is left out.

    Raises:
        Exception: The server can't be reached; psycopg2's error may quote parts of the URL.
    """

    def __init__(self, url: str) -> None:
        import psycopg2
        import psycopg2.extensions

        # libpq waits for an answer without an end; an asynchronous connection leaves that to us.
        self._psycopg2 = psycopg2
        address = re.sub(r"\Apostgres(ql)?(\+\w+)?://", "postgresql://", url)
        self._connection = psycopg2.connect(address, async_=1)
        self._wait()

    def ask(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a statement; none if it has no rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            self._wait()
            return cursor.fetchall() if cursor.description else []

    def session(self) -> int:
        """Return the number of the server's session that answers."""
        [(number,)] = self.ask("SELECT pg_backend_pid()")
        return int(number)

    def is_behind_proxy(self) -> bool:
        """Return whether the session's number isn't the one given when it was opened."""
        return self.session() != int(self._connection.get_backend_pid())

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def abandon(self) -> None:
        """Close the socket alone, in a forked process. Closing the connection would say goodbye."""
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self._connection.fileno(), inheritable=False)
        os.close(nothing)

    def _wait(self) -> None:
        end = time.monotonic() + _ANSWER_SECONDS
        extensions = self._psycopg2.extensions
        events = {extensions.POLL_READ: select.POLLIN, extensions.POLL_WRITE: select.POLLOUT}
        while (state := self._connection.poll()) != extensions.POLL_OK:
            waiting = select.poll()
            waiting.register(self._connection.fileno(), events[state])
            if not waiting.poll(max(0.0, end - time.monotonic()) * 1000):
                self._connection.close()
                raise TimeoutError
