"""Slots as leases in Redis: for processes of many machines.

All of an account is one hash: for each process the end of its lease, its number of slots, and what
it publishes. Scripts change it, so each change is whole, and the clock is that of Redis alone.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from orch_assets.errors import SettingError
from orch_assets.extras import needing
from orch_assets.imednet.request_limits.slot_places import DEFAULT_PROCESSES, SeenMembers

# Renewed twice a second. A killed process's slots are free after that time.
_LEASE_SECONDS: Final = 6.0
# A lease must end here before it does there.
_MARGIN_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 2.0

# Redis 5 and later replicate the effects of a script, so that it may read the clock.
_MEMBERS: Final = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local found = {}
local raw = redis.call('HGETALL', KEYS[1])
for i = 1, #raw, 2 do
    local ends, held, text = string.match(raw[i + 1], '^(%S+) (%d+) (.*)$')
    if tonumber(ends) > now + ARGV[2] then -- the clock was set back
        ends = string.format('%.3f', now + ARGV[2])
        redis.call('HSET', KEYS[1], raw[i], ends .. ' ' .. held .. ' ' .. text)
    end
    if tonumber(ends) > now then
        found[raw[i]] = {held = tonumber(held), text = text}
    else
        redis.call('HDEL', KEYS[1], raw[i])
    end
end
local mine = found[ARGV[1]]
local function store(held, text)
    local ends = string.format('%.3f', now + ARGV[2])
    redis.call('HSET', KEYS[1], ARGV[1], ends .. ' ' .. held .. ' ' .. text)
    redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[2] * 2000))
end
"""
_PUBLISH: Final = (
    _MEMBERS
    + """
store(mine and mine.held or 0, ARGV[3])
-- The answer is an error if this user may not ask.
local info = redis.pcall('INFO', 'server')
local running = type(info) == 'string' and string.match(info, 'uptime_in_seconds:(%d+)') or 'inf'
local answer = {string.format('%.3f', now), running}
for name, each in pairs(found) do
    if name ~= ARGV[1] and each.text ~= '' then
        table.insert(answer, name)
        table.insert(answer, each.text)
    end
end
return answer
"""
)
_HOLD: Final = (
    _MEMBERS
    + """
local held, wanted, free = mine and mine.held or 0, tonumber(ARGV[3]), tonumber(ARGV[4])
for name, each in pairs(found) do
    free = free - each.held
end
held = math.min(wanted, held + math.max(0, free))
store(held, mine and mine.text or '')
return held
"""
)


@dataclass(frozen=True)
class RedisSlots:
    """Leases in Redis 5 or later, or a service compatible with it.

    Attributes:
        url: ``redis://…``, ``rediss://…`` or ``unix://…``; may have a password.
        processes: The number of processes to expect if Redis can't be reached.

    Raises:
        SettingError: The URL can't be read.
        MissingExtraError: redis isn't installed.
    """

    url: str = field(repr=False)
    processes: int = DEFAULT_PROCESSES

    def __post_init__(self) -> None:
        problem = False
        try:
            self._client()
        except ValueError:
            problem = True
        if problem:  # outside the handler: redis quotes parts of the URL
            raise SettingError("The URL of Redis", "can't be read.")

    def open(self, account: str, name: str) -> "RedisLeases":
        """Open the slots of an account."""
        return RedisLeases(self._client(), f"orch-assets:request-slots:{account}", name)

    def _client(self) -> Any:
        with needing("cluster"):
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry

        return redis.Redis.from_url(
            self.url,
            decode_responses=True,
            socket_timeout=_ANSWER_SECONDS,
            socket_connect_timeout=_ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )

    def __str__(self) -> str:
        return "leases in Redis"


class RedisLeases:
    """The slots of an account in Redis."""

    lease_seconds: ClassVar[float] = _LEASE_SECONDS - _MARGIN_SECONDS

    def __init__(self, client: Any, key: str, name: str) -> None:
        self._client = client
        self._key = key
        self._name = name
        self._is_lost = False

    def publish(self, text: str | None) -> SeenMembers:
        """Renew this process's lease; return what all processes with a lease publish."""
        now, running, *rest = self._run(_PUBLISH, text or "")
        if text is None:
            self._client.hdel(self._key, self._name)
        return SeenMembers(
            float(now), dict(zip(rest[::2], rest[1::2], strict=True)), float(running)
        )

    def hold(self, count: int, most: int) -> int:
        """Change the number of leased slots."""
        return int(self._run(_HOLD, count, most))

    def close(self) -> None:
        """End the lease; after an error it ends by itself, as requests may still be in flight."""
        try:
            if not self._is_lost:
                self._client.hdel(self._key, self._name)
        finally:
            self._client.close()

    def abandon(self) -> None:
        """Forget the client: redis closes no socket that another process opened."""

    def _run(self, script: str, *arguments: object) -> Any:
        self._is_lost = True
        answer = self._client.eval(script, 1, self._key, self._name, _LEASE_SECONDS, *arguments)
        self._is_lost = False
        return answer
