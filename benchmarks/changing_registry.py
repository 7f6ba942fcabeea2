"""A server of prepared API pages whose account lives a day when it is told to.

``python -m benchmarks.changing_registry RECORDS MILLISECONDS STUDIES`` prints its port. Each study
has RECORDS records of 17 fields and 20 variables, one and a half times as many revisions with dates
spread over two years, their data dictionary, and a few rows of the other endpoints. All studies are
alike but for their keys. Filters by ``dateModified`` and ``dateCreated`` are honoured from an index
by date. Each answer is delayed by MILLISECONDS, in pages of bytes that are rendered once.

Two paths beside the API's are answered at once: ``/day`` lets 24 hours pass, in which 0.7 % of the
records are edited, 0.2 % added and 0.1 % marked as deleted; ``/requests`` returns the number of
requests by endpoint since it was last asked.
"""

import asyncio
import bisect
import functools
import json
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.connections import Connection
from benchmarks.prepared_registry import FORMS, PAGE, VARIABLES, record, variables

EDITED, ADDED, DELETED = 0.007, 0.002, 0.001
_BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
_DAY = 86_400
_TWO_YEARS = 730 * _DAY
_STUDY = "PREPARED"
_KEPT_PAGES = 500
_PRIMES = (7919, 104_729, 611_953, 15_485_863)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@contextmanager
def changing_registry(records: int, milliseconds: float, studies: Sequence[str]) -> Iterator[str]:
    """Serve in a separate process during the block; yield the base URL."""
    command = [sys.executable, "-m", "benchmarks.changing_registry"]
    command += [str(records), str(milliseconds), ",".join(studies)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


@dataclass
class _Record:
    created: int
    modified: int
    deleted: bool = False
    edits: int = 0


class _Rows:
    """The rows of an endpoint by ID from 1, with an index of their dates."""

    def __init__(self, moments: Sequence[int], render: Any) -> None:
        self._render = render
        self.index = sorted((moment, number) for number, moment in enumerate(moments))
        self.total = len(moments)

    def since(self, moment: int) -> list[int]:
        """Return the rows with this date or a later one, in the order of their IDs."""
        first = bisect.bisect_left(self.index, (moment, -1))
        return sorted(number for _, number in self.index[first:])

    def page(self, number: int, size: int, since: int | None) -> bytes:
        """Return the body of a page."""
        chosen: Sequence[int] = range(self.total) if since is None else self.since(since)
        rows = [self._render(row) for row in chosen[number * size : (number + 1) * size]]
        return _body((number, size, len(chosen)), b",".join(rows))


class Account:
    """The rows of a study."""

    def __init__(self, records: int, studies: Sequence[str]) -> None:
        self._random = random.Random(16)
        self._studies = studies
        self._now = _TWO_YEARS
        self._records: list[_Record] = []
        self._revisions: list[tuple[int, int]] = []  # of which record, and when
        revisions = records * 3 // 2
        for number in range(revisions):
            moment = number * _TWO_YEARS // revisions  # each third one is an edit
            if number % 3 != 2:
                self._add(moment)
            else:
                self._edit(self._random.randrange(len(self._records)), moment)
        self._templates = [_template(number) for number in range(PAGE)]
        self._index()

    @property
    def time(self) -> bytes:
        """The account's time."""
        return _date(self._now)

    def live_day(self) -> None:
        """Let 24 hours pass."""
        count = len(self._records)
        edited, added, deleted = (round(count * share) for share in (EDITED, ADDED, DELETED))
        chosen = self._random.sample(range(count), edited + deleted)
        moments = sorted(self._random.choices(range(_DAY), k=edited + added + deleted))
        for moment in moments:
            if not chosen:
                self._add(self._now + moment)
                continue
            number = chosen.pop()
            self._edit(number, self._now + moment, deleted=len(chosen) < deleted)
        self._now += _DAY
        self._index()

    @functools.lru_cache(maxsize=_KEPT_PAGES)  # noqa: B019 - one account lives as long as the process
    def page(self, endpoint: str, number: int, size: int, filter_text: str) -> bytes:
        """Return the body of a page, with placeholders of the study's key and the time."""
        if endpoint in self._tables:
            return self._tables[endpoint].page(number, size, _since(filter_text))
        rows = _few_rows(endpoint, self._studies)
        if study_key := re.fullmatch("studyKey==(.+)", filter_text):
            rows = [row for row in rows if row["studyKey"] == study_key[1]]
        chosen = rows[number * size : (number + 1) * size]
        return _body((number, size, len(rows)), b",".join(map(_json, chosen)))

    def _add(self, moment: int) -> None:
        self._records.append(_Record(moment, moment))
        self._revisions.append((len(self._records) - 1, moment))

    def _edit(self, number: int, moment: int, *, deleted: bool = False) -> None:
        edited = self._records[number]
        edited.modified, edited.edits = moment, edited.edits + 1
        edited.deleted = edited.deleted or deleted
        self._revisions.append((number, moment))

    def _index(self) -> None:
        self._tables = {
            "records": _Rows([each.modified for each in self._records], self._record),
            "recordRevisions": _Rows([moment for _, moment in self._revisions], self._revision),
        }
        self.page.cache_clear()

    def _record(self, number: int) -> bytes:
        row = self._records[number]
        deleted = b"true" if row.deleted else b"false"
        dates = _date(row.created), _date(row.modified)
        answers = [number * prime % 1_000_003 for prime in _PRIMES]
        places = (number + 1, deleted, *dates, row.edits, *answers)
        return self._templates[number % PAGE] % places

    def _revision(self, number: int) -> bytes:
        of_record, moment = self._revisions[number]
        form = of_record % FORMS + 1
        return _REVISION % (number + 1, of_record + 1, form, _date(moment))


def _date(seconds: int) -> bytes:
    moment = _BEGINNING + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%d %H:%M:%S}".encode()


