"""The client of the iMednet API."""

from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

import httpx

from orch_assets.errors import SettingError
from orch_assets.imednet.api_request import study_of
from orch_assets.imednet.blinding.study_dictionary import DictionaryReader, StudyDictionary
from orch_assets.imednet.connections.pool import StandardTransport, StraightClient
from orch_assets.imednet.connections.proxies import proxy_for
from orch_assets.imednet.endpoints import (
    Access,
    JobsEndpoint,
    StudiesEndpoint,
    TableEndpoint,
    TableKind,
)
from orch_assets.imednet.http import ATTEMPTS, RegistryHttp
from orch_assets.imednet.models import (
    Coding,
    Form,
    Interval,
    Query,
    Record,
    RecordRevision,
    Site,
    Study,
    Subject,
    User,
    Variable,
    Visit,
)
from orch_assets.imednet.paging import PAGE_SIZE
from orch_assets.imednet.refresh.account_reader import AccountReader
from orch_assets.imednet.refresh.refresh_settings import RefreshSettings
from orch_assets.imednet.refresh.refreshed_table import RefreshAccess
from orch_assets.imednet.request_limits.account_limiters import limiter_for, share_limiter
from orch_assets.imednet.request_limits.limiter import RequestLimiter
from orch_assets.imednet.request_limits.slot_places import SlotPlace
from orch_assets.imednet.settings import RegistrySettings

if TYPE_CHECKING:
    import pyarrow as pa

STUDIES = TableKind("studies", "studies", Study, "studyId")
SITES = TableKind("sites", "sites", Site, "siteId")
FORMS = TableKind("forms", "forms", Form, "formId")
INTERVALS = TableKind("intervals", "intervals", Interval, "intervalId")
VISITS = TableKind("visits", "visits", Visit, "visitId")
SUBJECTS = TableKind("subjects", "subjects", Subject, "subjectId")
USERS = TableKind(
    "users",
    "users",
    User,
    "userId",
    filtered=False,
    options={"include_inactive": ("includeInactive", bool)},
)
VARIABLES = TableKind("variables", "variables", Variable, "variableId")
CODINGS = TableKind("codings", "codings", Coding, "codingId")
QUERIES = TableKind("queries", "queries", Query, "annotationId")
RECORD_REVISIONS = TableKind(
    "record_revisions", "recordRevisions", RecordRevision, "recordRevisionId"
)
RECORDS = TableKind(
    "records",
    "records",
    Record,
    "recordId",
    options={"record_data_filter": ("recordDataFilter", str)},
    audit=RECORD_REVISIONS,
)


