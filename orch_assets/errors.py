"""The errors of orch-assets.

Some errors are also one of Python's built-in errors, shown in parentheses. An invalid argument or
setting is a ``ValueError``, something that doesn't exist is a ``LookupError``, and a package that
isn't installed is an ``ImportError``.

::

    OrchAssetsError
    ├── StudyKeyError (ValueError)    an invalid study key
    ├── StudyCancelledError       a study that timed out or was cancelled tried to publish
    ├── UncaughtFailureError      a study with a failed thread or finalizer tried to publish
    ├── PipelineDefinitionError (ValueError)   a study pipeline or graph can't be built
    ├── EventMetadataError (ValueError)   metadata of a result can't be added to its event
    ├── SettingError (ValueError)     a setting is invalid
    ├── AlertDeliveryError            an alert could not be delivered
    ├── MissingExtraError (ImportError)   a package of an extra isn't installed
    ├── ImednetError                  the iMednet API, and runs over its studies
    │   ├── CredentialsError          the API keys are missing
    │   ├── StudyNotFoundError (LookupError)   the registry doesn't list the study
    │   ├── RegistryError             a request to the API failed
    │   │   ├── RegistryUnreachableError   no answer in time, at any attempt
    │   │   ├── RegistryRefusedError       400, 401, 403 or an error envelope
    │   │   │   └── RegistryNotFoundError (LookupError)   404
    │   │   ├── RegistryFailedError        408, 425, 429 or 5xx, at every attempt
    │   │   ├── RegistryDataError          an answer isn't what the API documents
    │   │   └── IncompleteTableError       the rows don't reconcile with the API's totals
    │   │       └── TableChangedError        rows moved in pages that a stream had passed on
    │   │           └── DictionaryChangedError    a variable became withheld during reading
    │   ├── OtherRegistryError        a stored table was read from another account
    │   ├── WithheldValueError        open records hold values that must now be withheld
    │   ├── DictionaryFrozenError     a frozen study's data dictionary changed
    │   └── OrchestratorError         a run over studies can't start
    │       ├── OrchestratorArgumentError (ValueError)   an argument is invalid
    │       │   └── FilterConflictError   both a whitelist and a blacklist
    │       ├── NoStudiesError (LookupError)   the filter selects no study
    │       ├── StudiesInUseError     a study to retire is in use by a run or backfill
    │       └── StudyLossError        the registry lacks too many known studies at once
    ├── StoreError                    artifact stores
    │   ├── StoreAddressError (ValueError)    an invalid address of a store
    │   ├── ArtifactNameError (ValueError)    an invalid artifact name
    │   ├── MarkError (ValueError)    a mark can't be set, or stands against a removal
    │   ├── ErasureRefusedError (ValueError)   a study can't be erased yet
    │   ├── ArtifactNotFoundError (LookupError)   there is no such artifact or version
    │   ├── StudiesMissingError (LookupError)   an asset requires tables that are missing or older
    │   ├── ArtifactCorruptError      bytes and manifest don't match
    │   ├── ArtifactReplacedError     the version to be replaced is no longer the current one
    │   ├── UnstorableTableError (ValueError)   a table can't be stored without changing it
    │   ├── UnstorableValueError (ValueError)   a value is not JSON-serializable
    │   └── StoreUnavailableError     the store can't be read or written
    ├── ExportError                   a table can't be exported
    │   ├── ExportMismatchError       a file that was read back differs from its table
    │   └── ExportRefusedError        a format can't hold something, and exports are strict
    └── StateMachineError             AWS Step Functions; see step_functions/execution_errors.py

Every message names the study, endpoint, artifact or setting, and says what to do. No message holds
a value of a data row or an API key. A name that a pipeline may have made from data is marked in the
message, so that logs can leave it out; see ``marked_names``.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from orch_assets.marked_names import MarkedError, named, named_path

# Studies that a message names.
_MOST_NAMED: Final = 5


class OrchAssetsError(MarkedError):
    """Base class of every error of this package."""


class StudyKeyError(OrchAssetsError, ValueError):
    """A study key is invalid: it can't be part of a path, a partition key or a URL.

    Attributes:
        study_key: The key that was passed.
        reason: Why it is invalid; a clause such as ``"is empty"``.
    """

    def __init__(self, study_key: object, reason: str) -> None:
        self.study_key = study_key
        self.reason = reason
        super().__init__(f"Study key {named(study_key)} {reason}.")


class StudyCancelledError(OrchAssetsError):
    """A study tried to publish after it timed out or was cancelled. Nothing was published."""

    def __init__(self, study_key: str) -> None:
        self.study_key = study_key
        super().__init__(
            f"Study {named(study_key, shown=study_key)} timed out or was cancelled; its results "
            "can no longer be published."
        )


class UncaughtFailureError(OrchAssetsError):
    """A study tried to publish after a thread or finalizer failed. Nothing was published."""

    def __init__(self, study_key: str) -> None:
        self.study_key = study_key
        super().__init__(
            f"A thread, finalizer or callback of study {named(study_key, shown=study_key)} failed, "
            "so the study fails and publishes nothing more. The log names the error's type and "
            "location."
        )


class PipelineDefinitionError(OrchAssetsError, ValueError):
    """A study pipeline or a graph of them can't be built. The message says which and why."""


