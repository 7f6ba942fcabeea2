"""Limits the requests in flight, in one process or over all processes of an account."""

from typing import TYPE_CHECKING

from orch_assets.lazy import attributes_of

if TYPE_CHECKING:
    from orch_assets.imednet.request_limits.file_slots import FileSlots
    from orch_assets.imednet.request_limits.postgres_slots import PostgresSlots
    from orch_assets.imednet.request_limits.redis_slots import RedisSlots

_HOMES = {
    "FileSlots": "file_slots",
    "PostgresSlots": "postgres_slots",
    "RedisSlots": "redis_slots",
}

__all__ = ["FileSlots", "PostgresSlots", "RedisSlots"]

__getattr__, __dir__ = attributes_of(__name__, _HOMES)