class ImednetSDK:
    """Reads studies and their data from the iMednet EDC API. One client serves all threads.

    A setting that isn't passed is read from the environment when the client is created; a blank
    variable counts as unset.

    Args:
        api_key: ``IMEDNET_API_KEY``.
        security_key: ``IMEDNET_SECURITY_KEY``.
        base_url: ``IMEDNET_BASE_URL``; production by default. Plain http is allowed for loopback
            only.
        timeout: ``IMEDNET_TIMEOUT``: seconds to connect, and between two pieces of an answer;
            30 by default.
        answer_timeout: ``IMEDNET_ANSWER_TIMEOUT``: seconds from the connection to an answer's last
            byte; by default ten times ``timeout``.
        max_answer_mb: ``IMEDNET_MAX_ANSWER_MB``: the largest decompressed answer, in millions of
            bytes; 256 by default.
        max_requests: ``IMEDNET_MAX_REQUESTS``: requests in flight, for all clients of this process
            with the same base URL and keys, or of all processes with the same ``request_slots``; 8
            by default. The last client with a number sets it.
        client: Sends the requests; stays open after :meth:`close`, and uses its own proxies. None
            opens one that uses the environment's proxy, except for loopback.
        transport: The transport of the client opened here; by default ``StandardTransport``.
        limiter: Replaces the process's limiter for this base URL and keys.
        request_slots: Where all processes of the account share one limit: ``FileSlots``,
            ``PostgresSlots`` or ``RedisSlots`` of ``orch_assets.imednet.request_limits``. None for
            a limit of this process alone.
        attempts: Attempts for each request.
        sleep: Waits between attempts, in seconds.
        page_size: Rows per request, 1 to 500.
        window: Pages in progress for each table; by default limited by ``max_requests``.
        registry_name: The registry's name in the manifests of refreshed tables, by which test and
            production are told apart; by default the base URL.
        overlap: ``ORCH_OVERLAP``: seconds before the newest date of a table from which a refresh
            reads again; 3,600 by default.
        full_every: ``ORCH_FULL_EVERY``: days, less two hours, after which a refresh reads a table
            whole; 7 by default, 0 for always.

    Raises:
        CredentialsError: A key is missing.
        SettingError: A setting is invalid.

    Example:
        >>> with ImednetSDK() as sdk:  # doctest: +SKIP
        ...     for subject in sdk.subjects.list("ONC-301", subject_status="Enrolled"):
        ...         print(subject.subject_key)
    """

    def __init__(
        self,
        api_key: str | None = None,
        security_key: str | None = None,
        base_url: str | None = None,
        timeout: float | None = None,
        *,
        answer_timeout: float | None = None,
        max_answer_mb: int | None = None,
        max_requests: int | None = None,
        client: httpx.Client | None = None,
        transport: httpx.BaseTransport | None = None,
        limiter: RequestLimiter | None = None,
        request_slots: SlotPlace | None = None,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] | None = None,
        page_size: int = PAGE_SIZE,
        window: int | None = None,
        registry_name: str | None = None,
        overlap: int | None = None,
        full_every: int | None = None,
    ) -> None:
        settings = RegistrySettings.read(
            api_key, security_key, base_url, timeout, max_requests, answer_timeout, max_answer_mb
        )
        _check_ranges(page_size, window, attempts)
        self._base_url = settings.base_url
        limiter = limiter or limiter_for(settings)
        if request_slots is not None:
            share_limiter(limiter, request_slots, settings)
        self._client = client or _open_client(settings.base_url, limiter, transport)
        self._owns_client = client is None
        http = RegistryHttp(settings, self._client, limiter, attempts=attempts, sleep=sleep)
        self._registry_name = registry_name or settings.base_url
        refreshes = RefreshSettings.read(overlap, full_every)
        self._open_endpoints(Access(http, page_size, window), refreshes)

    def _open_endpoints(self, access: Access, settings: RefreshSettings) -> None:
        self.studies = StudiesEndpoint(access, STUDIES)
        accounts = AccountReader(self.studies.list)
        refreshes = RefreshAccess(self._registry_name, settings, accounts)
        access = replace(access, refreshes=refreshes)
        self.intervals = TableEndpoint(access, INTERVALS)
        self.variables = TableEndpoint(access, VARIABLES)
        self._dictionaries = DictionaryReader(self.variables, self.intervals)
        access = replace(access, dictionaries=self._dictionaries)
        self.sites = TableEndpoint(access, SITES)
        self.forms = TableEndpoint(access, FORMS)
        self.visits = TableEndpoint(access, VISITS)
        self.subjects = TableEndpoint(access, SUBJECTS)
        self.users = TableEndpoint(access, USERS)
        self.codings = TableEndpoint(access, CODINGS)
        self.queries = TableEndpoint(access, QUERIES)
        self.record_revisions = TableEndpoint(access, RECORD_REVISIONS)
        self.records = TableEndpoint(access, RECORDS)
        self.jobs = JobsEndpoint(access)

    @property
    def base_url(self) -> str:
        """The API's base URL; contains no keys."""
        return self._base_url

    def dictionary(
        self,
        study_key: str | None = None,
        variables: "pa.Table | None" = None,
        intervals: "pa.Table | None" = None,
    ) -> StudyDictionary:
        """Read a study's dictionary, which decides which of its values may be shown now.

        Args:
            study_key: The study; optional inside a ``study_context``.
            variables: A table ``variables`` that must agree with it, such as the stored one.
            intervals: A table ``intervals`` that must agree with it.

        Raises:
            RegistryError: The dictionary can't be read completely.
        """
        study = study_of(study_key, "variables")
        return StudyDictionary(self._dictionaries, study, variables, intervals)

    def open_variables(self, study_key: str) -> frozenset[str]:
        """Return the variables that are open on all forms, by the dictionary that this run read.

        Sends no request: the result is empty if the run has read no dictionary of the study.
        """
        return self._dictionaries.open_variables(study_key)

    def close(self) -> None:
        """Close the connections, if this client opened them; closing twice has no effect."""
        if self._owns_client:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ImednetSDK {self._base_url}>"


def _open_client(
    base_url: str, limiter: RequestLimiter, transport: httpx.BaseTransport | None
) -> httpx.Client:
    proxy = None if transport else proxy_for(base_url)
    if transport is None and (proxy is None or proxy.scheme == "http"):
        https = httpx.URL(base_url).scheme == "https"
        return StraightClient(StandardTransport(proxy, https=https))
    # The limiter bounds the connections; as many as it allows are kept open for reuse.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=limiter.maximum)
    through = httpx.Proxy(proxy.url, auth=proxy.credentials) if proxy else None
    return httpx.Client(transport=transport, limits=limits, proxy=through)


def _check_ranges(page_size: int, window: int | None, attempts: int) -> None:
    _check_range("page_size", page_size, 1, PAGE_SIZE)
    if window is not None:
        _check_range("window", window, 1, 64)
    _check_range("attempts", attempts, 1, 100)


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise SettingError(name, f"must be a whole number from {low} to {high}.")
