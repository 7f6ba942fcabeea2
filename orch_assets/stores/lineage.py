"""What an artifact is made from, and in whose name: noted where it is read, told in manifests."""

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar

_NOTHING: Mapping[str, str] = {}

# Kept as they are, not copied: a stream may read inputs while it is published.
_inputs: ContextVar[tuple[Mapping[str, str], ...]] = ContextVar("orch_assets_inputs", default=())
_facts: ContextVar[Mapping[str, str]] = ContextVar("orch_assets_facts", default=_NOTHING)
# Blocks may lie in one another; what is read is an input of all of them.
_notes: ContextVar[tuple[dict[str, str], ...]] = ContextVar("orch_assets_notes", default=())


@contextlib.contextmanager
def noting_inputs(notes: dict[str, str] | None = None) -> Iterator[dict[str, str]]:
    """Note the version of every artifact that is read inside, as :func:`derived_from` takes them.

    Of an artifact that is read twice, the version that was read last is noted.

    Args:
        notes: goes on with the notes of an earlier block.

    Example:
        >>> with noting_inputs() as inputs:
        ...     frame = store.download("visits")  # doctest: +SKIP
        >>> with derived_from(inputs):
        ...     store.upload(frame.tail(), "last_visits")  # doctest: +SKIP
    """
    notes = {} if notes is None else notes
    token = _notes.set((*_notes.get(), notes))
    try:
        yield notes
    finally:
        _notes.reset(token)


def note_input(uri: str, sha256: str) -> None:
    """Note that a version of the artifact at a URI was read."""
    for notes in _notes.get():
        notes[uri] = sha256


@contextlib.contextmanager
def derived_from(inputs: Mapping[str, str]) -> Iterator[None]:
    """Name, in the manifests of what is published inside, what it was made from.

    Retention keeps those versions for as long as such a manifest is kept. Inputs of blocks around
    this one are named too.

    Args:
        inputs: versions (SHA-256) by the URI of their artifact; looked at when something is
            published.
    """
    token = _inputs.set((*_inputs.get(), inputs))
    try:
        yield
    finally:
        _inputs.reset(token)


@contextlib.contextmanager
def published_by(facts: Mapping[str, str]) -> Iterator[None]:
    """Tell, in the manifests of what is published inside, what publishes it.

    Args:
        facts: such as run, asset and code version; no data values, no keys. A study's own
            provenance goes before them.
    """
    token = _facts.set({**_facts.get(), **facts})
    try:
        yield
    finally:
        _facts.reset(token)


def current_inputs() -> dict[str, str]:
    """Return what that which is published here is made from."""
    return {uri: sha256 for inputs in _inputs.get() for uri, sha256 in inputs.items()}


def current_facts() -> Mapping[str, str]:
    """Return what publishes here, beside the study at work."""
    return _facts.get()
