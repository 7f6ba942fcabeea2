"""The run queue of a service: who launched a run, and that somebody cancelled it."""

import re
from collections.abc import Mapping
from typing import Any, Final

import dagster as dg

from orch_assets.defs.dagster_internals import SubmitRunContext, tag_backfills
from orch_assets.stores.lineage import LAUNCHED_BY

# The tag that the manifests of a run's results take the user from.
USER: Final = "orch_assets/user"
# Nobody can have this name, because of its brackets.
UNKNOWN_USER: Final = "(unknown)"

_CONFIG: Final = "user_header"
# Dagster's UI shows it as the one who launched a run or a backfill.
_USER_IN_THE_UI: Final = "user"
# Names of accounts, e-mail addresses, DOMAIN\user. A header is text from elsewhere.
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+\\ -]{0,99}")


class CancellingRunCoordinator(dg.QueuedRunCoordinator):
    r"""Dagster's own queue, which also reports that a run is cancelled, and who launched it.

    **Cancelling.** A run is reported as CANCELING before it is terminated. The default launcher
    reports this itself. Celery's launcher only sends a signal, which looks like one from the host:
    the run ends as FAILURE and is retried.

    **Users.** Dagster has no users. A proxy in front of its webserver does, and can say who sends a
    request, in a header. With ``user_header``, a run or backfill that is launched through the
    webserver has the user as its tag ``orch_assets/user``, and as the tag ``user``, which the UI
    shows; manifests have it as ``launched_by``. Whatever the request itself says in these tags is
    overwritten. A retry by the daemon keeps the user of its run. A run that a schedule or a sensor
    requests has none.

    Set ``user_header`` only behind a proxy that sets or removes this header in each request, and
    with a webserver that nobody reaches except through the proxy. Otherwise, everybody can claim to
    be anybody. A request without the header, with several, or with a name of more than 100
    characters or of others than ASCII letters, digits, spaces and ``_ . @ + - \``, is one of
    ``(unknown)``.

    In ``dagster.yaml``::

        run_coordinator:
          module: orch_assets.defs.run_coordinator
          class: CancellingRunCoordinator
          config:
            user_header: X-Forwarded-User
    """

    _user_header: str | None = None

    @classmethod
    def config_type(cls) -> Any:
        """Return the fields of the queue's configuration."""
        about = "Header in which the proxy in front of the webserver says who sends a request."
        field = dg.Field(dg.StringSource, is_required=False, description=about)
        fields: Any = super().config_type()
        return {**fields, _CONFIG: field}

    @classmethod
    def from_config_value(
        cls, inst_data: Any, config_value: Mapping[str, Any]
    ) -> "CancellingRunCoordinator":
        """Create the queue that ``dagster.yaml`` describes."""
        made = super().from_config_value(inst_data, config_value)
        if header := config_value.get(_CONFIG):
            made._user_header = header  # noqa: SLF001 - it is this class's own
            tag_backfills(_tags_of_request)
        return made

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Queue a run, with the user who asks for it."""
        if tags := self.tags_of(getattr(context.workspace, "source", None)):
            self._instance.add_run_tags(context.dagster_run.run_id, tags)
        return super().submit_run(context)

    def cancel_run(self, run_id: str) -> bool:
        """Cancel a run on request; return whether the request could be passed on.

        A launcher that reports it has ``reports_canceling``: it knows which runs it can cancel.
        """
        run = self._instance.get_run_by_id(run_id)
        does_it = getattr(self._instance.run_launcher, "reports_canceling", False)
        if run is not None and not does_it and run.status == dg.DagsterRunStatus.STARTED:
            self._instance.report_run_canceling(run)
        return super().cancel_run(run_id)

    def tags_of(self, request: Any) -> dict[str, str]:
        """Return the tags that say who sent a request to the webserver; empty without a request.

        Args:
            request: What a workspace's request context has as its source. The daemon has none.
        """
        headers = getattr(request, "headers", None)
        if not self._user_header or headers is None:
            return {}
        names = headers.getlist(self._user_header)
        user = names[0] if len(names) == 1 and _NAME.fullmatch(names[0]) else UNKNOWN_USER
        return {USER: user, _USER_IN_THE_UI: user}


def launched_by(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, str]:
    """Return who launched a run, as a fact for its manifests; empty if no proxy says so.

    Without ``user_header``, the tag says what any request wanted it to say.
    """
    if USER not in run.tags or instance.is_ephemeral:
        return {}
    coordinator = instance.get_ref().run_coordinator_data
    believes = coordinator is not None and coordinator.config_dict.get(_CONFIG)
    return {LAUNCHED_BY: run.tags[USER]} if believes else {}


def _tags_of_request(instance: dg.DagsterInstance, request: Any) -> dict[str, str]:
    coordinator = instance.run_coordinator
    if isinstance(coordinator, CancellingRunCoordinator):
        return coordinator.tags_of(request)
    return {}