class EventMetadataError(OrchAssetsError, ValueError):
    """Metadata of a result can't be added to its event: its key is taken, or its value is odd."""


class SettingError(OrchAssetsError, ValueError):
    """A setting is invalid.

    Attributes:
        setting: Name of the environment variable or parameter.
    """

    def __init__(self, setting: str, problem: str) -> None:
        self.setting = setting
        super().__init__(f"{setting} {problem}")


class AlertDeliveryError(OrchAssetsError):
    """A receiver did not take an alert. It may have, if the connection broke afterwards.

    Attributes:
        receiver: ``webhook`` or ``e-mail``.
        is_refused: Whether the receiver refused this alert, but may take others.
        retry_after: Seconds that the receiver asked to wait; None if it didn't.
    """

    def __init__(
        self,
        receiver: str,
        problem: str,
        *,
        is_refused: bool = False,
        retry_after: float | None = None,
    ) -> None:
        self.receiver = receiver
        self.is_refused = is_refused
        self.retry_after = retry_after
        super().__init__(f"The {receiver} for alerts {problem}.")


class MissingExtraError(OrchAssetsError, ImportError):
    """A package that belongs to an extra of orch-assets is not installed.

    Attributes:
        package: The package's name for pip.
        extra: Name of the extra.
    """

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(f'{package} is not installed. Run: pip install "orch-assets[{extra}]"')


class ImednetError(OrchAssetsError):
    """Base class of the errors of the iMednet client and of the orchestration."""


class CredentialsError(ImednetError):
    """The API keys are missing.

    Attributes:
        missing: Names of the environment variables that aren't set.
    """

    def __init__(self, missing: Collection[str]) -> None:
        self.missing = tuple(missing)
        super().__init__(
            f"No iMednet keys: set {' and '.join(self.missing)} in the environment, "
            "or ORCH_REGISTRY=demo for the built-in simulator."
        )


class StudyNotFoundError(ImednetError, LookupError):
    """The registry doesn't list a study, or lists it more than once.

    Attributes:
        study_key: Key of the study.
    """

    def __init__(self, study_key: str, listed: int) -> None:
        self.study_key = study_key
        super().__init__(
            f"The registry lists {listed} studies with the key {study_key} instead of one."
            if listed
            else f"The registry does not list study {study_key}: check that the API keys may still "
            "see it; if it is gone for good, `orch-assets studies retire` it."
        )


