"""One execution that all studies of a run wait for."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from orch_assets.study import study_context

MakeInput = Callable[[str], Mapping[str, Any]]


@dataclass
class SharedExecution:
    """An execution for all studies of a run.

    Attributes:
        studies: keys of the studies.
        execute: starts the execution with the input that the given function returns, and waits for
            its output.
    """

    studies: Sequence[str]
    execute: Callable[[Callable[[], Any]], Awaitable[Any]]
    _task: "asyncio.Future[dict[str, Mapping[str, Any]]] | None" = None
    _waiting: set[str] = field(default_factory=set)
    _input_errors: dict[str, BaseException] = field(default_factory=dict)

    async def outcome(self, study_key: str, make_input: MakeInput) -> Mapping[str, Any]:
        """Return the outcome of a study; the first call starts the execution.

        When the last waiting call is cancelled, the execution is stopped.
        """
        if self._task is None:
            self._task = asyncio.ensure_future(self._outcomes(make_input))
        self._waiting.add(study_key)
        try:
            outcomes = await asyncio.shield(self._task)
        finally:
            self._waiting.discard(study_key)
            if not self._waiting and not self._task.done():
                self._task.cancel()
                await asyncio.wait([self._task])
        if study_key in self._input_errors:
            raise self._input_errors[study_key]
        return outcomes[study_key]

    async def _outcomes(self, make_input: MakeInput) -> dict[str, Mapping[str, Any]]:
        inputs = await asyncio.to_thread(self._inputs, make_input)
        if not inputs:
            return {}
        outcomes = await self.execute(partial(dict, studies=list(inputs.values())))
        return dict(zip(inputs, outcomes, strict=True))

    def _inputs(self, make_input: MakeInput) -> dict[str, Mapping[str, Any]]:
        inputs: dict[str, Mapping[str, Any]] = {}
        for study_key in self.studies:
            try:
                with study_context(study_key):
                    inputs[study_key] = make_input(study_key)
            except Exception as error:  # noqa: BLE001 - raised again for this study alone
                self._input_errors[study_key] = error
        return inputs
