"""What a publication is made from and who publishes it: recorded here, written to manifests."""

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final

# A fact: who launched the run in the UI, as the proxy in front of it says.
LAUNCHED_BY: Final = "launched_by"
# A fact: the earlier versions of the artifact from which rows may have been carried over.
CARRIED_OVER: Final = "carried_over"


@dataclass(frozen=True)
class Provenance:
    """What the enclosing blocks say about publications, and where they record what is read.

    Attributes:
        inputs: Versions by artifact URI, one mapping for each :func:`derived_from` block,
            outermost first. These are the callers' mappings, not copies, because a stream may
            read inputs while it is published.
        facts: The facts of all :func:`published_by` blocks; inner ones take precedence.
        records: Where to record what is read, one dict for each :func:`noting_inputs` block,
            outermost first. An artifact read in nested blocks is an input of all of them.
    """

    inputs: tuple[Mapping[str, str], ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    records: tuple[dict[str, str], ...] = ()


_NONE = Provenance()
_provenance: ContextVar[Provenance] = ContextVar("orch_assets_provenance", default=_NONE)


@contextlib.contextmanager
def noting_inputs(notes: dict[str, str] | None = None) -> Iterator[dict[str, str]]:
    """Record the version of every artifact read inside the block, for :func:`derived_from`.

    If an artifact is read twice, the version read last is recorded.

    Args:
        notes: The record of an earlier block, to be continued.

    Example:
        >>> with noting_inputs() as inputs:
        ...     frame = store.download("visits")  # doctest: +SKIP
        >>> with derived_from(inputs):
        ...     store.upload(frame.tail(), "last_visits")  # doctest: +SKIP
    """
    record = {} if notes is None else notes
    with _changed(records=(*_provenance.get().records, record)):
        yield record


def note_input(uri: str, sha256: str) -> None:
    """Record that a version of the artifact at a URI was read."""
    for record in _provenance.get().records:
        record[uri] = sha256


@contextlib.contextmanager
def derived_from(inputs: Mapping[str, str]) -> Iterator[None]:
    """List inputs in the manifests of everything published inside the block.

    Retention keeps these versions for as long as it keeps such a manifest. The inputs of
    enclosing blocks are listed too.

    Args:
        inputs: Versions (SHA-256) by artifact URI; read at the time of each publication.
    """
    with _changed(inputs=(*_provenance.get().inputs, inputs)):
        yield


@contextlib.contextmanager
def published_by(facts: Mapping[str, str]) -> Iterator[None]:
    """Record in the manifests of everything published inside the block what publishes it.

    Args:
        facts: For example run, asset and code version; no data values, no keys. The study's own
            provenance takes precedence.
    """
    with _changed(facts={**_provenance.get().facts, **facts}):
        yield


def carrying_over(*versions: str | None) -> AbstractContextManager[None]:
    """Record in the manifests of what is published inside the block whose rows it may still have.

    Args:
        versions: Earlier versions of the artifact; None stands for no version.
    """
    carried = {*current_facts().get(CARRIED_OVER, "").split(), *filter(None, versions)}
    return published_by({CARRIED_OVER: " ".join(sorted(carried))} if carried else {})


def current_inputs() -> dict[str, str]:
    """Return the inputs of what is published here: versions by artifact URI."""
    return {uri: sha256 for inputs in _provenance.get().inputs for uri, sha256 in inputs.items()}


def current_facts() -> Mapping[str, str]:
    """Return the facts about the publisher, apart from those of the running study."""
    return _provenance.get().facts


@contextlib.contextmanager
def _changed(**fields: Any) -> Iterator[None]:
    outer = _provenance.get()
    token = _provenance.set(replace(outer, **fields))
    try:
        yield
    finally:
        inner = _provenance.get()
        _provenance.reset(token)  # raises in another context, which this block never changed
        # Blocks inside generators need not end in the order of their nesting: keep what others set.
        _provenance.set(replace(inner, **{name: getattr(outer, name) for name in fields}))
