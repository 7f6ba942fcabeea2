"""The endpoints of the iMednet API: read as objects, as record batches or as one table."""

import functools
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from orch_assets.imednet.api_request import ApiRequest, segment, study_of
from orch_assets.imednet.arrow import arrow_schema
from orch_assets.imednet.blinding.study_dictionary import DictionaryReader, StudyDictionary
from orch_assets.imednet.connections.retries import FailedAttempt, attempted
from orch_assets.imednet.fields import Field, fields_of, read_row
from orch_assets.imednet.filters import build_filter, check_names, option_text
from orch_assets.imednet.http import RegistryHttp
from orch_assets.imednet.models import Job, RegistryRow
from orch_assets.imednet.page_source import TablePages
from orch_assets.imednet.pages import Page, decode_object, page_of_columns, page_of_objects
from orch_assets.imednet.paging import TableRead
from orch_assets.imednet.progress import ReadingCounts, ReadingProgress, readings_under_way
from orch_assets.imednet.refresh.endpoint_rules import RULES
from orch_assets.imednet.refresh.part_division import PartDivision
from orch_assets.imednet.refresh.refresh_plan import RefreshPlan
from orch_assets.imednet.refresh.refreshed_table import RefreshAccess, RefreshedTable
from orch_assets.imednet.streams import (
    BatchStream,
    RefreshStream,
    RowStream,
    in_large_batches,
    with_callback,
)
from orch_assets.refreshing import PreviousResult, StoredTable
from orch_assets.table_blocks import block_rows

if TYPE_CHECKING:
    import pyarrow as pa

Row = TypeVar("Row", bound=RegistryRow)
T = TypeVar("T")

# The key in a table's own metadata for its endpoint, its study and its row counts. It is the
# package's former name, which stored tables have.
METADATA_KEY = b"orch_assets.registry"


@dataclass(frozen=True)
class Access:
    """What the endpoints of one SDK share: the HTTP client, the limits, the dictionaries.

    Attributes:
        http: Sends the requests.
        page_size: Rows per page.
        window: Pages that a reading has in progress; None computes the number.
        refreshes: What refreshes share. None for the list of studies, which has none.
        dictionaries: Reads the studies' dictionaries. None for the two endpoints that the
            dictionaries themselves are read from.
    """

    http: RegistryHttp
    page_size: int
    window: int | None
    refreshes: RefreshAccess | None = None
    dictionaries: DictionaryReader | None = None

    def pages_at_once(self, reading: ReadingProgress) -> int:
        """Return how many pages a reading may have in progress.

        The number is the reading's share of the requests that may be in flight, plus one. More
        pages would only wait, and waiting threads slow down the working ones. If there are only a
        few readings, the oldest gets one page more. Then the tables finish one after the other,
        and the work at the end of one is done while the others still arrive. (Many readings
        finish one after the other anyway.)
        """
        if self.window is not None:
            return self.window
        readings, most = readings_under_way(), self.http.max_requests
        is_oldest_of_few = 1 < len(readings) <= most and readings[0] is reading
        return most // max(len(readings), 1) + 1 + is_oldest_of_few


@dataclass(frozen=True)
class TableKind(Generic[Row]):
    """The definition of an endpoint's table.

    Attributes:
        name: The endpoint's name in this package.
        path: The last segment of its path in the API.
        model: The model of its rows.
        id_key: The API's name of the ID that the rows are sorted by; unique and never null.
        filtered: Whether the API documents a filter for the endpoint.
        options: Further keyword arguments, each with the API's parameter and its value's type.
        audit: The table whose rows tell that a row of this one has changed; None if none does.
    """

    name: str
    path: str
    model: type[Row]
    id_key: str
    filtered: bool = True
    options: Mapping[str, tuple[str, type]] = field(default_factory=dict)
    audit: "TableKind[Any] | None" = None

    @property
    def filterable(self) -> dict[str, Field]:
        """The fields that a filter may use, by name; objects and lists cannot be filtered."""
        if not self.filtered:
            return {}
        return {each.name: each for each in fields_of(self.model) if each.kind.is_scalar}


