"""The resources of the code location: the iMednet account, the stores, and how studies are run.

A field that isn't set is read from the environment when the resource is first used. No field can
be set when a run is launched; see :mod:`orch_assets.defs.set_in_code`.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import dagster as dg
from pydantic import Field, PrivateAttr

from orch_assets.defs import environment as settings
from orch_assets.defs.checks.drift_modes import DriftModes
from orch_assets.defs.set_in_code import SetInCode
from orch_assets.defs.settings.launchers import no_store_set, remote_launcher
from orch_assets.defs.settings.request_slots import refuse_unfit, request_slots
from orch_assets.errors import SettingError
from orch_assets.orchestration.selection import StudyFilter

if TYPE_CHECKING:
    from orch_assets.demo import DemoServer
    from orch_assets.imednet import ImednetSDK
    from orch_assets.imednet.request_limits.slot_places import SlotPlace
    from orch_assets.stores import PipelineStore

_DEFAULT_WORKERS: Final = 4


class RegistryResource(SetInCode, dg.ConfigurableResource[Any]):
    """An iMednet account, or the simulator.

    Example:
        >>> RegistryResource(kind="demo", demo_studies=3).label
        'demo'
    """

    kind: str | None = Field(
        default=None,
        description="`imednet` or `demo` (the simulator). Default: ORCH_REGISTRY, else `imednet`.",
    )
    api_key: str | None = Field(
        default=None, description="API key. Default: IMEDNET_API_KEY.", repr=False
    )
    security_key: str | None = Field(
        default=None, description="Security key. Default: IMEDNET_SECURITY_KEY.", repr=False
    )
    base_url: str | None = Field(
        default=None, description="Base URL of the API. Default: IMEDNET_BASE_URL, else production."
    )
    timeout: float | None = Field(
        default=None,
        description="Seconds to wait for a connection, and for the next bytes of a response. "
        "Default: IMEDNET_TIMEOUT, else 30.",
    )
    answer_timeout: float | None = Field(
        default=None,
        description="Seconds that a whole response may take. "
        "Default: IMEDNET_ANSWER_TIMEOUT, else ten times `timeout`.",
    )
    max_answer_mb: int | None = Field(
        default=None,
        description="Largest response in megabytes, decompressed. "
        "Default: IMEDNET_MAX_ANSWER_MB, else 256.",
    )
    max_requests: int | None = Field(
        default=None,
        description="Requests in flight per credential, over all processes. "
        "Default: IMEDNET_MAX_REQUESTS, else 8.",
    )
    request_limiter: str | None = Field(
        default=None,
        description="Where the processes share that limit: `redis://…`, `postgresql://…`, "
        "`postgres`, `files` or `none`. Default: ORCH_REQUEST_LIMITER, else Postgres if the "
        "instance is in Postgres, else files in DAGSTER_HOME.",
        repr=False,
    )
    overlap: int | None = Field(
        default=None,
        description="Seconds before a table's newest date from which a refresh reads again. "
        "Default: ORCH_OVERLAP, else 3600.",
    )
    full_every: int | None = Field(
        default=None,
        description="Days, less two hours, after which a refresh reads a table whole. "
        "Default: ORCH_FULL_EVERY, else 7.",
    )
    demo_studies: int = Field(default=12, description="Number of studies in the simulator.")
    demo_subjects: int = Field(
        default=40, description="Subjects in a typical study of the simulator."
    )
    demo_seed: int = Field(default=7, description="Random seed of the simulator.")
    demo_days: int | None = Field(
        default=None,
        description="Days that the simulator's account has lived. Default: one for each "
        "`orch-assets run` in this DAGSTER_HOME after the first, up to 90; 0 without one.",
    )

    _sdk: "ImednetSDK | None" = PrivateAttr(default=None)
    _instance: dg.DagsterInstance | None = PrivateAttr(default=None)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def is_demo(self) -> bool:
        """Whether this is the simulator.

        Raises:
            SettingError: ``ORCH_REGISTRY`` is neither ``imednet`` nor ``demo``.
        """
        kind = self.kind or settings.text("ORCH_REGISTRY") or "imednet"
        if kind not in {"imednet", "demo"}:
            raise SettingError("ORCH_REGISTRY", f"must be imednet or demo, not {kind!r}.")
        return kind == "demo"

    @property
    def sdk(self) -> "ImednetSDK":
        """The API client, created on first use and closed with the resource.

        Raises:
            CredentialsError: A key is missing.
            SettingError: A setting can't be read.
        """
        with self._lock:
            if self._sdk is None:
                self._sdk = self._connect()
            return self._sdk

    @property
    def label(self) -> str:
        """The name of this account in metadata: the host of the API, or ``demo``."""
        if self.is_demo:
            return "demo"
        return urlsplit(self.sdk.base_url).hostname or "unknown"

    def request_slots(self) -> "SlotPlace | None":
        """Return where the account's processes share its request limit; None for each alone.

        Raises:
            SettingError: ``ORCH_REQUEST_LIMITER`` can't be read.
        """
        if self.is_demo:
            return None  # each process has a simulator of its own
        return request_slots(self._request_limiter(), self._instance)

    def _request_limiter(self) -> str | None:
        return self.request_limiter or settings.text("ORCH_REQUEST_LIMITER")

    def begin_demo_day(self) -> int:
        """Let the simulator's account live one more day; return how many it has lived then.

        Processes with this ``DAGSTER_HOME`` see it when they next connect. ``demo_days``, and the
        account of the first run, stay.

        Raises:
            SettingError: The file that counts the days is damaged.
        """
        from orch_assets.demo.demo_days import begin_demo_day

        home = _home()
        return self._days() if self.demo_days is not None or not home else begin_demo_day(home)

    def _days(self) -> int:
        from orch_assets.demo.demo_days import demo_days

        return demo_days(_home()) if self.demo_days is None else self.demo_days

    def _connect(self) -> "ImednetSDK":
        from orch_assets.imednet import ImednetSDK

        account: RegistryResource | DemoServer = self
        if self.is_demo:
            account = _demo_server(
                self.demo_studies, self.demo_subjects, self.demo_seed, self._days()
            )
        slots = self.request_slots()
        if self._request_limiter():
            refuse_unfit(slots)
        return ImednetSDK(
            request_slots=slots,
            api_key=account.api_key,
            security_key=account.security_key,
            base_url=account.base_url,
            timeout=self.timeout,
            answer_timeout=self.answer_timeout,
            max_answer_mb=self.max_answer_mb,
            max_requests=self.max_requests,
            registry_name="demo" if self.is_demo else None,  # its port changes
            overlap=self.overlap,
            full_every=self.full_every,
        )

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Note the instance, which says where the account's processes share a limit."""
        self._instance = context.instance

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - Dagster's signature
        """Close the client."""
        self.close()
        self._instance = None

    def close(self) -> None:
        """Close the client. The next use creates a new one."""
        with self._lock:
            if self._sdk is not None:
                self._sdk.close()
                self._sdk = None