class RegistryError(ImednetError):
    """A request to the API failed: there was no answer, or none that can be used.

    Attributes:
        endpoint: Path of the request below ``/api/v1/edc``, without its query.
        study_key: Study of the request; None if the request isn't about a single study.
        page: 0-based page; None if the request isn't paged.
        status: HTTP status; None if there was no answer.
        code: The API's error code (1000, 9000, 9001, …); None if the answer had none.
    """

    def __init__(
        self,
        problem: str,
        *,
        endpoint: str,
        study_key: str | None = None,
        page: int | None = None,
        status: int | None = None,
        code: str | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.study_key = study_key
        self.page = page
        self.status = status
        self.code = code
        where = named_path(endpoint) + (f", page {page}" if page is not None else "")
        super().__init__(f"iMednet registry, {where}: {problem}")


class RegistryUnreachableError(RegistryError):
    """No usable answer arrived: connection refused or reset, timeout, cut body."""


class RegistryRefusedError(RegistryError):
    """The API refused the request: 400, 401, 403, 404, or an error envelope (even at 200)."""


class RegistryNotFoundError(RegistryRefusedError, LookupError):
    """The API answered 404: these API keys can see no such study or job."""


class RegistryFailedError(RegistryError):
    """The API failed at every attempt, with status 408, 425, 429 or 5xx."""


class RegistryDataError(RegistryError):
    """An answer isn't what the API documents: no JSON, no data, or a field of another type."""


class IncompleteTableError(RegistryError):
    """The rows that arrived don't reconcile with the API's totals. No table was written.

    Attributes:
        expected: The API's ``totalElements``.
        arrived: Number of rows with distinct IDs that arrived.
    """

    def __init__(
        self,
        problem: str,
        *,
        expected: int | None,
        arrived: int | None,
        endpoint: str,
        study_key: str | None = None,
        page: int | None = None,
    ) -> None:
        self.expected = expected
        self.arrived = arrived
        super().__init__(problem, endpoint=endpoint, study_key=study_key, page=page)


class TableChangedError(IncompleteTableError):
    """Rows moved in pages that a stream had already passed on. Only a new reading can help."""


class DictionaryChangedError(TableChangedError):
    """A variable became withheld while its values were being read. Nothing was stored."""

    def __init__(self, study_key: str) -> None:
        super().__init__(
            "the data dictionary changed while the table was read, and withholds a variable that "
            "was open before; nothing was stored. Run it again.",
            expected=None,
            arrived=None,
            endpoint="/variables",
            study_key=study_key,
        )


class WithheldValueError(ImednetError):
    """Records were split by an older data dictionary, and hold values that must now be withheld."""

    def __init__(self) -> None:
        super().__init__(
            "The open records hold values of variables that the data dictionary now withholds, "
            "because they were split by an older one. Materialize variables and records, then this "
            "asset again."
        )


class DictionaryFrozenError(ImednetError):
    """The data dictionary of a frozen study changed. Of the change, only blinding is applied.

    Attributes:
        study_key: Key of the study.
        changes: The changes; only variables that are open now are named.
    """

    def __init__(self, study_key: str, changes: Collection[str], *, blinding: bool = False) -> None:
        self.study_key = study_key
        self.changes = tuple(changes)
        shown = ", ".join(self.changes[:10]) + (", …" if len(self.changes) > 10 else "")  # noqa: PLR2004 - enough to recognise
        kept = (
            "Only what withholds values was applied."
            if blinding
            else "The tables that depend on it keep their versions."
        )
        study = named(study_key, shown=study_key)
        super().__init__(
            f"The data dictionary of study {study} is frozen (ORCH_DRIFT) and has changed in "
            f"iMednet: {shown}. {kept} To accept the changes, run the study once with "
            f"ORCH_DRIFT={study}=evolve."
        )


class OtherRegistryError(ImednetError):
    """A stored table was read from another registry or account. It was neither merged nor replaced.

    Attributes:
        study_key: The study.
        table: The table's endpoint in the SDK.
        differs: What differs: ``"registry"`` or ``"account"``.
    """

    def __init__(self, study_key: str, table: str, differs: str) -> None:
        self.study_key = study_key
        self.table = table
        self.differs = differs
        super().__init__(
            f"The stored table {table} of study {named(study_key, shown=study_key)} was read from "
            f"another {differs}, so it was not replaced. Check ORCH_STORE, IMEDNET_BASE_URL and "
            "the API keys. To replace it, run with --accept-other-registry."
        )


class OrchestratorError(ImednetError):
    """A run over studies can't start. The failure of one study is a result, and isn't raised."""


class OrchestratorArgumentError(OrchestratorError, ValueError):
    """An argument of the orchestrator or of the run is invalid."""


class FilterConflictError(OrchestratorArgumentError):
    """Whitelist and blacklist are both non-empty. Raised before any request.

    Attributes:
        whitelist: The whitelist that was passed.
        blacklist: The blacklist that was passed.
    """

    def __init__(self, whitelist: Collection[str], blacklist: Collection[str]) -> None:
        self.whitelist = whitelist
        self.blacklist = blacklist
        super().__init__(
            "Whitelist and blacklist exclude each other; give one of them. "
            f"Whitelist: {', '.join(sorted(whitelist))}. "
            f"Blacklist: {', '.join(sorted(blacklist))}."
        )


class NoStudiesError(OrchestratorError, LookupError):
    """The filter selects none of the studies in the registry."""


class StudiesInUseError(OrchestratorError):
    """Studies can't be retired, because that would break a run or a backfill in progress.

    Attributes:
        study_keys: The studies to retire.
        work: The runs and backfills, such as ``"run 2f3a…"``.
    """

    def __init__(self, study_keys: Collection[str], work: Collection[str]) -> None:
        self.study_keys = tuple(study_keys)
        self.work = tuple(work)
        super().__init__(
            f"Retiring {', '.join(self.study_keys)} would break {', '.join(self.work)}. Wait for "
            "its end, or terminate it in the UI; `orch-assets runs` shows whether its process is "
            "gone, and how to close it then. Nothing was retired."
        )


class StudyLossError(OrchestratorError):
    """The registry lacks so many known studies at once that its answer may be wrong.

    Attributes:
        lost: The known studies that the registry doesn't list.
        known: Number of known studies.
    """

    def __init__(self, lost: Collection[str], known: int) -> None:
        self.lost = tuple(lost)
        self.known = known
        shown = ", ".join(self.lost[:20]) + (", …" if len(self.lost) > 20 else "")  # noqa: PLR2004 - enough to recognise
        super().__init__(
            f"The registry lacks {len(self.lost)} of {known} known studies ({shown}). Nothing was "
            "changed. If they are really gone, accept the loss for as long as it takes: "
            f"ORCH_ACCEPT_STUDY_LOSS={len(self.lost)}."
        )


class StoreError(OrchAssetsError):
    """Base class of the errors of artifact stores.

    Attributes:
        artifact: Name or URI of the artifact; None if the error is about the whole store.
    """

    def __init__(self, problem: str, *, artifact: str | None = None) -> None:
        self.artifact = artifact
        super().__init__(problem)


class StoreAddressError(StoreError, ValueError):
    """The address of a store, or the name of its bucket, is invalid."""


class ArtifactNameError(StoreError, ValueError):
    """An artifact name is invalid: empty, ``..``, with control characters, or too long."""


class MarkError(StoreError, ValueError):
    """A mark can't be set, or stands against the removal of what it holds.

    It can't be set if its name is invalid or taken, or if there is nothing to mark.
    """


class ErasureRefusedError(StoreError, ValueError):
    """A study can't be erased yet: something else needs its data, or still writes them."""


class ArtifactNotFoundError(StoreError, LookupError):
    """The store has no artifact of that name, or no such version of it."""


class StudiesMissingError(StoreError, LookupError):
    """An asset requires the tables of all studies, and some are missing or older.

    Attributes:
        missing: Studies without a result.
        skipped: Studies that the pipeline left out.
        older: Studies whose table is not that of the newest run for them.
    """

    def __init__(
        self,
        asset: str,
        missing: Sequence[str],
        skipped: Sequence[str],
        older: Sequence[str],
    ) -> None:
        self.missing, self.skipped, self.older = missing, skipped, older
        groups = {"missing": missing, "skipped": skipped, "older than their newest run": older}
        found = [f"{some(each)} ({what})" for what, each in groups.items() if each]
        super().__init__(
            f"This asset requires {asset} for all studies, but it lacks {'; '.join(found)}. Run "
            f"{asset} for these studies, or remove require_all from the input's metadata.",
            artifact=asset,
        )


def some(studies: Sequence[str]) -> str:
    """Return the first few studies, and how many more there are."""
    shown = [named(study, shown=study) for study in studies[:_MOST_NAMED]]
    more = len(studies) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


class ArtifactCorruptError(StoreError):
    """Bytes and manifest don't match, or one of them is missing. Nothing is returned."""


class ArtifactReplacedError(StoreError):
    """The version that a publication was to replace is no longer current. Nothing was published.

    Attributes:
        replaces: The version that was to be replaced.
        current: The current version; None if there is none, or another program wrote it.
    """

    def __init__(self, artifact: str, replaces: str, current: str | None) -> None:
        self.replaces = replaces
        self.current = current
        now = f"version {current} has replaced it" if current else "it is no longer current"
        super().__init__(
            f"{named(artifact)} was to replace version {replaces}, but {now} meanwhile. Nothing "
            "was published: what is current may be newer. Run the pipeline again, or make the "
            "table from the current version and publish that.",
            artifact=artifact,
        )


class UnstorableTableError(StoreError, ValueError):
    """A table can't be stored without changing it. The message names the column, never a value."""


class UnstorableValueError(StoreError, ValueError):
    """A value is neither a table nor JSON-serializable."""


class StoreUnavailableError(StoreError):
    """The store can't be read or written: permissions, a full disk, a missing bucket."""


class ExportError(OrchAssetsError):
    """A table can't be exported in a format, or the export can't be stored."""


class ExportMismatchError(ExportError):
    """A file of an export was read back, and differs from its table. Nothing was published.

    Attributes:
        study_key: Key of the study.
        form: Name of the table.
        column: The first column that differs; None if the columns or rows themselves do.
        row: Number of the first row that differs, from 1; None if it isn't about a row.
    """

    def __init__(
        self, study_key: str, form: str, column: str | None = None, row: int | None = None
    ) -> None:
        self.study_key, self.form, self.column, self.row = study_key, form, column, row
        where = "" if column is None else f" column {named(column)}"
        where += "" if row is None else f" row {row}"
        super().__init__(
            f"The export of {named(form)} of study {named(study_key, shown=study_key)} was read "
            f"back and differs from the table{f' in{where}' if where else ''}. Nothing was "
            "published. Please report it, with the format and the column's type."
        )


class ExportRefusedError(ExportError):
    """A format can't hold something, and the export is strict. Nothing was published.

    Attributes:
        study_key: Key of the study; None for a file of an account.
        counts: Number of notes by kind.
    """

    def __init__(
        self,
        study_key: str | None,
        format_name: str,
        counts: Mapping[str, int],
        *,
        restricted: bool = False,
    ) -> None:
        self.study_key, self.counts = study_key, dict(counts)
        kinds = ", ".join(f"{kind} {number:,}" for kind, number in sorted(self.counts.items()))
        of_study = "" if study_key is None else f" of study {named(study_key, shown=study_key)}"
        what = "export of withheld variables" if restricted else "export"
        super().__init__(
            f"The {what}{of_study} as {format_name} would change or lose something ({kinds}), and "
            "it is strict. Nothing of it was published. Without `strict`, export_notes lists each "
            "place."
        )


class StateMachineError(OrchAssetsError):
    """Base class of the errors of building, deploying and executing a state machine."""


_FORMER = {"StudyGivenUpError": "StudyCancelledError", "TableMovedError": "TableChangedError"}


def __getattr__(name: str) -> Any:
    from orch_assets.lazy import former_names

    return former_names(__name__, _FORMER)(name)