class TableEndpoint(Generic[Row]):
    """A table of a study.

    Filters are keyword arguments in snake_case. A value means equality, a tuple means
    (operator, value), and a list means any of its values. Wrong arguments raise TypeError or
    ValueError before any request. Reading starts when the first row is requested.

    Attributes:
        on_read: Called with the study key and the table after a stream of record batches without
            filters has been read to its end. None to call nothing.
    """

    def __init__(self, access: Access, kind: TableKind[Row]) -> None:
        self._access = access
        self._kind = kind
        self.on_read: Callable[[str, pa.Table], object] | None = None

    @property
    def schema(self) -> "pa.Schema":
        """The Arrow schema of this endpoint's table."""
        return arrow_schema(self._kind.model)

    def list(self, study_key: str | None = None, **filters: Any) -> RowStream[Row]:
        """Read the table as objects, sorted by ID.

        Args:
            study_key: The study; optional inside a ``study_context``.
            filters: See the class.

        Raises:
            RegistryError: The table could not be read completely. Raised while iterating.
        """
        reading = self._reading(study_key, filters, page_of_objects)
        return RowStream(_rows_of(reading.contents()), reading.counts)

    def batches(self, study_key: str | None = None, **filters: Any) -> BatchStream:
        """Read the table as record batches of several pages each.

        Arguments and errors are those of :meth:`list`.
        """
        reading = self._reading(study_key, filters, page_of_columns)
        batches = self._batches_of(reading, self.on_read if not filters else None)
        dictionary = self._dictionary_of(reading.request.study_key)
        return BatchStream(batches, reading.counts, self.schema, dictionary)

    def refresh(
        self,
        study_key: str | None = None,
        previous: PreviousResult | StoredTable | None = None,
        **options: Any,
    ) -> RefreshStream:
        """Read what changed since an earlier version, and merge it with that version.

        Where that isn't possible, or can't be proven to be complete, the whole table is read. The
        stream's ``refresh`` says which, and why. Nothing is read before a row, or ``refresh``, is
        asked for.

        Args:
            study_key: The study; optional inside a ``study_context``.
            previous: The earlier version, as ``store.previous(name)`` returns it. None reads the
                whole table.
            options: ``include_inactive`` of ``users``; tables that are read by date have none.

        Raises:
            TypeError: The table has no such option, or can't be refreshed (``studies``).
            OtherRegistryError: The earlier version is of another registry or account.
            RegistryError: The table can't be read completely.

            All but TypeError are raised by the stream.
        """
        table = self._refreshed(study_of(study_key, self._kind.name), options)
        if previous is not None and not isinstance(previous, PreviousResult):
            previous = PreviousResult(previous)
        plan = RefreshPlan(table, previous, PartDivision())
        return RefreshStream(plan, dictionary=self._dictionary_of(table.study_key))

    def _refreshed(self, study: str, options: Mapping[str, Any]) -> RefreshedTable:
        access, kind = self._access, self._kind
        rule = RULES.get(kind.name)
        if access.refreshes is None or rule is None:
            raise TypeError(f"{kind.name} can't be refreshed; read it by list or table.")
        check_names(options, () if rule.by_date else kind.options, kind.name)
        audit = None
        if kind.audit is not None:
            audit = TableEndpoint(access, kind.audit)._refreshed(study, {})  # noqa: SLF001 - ours
        id_column = next(each.name for each in fields_of(kind.model) if each.key == kind.id_key)
        return RefreshedTable(
            name=kind.name,
            study_key=study,
            rule=rule,
            id_column=id_column,
            schema=self.schema,
            page_size=access.page_size,
            access=access.refreshes,
            read=functools.partial(self._reading, study, read=page_of_columns),
            batches=functools.partial(self._batches_of, on_read=self.on_read),
            options=options,
            audit=audit,
        )

    def _batches_of(
        self,
        reading: "TableRead[pa.RecordBatch]",
        on_read: "Callable[[str, pa.Table], object] | None",
    ) -> "Generator[pa.RecordBatch, None, None]":
        batches = in_large_batches(reading.contents(), block_rows(len(self.schema)))
        if on_read and reading.request.study_key:
            return with_callback(
                batches, self.schema, functools.partial(on_read, reading.request.study_key)
            )
        return batches

    def _dictionary_of(self, study: str | None) -> Callable[..., StudyDictionary] | None:
        reader = self._access.dictionaries
        return functools.partial(StudyDictionary, reader, study) if reader and study else None

    def table(self, study_key: str | None = None, **filters: Any) -> "pa.Table":
        """Read the whole table into memory; arguments are those of :meth:`list`.

        Rows that move between pages during the reading are read again; the streams, which have
        passed their rows on, must fail instead. The table's metadata holds endpoint, study and row
        counts as JSON under ``METADATA_KEY``.

        Raises:
            RegistryError: The table could not be read completely.
        """
        import pyarrow as pa

        reading = self._reading(study_key, filters, page_of_columns, hold=True)
        table = pa.Table.from_batches(reading.contents(), self.schema)
        facts = _table_metadata(reading.request, reading.counts)
        return table.replace_schema_metadata({METADATA_KEY: facts})

    def _reading(
        self,
        study_key: str | None,
        filters: Mapping[str, Any],
        read: Callable[[type[Row], str, ApiRequest, bytes], Page[T]],
        *,
        hold: bool = False,
        counts: ReadingCounts | None = None,
        size: int | None = None,
    ) -> TableRead[T]:
        access, kind = self._access, self._kind
        size = size or access.page_size
        request = self._request(study_key, filters)
        request = replace(request, parameters={"size": str(size), **request.parameters})
        pages = TablePages(access.http, request, kind.model, kind.id_key, read)
        window = access.pages_at_once
        return TableRead(request, pages, size=size, window=window, hold=hold, counts=counts)

    def _request(self, study_key: str | None, filters: Mapping[str, Any]) -> ApiRequest:
        study = study_of(study_key, self._kind.name)
        parameters = self._parameters(filters)
        return ApiRequest(
            f"/studies/{segment(study)}/{self._kind.path}", study, parameters=parameters
        )

    def _parameters(self, filters: Mapping[str, Any]) -> dict[str, str]:
        kind = self._kind
        fields = kind.filterable
        check_names(filters, {*fields, *kind.options}, kind.name)
        criteria = {name: value for name, value in filters.items() if name not in kind.options}
        parameters = {"sort": f"{kind.id_key},ASC"}
        text = build_filter(criteria, fields)
        if text is not None:
            parameters["filter"] = text
        for name, (parameter, type_) in kind.options.items():
            value = filters.get(name)
            if value is not None:
                parameters[parameter] = option_text(name, value, type_)
        return parameters