def _template(number: int) -> bytes:
    """Return a record's JSON with places for its ID, deletion, two dates, edits, and answers.

    Four answers differ from record to record, so that a stored record isn't a few bytes only.
    """
    row = {**record(number), "recordId": "ID", "deleted": "DELETED"}
    row |= {"dateCreated": "CREATED", "dateModified": "MODIFIED"}
    row["recordData"] |= {VARIABLES[0]: "edit NUMBER"}
    row["recordData"] |= dict.fromkeys(VARIABLES[3::3][: len(_PRIMES)], "measured NUMBER")
    text = _json(row).replace(b'"ID"', b"%d").replace(b'"DELETED"', b"%b")
    text = text.replace(b"CREATED", b"%b").replace(b"MODIFIED", b"%b")
    return text.replace(b"NUMBER", b"%d")


_REVISION = (
    b'{"studyKey":"PREPARED","recordRevisionId":%d,"recordId":%d,"recordOid":"OID",'
    b'"recordRevision":1,"dataRevision":1,"recordStatus":"Record Complete","subjectId":1,'
    b'"subjectOid":"OID-1","subjectKey":"01-001","siteId":1,"formKey":"FORM%d","intervalId":1,'
    b'"role":"Investigator","user":"jdoe","reasonForChange":"Data entry error","deleted":false,'
    b'"dateCreated":"%b"}'
)


def _few_rows(endpoint: str, studies: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of an endpoint that has few."""
    dates = {"dateCreated": "2024-01-01 00:00:00", "dateModified": "2024-01-01 00:00:00"}
    of_study = {"studyKey": _STUDY, **dates}
    if endpoint == "studies":
        ids = enumerate(studies, 1)
        return [{"studyKey": key, "studyId": number, **dates} for number, key in ids]
    if endpoint == "variables":
        return [{**row, **dates} for row in variables()]
    count, id_name = _FEW.get(endpoint, (0, ""))
    names = {
        "forms": {"formName": "Form", "formType": "SUBJECT"},
        "sites": {"siteName": "Site"},
        "subjects": {"subjectStatus": "Enrolled", "siteName": "Site", "deleted": False},
        "visits": {"deleted": False},
    }.get(endpoint, {})
    rows = [{id_name: number, **names, **of_study} for number in range(1, count + 1)]
    if endpoint == "forms":
        return [{**row, "formKey": f"FORM{row['formId']}"} for row in rows]
    return rows


_FEW = {
    "forms": (FORMS, "formId"),
    "sites": (11, "siteId"),
    "subjects": (100, "subjectId"),
    "intervals": (30, "intervalId"),
    "visits": (50, "visitId"),
}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _body(page: tuple[int, int, int], rows: bytes) -> bytes:
    """Return a body with a placeholder of the account's time."""
    number, size, total = page
    pagination = {"currentPage": number, "size": size, "totalPages": -(-total // size)}
    pagination["totalElements"] = total
    return b'{"metadata":{"status":"OK","timestamp":"TIME"},"pagination":%b,"data":[%b]}' % (
        _json(pagination),
        rows,
    )


class _Answers:
    """The answers of the account, and its two controls: ``/day`` and ``/requests``."""

    def __init__(self, account: Account, seconds: float) -> None:
        self._account = account
        self._seconds = seconds
        self._counts = Counter[str]()

    def answer(self, target: str) -> tuple[bytes, float]:
        """Return the answer to a request, and after how many seconds it is sent."""
        path = urlsplit(target)
        if path.path in {"/day", "/requests"}:
            body = _json(self._counts)
            self._counts.clear()
            if path.path == "/day":
                self._account.live_day()
            return _HEAD % len(body) + body, 0.0
        *_, study_key, endpoint = path.path.split("/")
        self._counts[endpoint] += 1
        query = parse_qs(path.query)
        number, size = (int(query.get(name, [default])[0]) for name, default in _PAGING)
        body = self._account.page(endpoint, number, size, query.get("filter", [""])[0])
        body = body.replace(_STUDY.encode(), study_key.encode())
        body = body.replace(b"TIME", self._account.time, 1)
        return _HEAD % len(body) + body, self._seconds


_PAGING = (("page", "0"), ("size", "25"))


def _since(text: str) -> int | None:
    """Return from which date on a filter selects rows, in seconds since the beginning."""
    if not text:
        return None
    operator, date = re.fullmatch(r"date(?:Modified|Created)(>=?)(.+)Z", text).groups()  # type: ignore[union-attr]
    moment = datetime.fromisoformat(date).replace(tzinfo=UTC) - _BEGINNING
    return int(moment.total_seconds()) + (operator == ">")


async def _serve(records: int, seconds: float, studies: Sequence[str]) -> None:
    answers = _Answers(Account(records, studies), seconds)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(answers.answer), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]) / 1000, sys.argv[3].split(",")))
