"""Slots as advisory locks of a Postgres session: for processes of many machines.

Postgres drops a session's locks when its connection ends. What a process publishes is the name of
its session, which Postgres shows to all others in ``pg_stat_activity``. So nothing is stored: there
is no table, and nothing to clean up.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from orch_assets.extras import needing
from orch_assets.imednet.request_limits.postgres_connection import PostgresConnection
from orch_assets.imednet.request_limits.slot_places import (
    DEFAULT_PROCESSES,
    SeenMembers,
    UnfitPlaceError,
    usable_slots,
)

_POOLED: Final = (
    "is behind a proxy that pools transactions (such as pgbouncer with pool_mode=transaction), "
    "where no session keeps a lock; give ORCH_REQUEST_LIMITER a direct connection, "
    "postgresql://…, or redis://…."
)

# The server notices within about 15 s that a machine is gone; that a process is, at once. The last
# one is for an answer that the machine hasn't acknowledged: keepalives don't count then.
_KEEPALIVE: Final = """
SELECT set_config('tcp_keepalives_idle', '5', false),
       set_config('tcp_keepalives_interval', '3', false),
       set_config('tcp_keepalives_count', '3', false),
       set_config('tcp_user_timeout', '15000', false)
"""
# A process that connects again would compete with its own session, if the server still has it.
_END_EARLIER: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
      AND starts_with(application_name, %s)
"""
_PUBLISH: Final = "SELECT set_config('application_name', %s, false)"
_SEE: Final = """
SELECT extract(epoch FROM clock_timestamp())::float8,
       extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8,
       pg_backend_pid(),
       ARRAY(SELECT application_name FROM pg_stat_activity
             WHERE datname = current_database() AND starts_with(application_name, %s)),
       ARRAY(SELECT objid::int4 FROM pg_locks WHERE pid = pg_backend_pid() AND {ours}),
       ARRAY(SELECT objid::int4 FROM pg_locks WHERE {ours})
"""
_OURS: Final = (
    "locktype = 'advisory' AND classid::bigint = %s AND objsubid = 2 AND granted AND database = "
    "(SELECT oid FROM pg_database WHERE datname = current_database())"
)
_TAKE: Final = "SELECT slot, pg_try_advisory_lock(%s, slot) FROM unnest(%s::int4[]) AS slot"
_GIVE: Final = "SELECT pg_advisory_unlock(%s, slot) FROM unnest(%s::int4[]) AS slot"


@dataclass(frozen=True)
class PostgresSlots:
    """Advisory locks in a database; no table is created.

    Attributes:
        url: ``postgresql://…``, as libpq or SQLAlchemy reads it; may have a password.
        processes: The number of processes to expect if Postgres can't be reached.

    Raises:
        MissingExtraError: psycopg2 isn't installed.
    """

    url: str = field(repr=False)
    processes: int = DEFAULT_PROCESSES

    def __post_init__(self) -> None:
        with needing("cluster"):
            import psycopg2  # noqa: F401 - said at once, and not by the thread that connects

    def open(self, account: str, name: str) -> "AdvisoryLocks":
        """Connect.

        Raises:
            UnfitPlaceError: The connection goes through a proxy that pools transactions.
        """
        connection = PostgresConnection(self.url)
        try:
            self._refuse_pool(connection)
            connection.ask(_KEEPALIVE)
            return AdvisoryLocks(connection, account, name)
        except BaseException:
            connection.close()
            raise

    def _refuse_pool(self, connection: PostgresConnection) -> None:
        if not connection.is_behind_proxy():
            return
        second = PostgresConnection(self.url)
        try:
            if pools_transactions(connection, second):
                raise UnfitPlaceError(_POOLED)
        finally:
            second.close()

    def __str__(self) -> str:
        return "advisory locks in Postgres"


def pools_transactions(first: PostgresConnection, second: PostgresConnection) -> bool:
    """Return whether one session of the server answers both connections, or two answer one."""
    first.ask("BEGIN")
    sessions = {second.session()}
    first.ask("COMMIT")
    # A pool gives the session that has been free longest, or shortest: one of both answers differs.
    sessions |= {second.session(), second.session()}
    return len(sessions) > 1 or first.session() in sessions


class AdvisoryLocks:
    """The slots of an account in a database."""

    # Shorter than the server needs to notice that a machine is gone: it may only have slept.
    lease_seconds: ClassVar[float] = 8.0

    def __init__(self, connection: PostgresConnection, account: str, name: str) -> None:
        self._connection = connection
        self._session = connection.session()
        self._title = f"orch-assets {account[:8]} "
        self._name = name
        self._class = int(account[:8], 16)
        self._held: set[int] = set()
        self._taken: set[int] = set()
        connection.ask(_END_EARLIER, f"{self._title}{name} ")

    def publish(self, text: str | None) -> SeenMembers:
        """Name the session; return the names of the others.

        Raises:
            UnfitPlaceError: The session is another one, or has lost its locks.
        """
        name = "orch-assets" if text is None else f"{self._title}{self._name} {text}"
        self._connection.ask(_PUBLISH, name)
        [(now, running, session, titles, held, taken)] = self._connection.ask(
            _SEE.format(ours=_OURS), self._title, self._class, self._class
        )
        if session != self._session or set(held) != self._held:
            raise UnfitPlaceError(_POOLED)
        self._taken = set(taken)
        return SeenMembers(float(now), self._texts(titles), float(running))

    def hold(self, count: int, most: int) -> int:
        """Unlock the last slots, or lock free ones, to hold a number of them."""
        surplus = sorted(self._held, reverse=True)[: max(0, len(self._held) - count)]
        if surplus:
            self._held -= set(surplus)
            self._connection.ask(_GIVE, self._key, surplus)
        taken = self._taken | self._held  # a session may lock its own again, and again
        free = [slot for slot in range(usable_slots(most, taken)) if slot not in taken]
        random.shuffle(free)  # others look for slots at the same time
        wanted = free[: max(0, count - len(self._held))]
        if wanted:
            answers = self._connection.ask(_TAKE, self._key, wanted)
            self._held |= {slot for slot, is_locked in answers if is_locked}
        return len(self._held)

    def close(self) -> None:
        """Disconnect; the server drops the locks."""
        self._connection.close()

    def abandon(self) -> None:
        """Close the inherited socket without ending the parent's session."""
        self._connection.abandon()

    @property
    def _key(self) -> int:
        """The locks' first key, which is signed."""
        return self._class - (self._class >> 31 << 32)

    def _texts(self, titles: Sequence[Any]) -> dict[str, str]:
        texts = {}
        for title in titles:
            name, _, text = str(title).removeprefix(self._title).partition(" ")
            if name != self._name:
                texts[name] = text
        return texts