class StudiesEndpoint(TableEndpoint[Row]):
    """The studies that the keys can see; ``study_key`` is a filter like any other."""

    def _request(self, study_key: str | None, filters: Mapping[str, Any]) -> ApiRequest:
        if study_key is not None:
            filters = {"study_key": study_key, **filters}
        return ApiRequest("/studies", parameters=self._parameters(filters))

    def check_keys(self) -> None:
        """Request one study to check that the API accepts the keys.

        Raises:
            RegistryRefusedError: The API refuses the keys (``status`` 401 or 403).
            RegistryError: There was no usable answer, which says nothing about the keys.
        """
        parameters = {**self._parameters({}), "size": "1"}
        request = ApiRequest("/studies", parameters=parameters).at(0)
        self._access.http.fetch(request)


class JobsEndpoint:
    """The batch jobs of a study and their states."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def get(self, study_key: str | None, batch_id: str) -> Job:
        """Return a job with its current state.

        Args:
            study_key: The study; None for that of the current ``study_context``.
            batch_id: The batch ID that the API returned.

        Raises:
            RegistryError: There is no such job, or there was no usable answer.
            ValueError: The batch ID is blank, or is not text.
        """
        study = study_of(study_key, "jobs")
        if not isinstance(batch_id, str) or batch_id.strip() in {"", ".", ".."}:
            raise ValueError("jobs: batch_id must be text and not blank.")
        request = ApiRequest(f"/studies/{segment(study)}/jobs/{segment(batch_id)}", study)
        answer = self._access.http.fetch(request)
        job = attempted(request, lambda: read_row(Job, decode_object(request, answer.content)))
        if isinstance(job, FailedAttempt):
            raise job.error
        return job


def _rows_of(pages: Iterator[Sequence[Row]]) -> Generator[Row, None, None]:
    for rows in pages:
        yield from rows


def _table_metadata(request: ApiRequest, counts: ReadingCounts) -> bytes:
    """Return a table's metadata, which is the same for the same rows however they were read."""
    facts = {
        "endpoint": request.endpoint,
        "study_key": request.study_key,
        "expected": counts.expected,
        "arrived": counts.arrived,
    }
    return json.dumps(facts).encode()