def _home() -> Path | None:
    home = settings.text("DAGSTER_HOME")
    return Path(home) if home else None


_demo_servers: dict[tuple[int, int, int, int], "DemoServer"] = {}
_demo_lock = threading.Lock()


def _demo_server(studies: int, subjects: int, seed: int, days: int = 0) -> "DemoServer":
    """Return this process's simulator with these parameters, started on first use."""
    from orch_assets.demo import DemoServer

    parameters = studies, subjects, seed, days
    with _demo_lock:
        if parameters not in _demo_servers:
            server = DemoServer(studies=studies, subjects=subjects, seed=seed, days=days)
            _demo_servers[parameters] = server.start()
        return _demo_servers[parameters]


class OrchestrationResource(SetInCode, dg.ConfigurableResource[Any]):
    """Selects the studies to run, and how many run at once."""

    whitelist: list[str] | None = Field(
        default=None,
        description="Run only these studies. Default: IMEDNET_WHITELIST, else no filter.",
    )
    blacklist: list[str] | None = Field(
        default=None,
        description="Run all studies except these. Default: IMEDNET_BLACKLIST, else no filter.",
    )
    max_workers: int | None = Field(
        default=None,
        description="Number of studies that run at once. Default: IMEDNET_MAX_WORKERS, else 4.",
    )
    accept_study_loss: int | None = Field(
        default=None,
        description="Number of known studies that may be missing from iMednet at once. One study, "
        "or a tenth of them, is always accepted, unless iMednet lists none. "
        "Default: ORCH_ACCEPT_STUDY_LOSS, else 0.",
    )
    drift: str | None = Field(
        default=None,
        description="What a changed data dictionary does to a study: `evolve`, `warn` or `freeze`, "
        "for single studies too: `warn,ONC-301=freeze`. Default: ORCH_DRIFT, else `evolve`.",
    )

    def study_filter(self) -> StudyFilter:
        """Return the whitelist or blacklist.

        Raises:
            FilterConflictError: Both are set.
        """
        whitelist = settings.keys("IMEDNET_WHITELIST") if self.whitelist is None else self.whitelist
        blacklist = settings.keys("IMEDNET_BLACKLIST") if self.blacklist is None else self.blacklist
        return StudyFilter(whitelist, blacklist)

    def workers(self) -> int:
        """Return how many studies run at once.

        Raises:
            SettingError: The number is less than 1, or isn't a whole number.
        """
        if self.max_workers is None:
            return settings.number("IMEDNET_MAX_WORKERS", least=1) or _DEFAULT_WORKERS
        if self.max_workers < 1:
            raise SettingError("max_workers", f"must be at least 1, not {self.max_workers}.")
        return self.max_workers

    def accepted_loss(self) -> int:
        """Return how many known studies may be missing from the registry at once."""
        if self.accept_study_loss is None:
            return settings.number("ORCH_ACCEPT_STUDY_LOSS", least=0) or 0
        return self.accept_study_loss

    def drift_modes(self) -> DriftModes:
        """Return what a changed data dictionary does to each study.

        Raises:
            SettingError: The setting can't be read.
        """
        return DriftModes.read(settings.text("ORCH_DRIFT") if self.drift is None else self.drift)


