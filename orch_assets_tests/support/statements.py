"""The SQL statements that Dagster executes, on whatever storage."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """Give the list of the SQL statements that are executed meanwhile."""
    statements: list[str] = []

    def count(*details: Any) -> None:
        statements.append(details[2])

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", count)
