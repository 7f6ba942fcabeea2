"""A server of prepared API pages, so that benchmarks don't measure the server.

``python -m benchmarks.prepared_registry RECORDS MILLISECONDS`` prints its port. It serves the same
for every study: RECORDS records of 17 fields and 20 variables, their data dictionary, and no rows
for the other endpoints. Each answer is delayed by MILLISECONDS. A page's bytes are joined from
prepared pieces and cached.
"""

import asyncio
import functools
import json
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.connections import Connection

PAGE = 500
FORMS = 7
VARIABLES = [f"VAR{number:02d}" for number in range(20)]
KEYS: dict[str, Any] = {"api_key": "key", "security_key": "key"}

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_ID = 987654321987  # placeholder of a record's ID
# The studies that the account lists; it answers for any other, too.
_STUDIES = 20
_STUDY = "PREPARED"  # placeholder of the study's key


@contextmanager
def prepared_registry(
    records: int, milliseconds: float, certificate: str | None = None
) -> Iterator[str]:
    """Serve in a separate process during the block; yield the base URL.

    Args:
        records: For each study.
        milliseconds: Delay of each answer.
        certificate: A PEM file with key and certificate for TLS; None serves plain http.
    """
    command = [
        sys.executable,
        "-m",
        "benchmarks.prepared_registry",
        str(records),
        str(milliseconds),
        *([certificate] if certificate else []),
    ]
    scheme = "https" if certificate else "http"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"{scheme}://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


class _Pages:
    """The bodies of all pages."""

    def __init__(self, records: int) -> None:
        self._records = records
        rows = [json.dumps(record(number), separators=(",", ":")) for number in range(PAGE)]
        self._pieces = ",".join(rows).encode().split(str(_ID).encode())
        self._others = {
            "variables": _body(0, FORMS * len(VARIABLES), _json(variables())),
            "studies": _body(0, _STUDIES, _json([_study(n + 1) for n in range(_STUDIES)])),
        }

    @functools.lru_cache(maxsize=500)  # noqa: B019 - the one instance lives as long as the process
    def answer(self, study_key: str, endpoint: str, number: int) -> bytes:
        """Return an answer with its headers and body."""
        body = self._body(endpoint, number).replace(_STUDY.encode(), study_key.encode())
        return _HEAD % len(body) + body

    def _body(self, endpoint: str, number: int) -> bytes:
        """Return the body of a page; each record of the study has a different ID."""
        if endpoint != "records":
            return self._others.get(endpoint) or _body(number, 0, b"[]")
        first = number * PAGE
        count = min(max(self._records - first, 0), PAGE)
        if count == PAGE:
            ids = (str(first + n + 1).encode() for n in range(PAGE))
            pieces = [piece + next(ids, b"") for piece in self._pieces]
            return _body(number, self._records, b"[" + b"".join(pieces) + b"]")
        rows = [record(n, first + n + 1) for n in range(count)]
        return _body(number, self._records, _json(rows))


def _study(number: int) -> dict[str, Any]:
    return {"studyKey": f"S{number:02d}", "studyId": number}


def record(number: int, record_id: int = _ID) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for position, name in enumerate(VARIABLES):
        answers_by_type: tuple[Any, ...] = (
            f"answer {number * position % 997}",
            number * position % 97,
            "1.5",
        )
        answers[name] = answers_by_type[position % 3]
    return {
        "studyKey": _STUDY,
        "intervalId": number % 30 + 1,
        "formId": number % FORMS + 1,
        "formKey": f"FORM{number % FORMS + 1}",
        "siteId": number % 11 + 1,
        "recordId": record_id,
        "recordOid": f"REC-{number:08d}",
        "recordType": "SUBJECT",
        "recordStatus": "Record Complete",
        "deleted": False,
        "dateCreated": "2025-06-05 21:12:08",
        "dateModified": "2025-06-05 21:12:09",
        "subjectId": number % 100 + 1,
        "subjectOid": f"OID-{number % 100}",
        "subjectKey": f"01-{number % 100:03d}",
        "visitId": number % 50 + 1,
        "parentRecordId": 0,
        "recordData": answers,
    }


def variables() -> list[dict[str, Any]]:
    return [
        {
            "studyKey": _STUDY,
            "variableId": form * 100 + position,
            "variableName": name,
            "variableType": ("TEXT", "INTEGER", "DECIMAL")[position % 3],
            "sequence": position,
            "label": name.title(),
            "blinded": False,
            "formId": form + 1,
            "formKey": f"FORM{form + 1}",
        }
        for form in range(FORMS)
        for position, name in enumerate(VARIABLES)
    ]


def _json(rows: Any) -> bytes:
    return json.dumps(rows, separators=(",", ":")).encode()


def _body(number: int, total: int, rows: bytes) -> bytes:
    pagination = {
        "currentPage": number,
        "size": PAGE,
        "totalPages": -(-total // PAGE),
        "totalElements": total,
    }
    head = _json({"metadata": {"status": "OK"}, "pagination": pagination})
    return head[:-1] + b',"data":' + rows + b"}"


def _parse(path: str) -> tuple[str, str, int]:
    """Return the study, the endpoint and the page number of a request."""
    page = re.search(r"[?&]page=(\d+)", path)
    *_, study_key, endpoint = path.partition("?")[0].split("/")
    return study_key, endpoint, int(page[1]) if page else 0


async def _serve(records: int, seconds: float, certificate: str | None = None) -> None:
    pages = _Pages(records)
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)

    def answer(target: str) -> tuple[bytes, float]:
        return pages.answer(*_parse(target)), seconds

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(answer), "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]) / 1000, *sys.argv[3:]))