class StoreResource(SetInCode, dg.ConfigurableResource[Any]):
    """The store of the artifacts, or of the restricted ones."""

    uri: str | None = Field(
        default=None,
        description="A folder, `s3://bucket/prefix` or `gs://bucket/prefix`. Default: ORCH_STORE, "
        "else `artifacts` in DAGSTER_HOME, unless runs are launched on other machines. Default of "
        "the restricted store: "
        "ORCH_RESTRICTED_STORE, else `restricted` below ORCH_STORE.",
    )
    store_format: str | None = Field(
        default=None,
        description="Format of tables, `parquet` or `csv`. "
        "Default: ORCH_STORE_FORMAT, else `parquet`.",
    )
    escape_formulas: bool | None = Field(
        default=None,
        description="Write CSV so that spreadsheets don't evaluate text as formulas. "
        "Default: ORCH_STORE_ESCAPE_FORMULAS, else false.",
    )
    restricted: bool = Field(
        default=False, description="Whether this store holds withheld values and failure reports."
    )

    _store: "PipelineStore | None" = PrivateAttr(default=None)
    _launcher: str | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Note whether the instance's runs are on other machines than this one."""
        self._launcher = remote_launcher(context.instance) if context.instance else None

    @property
    def store(self) -> "PipelineStore":
        """The store, opened on first use.

        Raises:
            SettingError: A setting can't be read; or none says where the store is, and runs are
                launched on other machines.
            StoreError: The store can't be opened.
        """
        if self._store is None:
            if self._launcher and not self.is_set:
                raise no_store_set(self._launcher)
            from orch_assets.stores.store_settings import StoreSettings, configured_store

            self._store = configured_store(
                self.location(),
                StoreSettings(settings.text, self.restricted, self.has_own_address),
                format=self.store_format,
                escape_formulas=self.escape_formulas,
            )
        return self._store

    @property
    def has_own_address(self) -> bool:
        """Whether code or ``ORCH_RESTRICTED_STORE`` says where it is, if it is restricted."""
        return bool(self.uri or settings.text("ORCH_RESTRICTED_STORE"))

    @property
    def is_set(self) -> bool:
        """Whether code or the environment says where it is."""
        own = self.has_own_address if self.restricted else bool(self.uri)
        return own or settings.text("ORCH_STORE") is not None

    def location(self) -> str:
        """Return the store's folder or URI."""
        if self.uri:
            return self.uri
        home = settings.text("DAGSTER_HOME")
        default = str(Path(home, "artifacts") if home else Path("artifacts").absolute())
        store = settings.text("ORCH_STORE") or default
        if not self.restricted:
            return store
        from orch_assets.stores.store_settings import restricted_below

        return settings.text("ORCH_RESTRICTED_STORE") or restricted_below(store)

    def write_report(self, name: str, report: Mapping[str, Any]) -> str:
        """Store a failure report and return its URI."""
        return self.store.publish_json(dict(report), name).uri
