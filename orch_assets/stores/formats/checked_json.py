"""A JSON value stored beside its checksum, for records that no manifest covers."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def digest(value: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a JSON value, whose keys are sorted."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def to_checked_json(name: str, value: Mapping[str, Any]) -> bytes:
    """Return a value under a name, with its checksum."""
    return json.dumps({name: value, "sha256": digest(value)}, ensure_ascii=False).encode()


def from_checked_json(name: str, data: bytes) -> Any:
    """Return the value that is stored under a name.

    Raises:
        ValueError: There is none, or its checksum is another one.
    """
    stored = json.loads(data)
    try:
        value, sha256 = stored[name], stored["sha256"]
    except (KeyError, TypeError) as error:
        raise ValueError(type(error).__name__) from None
    if sha256 != digest(value):
        raise ValueError("another checksum")
    return value
