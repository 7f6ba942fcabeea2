"""Ten planted strings in all that a registry sends: none of them in what anybody may read.

Looked through, byte by byte: the instance's folder (event log, runs, compute logs), what the
process printed, and every record that any logger makes at DEBUG.
"""

import json
import logging
from pathlib import Path

import dagster as dg
import pytest

from orch_assets import pipelines, study_pipeline
from orch_assets.defs.discovery import discover_pipelines
from orch_assets.defs.partitions import STUDIES_NAME
from orch_assets.demo import DemoRegistry, DemoServer
from orch_assets_tests.support.harness import failure_text, instance, observations, states
from orch_assets_tests.support.processes import Home, registry_settings
from orch_assets_tests.support.runs import evaluations, location, run_all, small_pages
from orch_assets_tests.support.wire import SpoiledAnswers, Wire, http_answer, saying

PLANTED = {
    "name": "Hieronymus Plantagenet-Nowak",
    "date of birth": "1871-03-29",
    "subject key": "PLNT-0042-XQ",
    "e-mail": "planted.person@patients.example",
    "phone": "+48 600 100 99 17",
    "free text": "fell down the planted stairs and cried",
    "diagnosis": "Plantitis acuta (left)",
    "API key": "plnt-key-7f3a9c55aa",
    "URL with a key": "https://edc.example.com/x?api_key=plntsecret99&a=b",
    "number": "4217.000091725",
}
ALL = " | ".join(PLANTED.values())
TEXT = json.dumps(ALL)

FUNCTIONS = [each.function for each in discover_pipelines(pipelines)]
PATHS = {"study": "studies", "record_revisions": "recordRevisions"}
TABLES = [
    each.name
    for each in discover_pipelines(pipelines)
    if each.group == "registry" and each.name != "form_tables"
]


class Everything(logging.Handler):
    """Keeps every record, with its arguments and its exception, as text."""

    def __init__(self) -> None:
        super().__init__(level=0)
        self.lines = []

    def emit(self, record):
        formatted = logging.Formatter().format(record)
        self.lines.append(f"{formatted} {record.args!r} {sorted(vars(record).items(), key=str)!r}")


@pytest.fixture
def said(monkeypatch):
    """What all loggers say, those of httpx, httpcore and Dagster among them."""
    handler = Everything()
    names = ["httpx", "httpcore.http11", "httpcore.connection"]
    loggers = [logging.getLogger(name) for name in names]
    loggers += [one for one in logging.root.manager.loggerDict.values() if hasattr(one, "level")]
    for logger in {logging.root, *loggers}:
        if not logger.name.startswith(("uvicorn", "asyncio")):  # the registry's own
            monkeypatch.setattr(logger, "level", 1)
            logger.manager._clear_cache()
    monkeypatch.setattr(logging.root, "handlers", [*logging.root.handlers, handler])
    dagster = logging.getLogger("dagster")
    monkeypatch.setattr(dagster, "handlers", [*dagster.handlers, handler])
    yield handler.lines
    logging.root.manager._clear_cache()


@pytest.fixture
def server():
    with DemoServer(DemoRegistry(studies=1, subjects=4)) as running:
        yield running


class Readable:
    """All that a run left where many may read it: in the instance's folder, and as texts."""

    def __init__(self, folder, **texts) -> None:
        self.parts = {name: text.encode() for name, text in texts.items()}
        for path in Path(folder).rglob("*"):
            if path.is_file():
                self.parts[str(path.relative_to(folder))] = path.read_bytes()

    def planted(self):
        """Return which strings are where; a part of one of them is enough."""
        return {
            (where, kind)
            for where, content in self.parts.items()
            for kind, text in PLANTED.items()
            for piece in {text, max(text.split(), key=len)}
            if piece.encode() in content or json.dumps(piece)[1:-1].encode() in content
        }


def run(server, base_url, folder, said, capfd, *functions):
    """Run tables over the registry's one study; return the run's facts and what is readable."""
    (study_key,) = server.registry.study_keys()
    registry = small_pages(server, base_url, page_size=50)
    defs = location(folder, registry, *(functions or FUNCTIONS))
    names = [function.__name__ for function in functions or FUNCTIONS]
    with instance(study_key) as real:
        ended = run_all(defs, real, [study_key], select=names)
        ok = ended.status is dg.DagsterRunStatus.SUCCESS
        text = "" if ok else failure_text(real, ended)
        found = {
            name: (
                states(real, name)[study_key],
                observations(real, name).get(study_key, {}).get("error"),
            )
            for name in names
        }
        out, err = capfd.readouterr()
        loggers = "\n".join(said)
        readable = Readable(real.root_directory, stdout=out, stderr=err, loggers=loggers)
        return found, readable, text


def test_what_looks_through_everything_finds_what_is_there(server, tmp_path, said, capfd):
    """The control: a pipeline of somebody who logs data."""

    @study_pipeline
    def careless(study_key, sdk, study_logger):
        study_logger.info("%s", PLANTED["name"])
        print(PLANTED["phone"])  # noqa: T201
        logging.getLogger("httpx").debug(PLANTED["API key"])
        raise dg.Failure(PLANTED["diagnosis"], metadata={"why": PLANTED["e-mail"]})

    _, readable, _ = run(server, None, tmp_path, said, capfd, careless)
    found = readable.planted()
    assert {("loggers", "name"), ("loggers", "API key")} <= found
    assert [where for where, kind in found if kind == "phone"]
    assert not [kind for _, kind in found if kind in {"diagnosis", "e-mail"}]


LOOKUPS = """
import ast, importlib
from orch_assets import study_pipeline

def planted(sdk, study_key):
    return next(iter(sdk.sites.list(study_key=study_key))).site_name

@study_pipeline
def by_attribute(study_key, sdk, study_logger):
    return getattr(sdk, planted(sdk, study_key))

@study_pipeline
def by_literal(study_key, sdk, study_logger):
    return ast.literal_eval(planted(sdk, study_key))

@study_pipeline
def by_key(study_key, sdk, study_logger):
    return {"site": 1}[planted(sdk, study_key)]

@study_pipeline
def by_module(study_key, sdk, study_logger):
    return importlib.import_module(planted(sdk, study_key))

@study_pipeline
def by_slip(study_key, sdk, study_logger):
    return {"site": 1}["sight"]

@study_pipeline
def by_column(study_key, sdk, study_logger):
    return {"site": 1}["site_name".replace("site", "form")]
"""


def test_what_is_looked_for_by_a_value_is_not_told_and_a_slip_of_the_pen_is(
    server, tmp_path, said, capfd, monkeypatch
):
    (study_key,) = server.registry.study_keys()
    plant(server.registry, study_key)
    (tmp_path / "lookups_by_value.py").write_text(LOOKUPS)
    monkeypatch.syspath_prepend(tmp_path)
    import lookups_by_value as module

    functions = [value for name, value in vars(module).items() if name.startswith("by_")]
    found, readable, text = run(server, None, tmp_path / "store", said, capfd, *functions)
    assert {
        name: error.partition(" (at lookups_by_value.py:")[0] for name, (_, error) in found.items()
    } == {
        "by_attribute": "AttributeError",
        "by_literal": "SyntaxError",
        "by_key": "KeyError",
        "by_module": "ModuleNotFoundError",
        "by_slip": "KeyError: 'sight'",
        "by_column": "KeyError: 'form_name'",
    }
    assert readable.planted() == set()
    assert "KeyError: 'sight' (at lookups_by_value.py:" in text


def plant(registry, study_key):
    """Put the strings wherever the registry's rows have free text, and into unknown fields."""
    fields = {
        "sites": ["siteName"],
        "subjects": ["subjectKey", "siteName"],
        "visits": ["subjectKey"],
        "codings": ["value", "code", "reason"],
        "queries": ["description", "subjectKey"],
        "recordRevisions": ["reasonForChange", "user"],
        "users": ["name", "email", "firstName"],
        "records": ["subjectKey"],
    }
    for endpoint, names in fields.items():
        rows = []
        for row in registry.rows(endpoint, study_key):
            more = {"newlyAdded": ALL, PLANTED["diagnosis"]: {PLANTED["name"]: [ALL]}}
            if endpoint == "records":
                more["recordData"] = dict.fromkeys(row["recordData"], ALL)
            if endpoint == "queries":
                more["queryComments"] = [{**one, "comment": ALL} for one in row["queryComments"]]
            rows.append({**row, **dict.fromkeys(names, ALL), **more})
        registry.table(endpoint, study_key)._keep(rows)


def test_data_are_in_the_stores_alone(server, tmp_path, said, capfd):
    (study_key,) = server.registry.study_keys()
    plant(server.registry, study_key)
    found, readable, _ = run(server, None, tmp_path, said, capfd)
    assert {name: state for name, (state, _) in found.items()} == dict.fromkeys(
        found, "MATERIALIZED"
    )
    assert readable.planted() == set()
    for line in ("[ONC-301]", f"GET /studies/{study_key}/records, page 0: HTTP 200"):
        assert line in readable.parts["loggers"].decode()  # so everything was listened to
    table = (tmp_path / "artifacts" / "subjects" / f"{study_key}.parquet").read_bytes()
    assert b"Plantagenet" in table


ERROR = f'{{"metadata":{{"status":"BAD_REQUEST","path":{TEXT},"error":{{"code":{TEXT},"description":{TEXT},"message":{TEXT},"field":{{"attribute":{TEXT},"value":{TEXT}}}}}}}}}'.encode()  # noqa: E501
PAGE = '{"metadata":{"status":"OK"},"pagination":{"currentPage":0,"totalElements":%s},"data":%s}'
HEADERS = (
    f"Server: {ALL}",
    f"Set-Cookie: session={PLANTED['API key']}; Domain={PLANTED['e-mail']}",
    f"Location: {PLANTED['URL with a key']}",
    f"WWW-Authenticate: Basic realm={TEXT}",
    f"X-Subject: {ALL}",
    f"X-Name: Wojciech Żółć, {PLANTED['name']}",  # as bytes that no header should have
)
ANSWERS = {
    "400": http_answer(ERROR, "400 Bad Request", *HEADERS),
    "401": http_answer(ERROR, "401 Unauthorized", *HEADERS),
    "500": http_answer(ERROR, f"500 {PLANTED['name']}", *HEADERS),
    "503 with text": http_answer(ALL.encode(), "503 Service Unavailable", *HEADERS),
    "429, a Retry-After of garbage": http_answer(
        ERROR, "429 Too Many", f"Retry-After: {ALL}", *HEADERS
    ),
    "429, a Retry-After of no zone": http_answer(
        ERROR, "429 Too Many", f"Retry-After: Mon, 01 Jan 2024 00:00:00 +{'9' * 40}", *HEADERS
    ),
    "302": http_answer(b"", "302 Found", *HEADERS),
    "envelope": http_answer(ERROR, "200 OK", *HEADERS),
    "HTML": http_answer(f"<html><title>{ALL}</title></html>".encode(), "200 OK", *HEADERS),
    "no JSON object": http_answer(f"[{TEXT}]".encode()),
    "totals of text": http_answer((PAGE % (TEXT, "[]")).encode()),
    "rows of text": http_answer((PAGE % (1, f"[{TEXT}]")).encode()),
    "a row of unknown fields": http_answer((PAGE % (1, f"[{{{TEXT}:{TEXT}}}]")).encode()),
    "cut": http_answer((PAGE % (1, f"[{{{TEXT}:{TEXT}}}]")).encode())[:-40],
    "no header": f"HTTP/1.1 200 OK\r\n{ALL}\r\n\r\n{ALL}".encode(),
    "no HTTP": ALL.encode(),
    "no gzip": http_answer(ERROR, "200 OK", "Content-Encoding: gzip", *HEADERS),
    "no UTF-8": http_answer(ERROR.replace(b"planted", b"\xff")),
}


@pytest.mark.parametrize("part", range(2))
def test_errors_tell_nothing_of_the_answer(part, server, tmp_path, said, capfd):
    """Each table gets another bad answer; the reports of failures hold none of it, either."""
    names = [name for name in TABLES if name not in NEEDS_VARIABLES]
    answers = list(ANSWERS.items())[part::2]
    assert_nothing_told = {}
    for start in range(0, len(answers), len(names)):
        given = dict(zip(names, answers[start : start + len(names)], strict=False))
        with Wire(server.base_url) as through:
            through.spoiled += [
                SpoiledAnswers(PATHS.get(name, name), None, saying(answer))
                for name, (_, answer) in given.items()
            ]
            folder = tmp_path / str(start)
            chosen = [f for f in FUNCTIONS if f.__name__ in given]
            found, readable, text = run(server, through.base_url, folder, said, capfd, *chosen)
        for name, (state, error) in found.items():
            assert state == "FAILED", given[name][0]
            assert "iMednet registry, /studies" in error, given[name][0]
            assert_nothing_told[given[name][0]] = error
        assert f"{len(server.registry.study_keys())} of 1 studies failed" in text
        assert readable.planted() == set()
        assert planted_in_reports(folder) == []
    assert set(assert_nothing_told) == {name for name, _ in answers}


NEEDS_VARIABLES = {"codings", "queries", "record_revisions", "records", "visits"}


def planted_in_reports(folder):
    reports = [path for path in folder.rglob("*") if path.is_file() and "failures" in path.parts]
    assert reports
    texts = [path.read_text() for path in reports]
    pieces = {max(text.split(), key=len) for text in PLANTED.values()}
    return [text for text in texts if any(piece in text for piece in pieces)]


WRONG = {
    "sites": {"siteId": ALL},
    "subjects": {"dateCreated": PLANTED["phone"]},
    "forms": {"formType": [ALL]},
    "intervals": {"intervalSequence": PLANTED["number"]},
    "variables": {"blinded": PLANTED["name"]},
    "users": {"roles": [{"dateCreated": ALL}]},
}


def test_a_value_of_a_wrong_type_is_not_told(server, tmp_path, said, capfd):
    registry, (study_key,) = server.registry, server.registry.study_keys()
    for endpoint, wrong in WRONG.items():
        table = registry.table(endpoint, study_key)
        table._keep([{**table.rows[0], **wrong}, *table.rows[1:]])
    chosen = [f for f in FUNCTIONS if f.__name__ in WRONG]
    found, readable, _ = run(server, None, tmp_path, said, capfd, *chosen)
    for endpoint, (state, error) in found.items():
        (field,) = WRONG[endpoint]
        assert state == "FAILED", endpoint
        assert f"/studies/{study_key}/{endpoint}, page 0: field {field}" in error
    assert readable.planted() == set()
    assert planted_in_reports(tmp_path) == []


def test_commands_leave_none_of_them_in_the_dagster_home(server, tmp_path):
    """What a process prints, and all that it leaves behind, its compute logs among it."""
    (study_key,) = server.registry.study_keys()
    plant(server.registry, study_key)
    with Wire(server.base_url) as through:
        through.spoiled.append(SpoiledAnswers("sites", None, saying(ANSWERS["400"])))
        through.spoiled.append(SpoiledAnswers("forms", None, saying(ANSWERS["envelope"])))
        home = Home(
            tmp_path / "home",
            {
                **registry_settings(server),
                "IMEDNET_BASE_URL": through.base_url,
                "ORCH_STORE": str(tmp_path / "artifacts"),
            },
        )
        with home.instance() as real:
            real.add_dynamic_partitions(STUDIES_NAME, [study_key])
        command = ("dagster", "asset", "materialize", "-m", "orch_assets.definitions")
        names = "sites,forms,subjects,variables,records"
        done = home.run(*command, "--select", names, "--partition", study_key)
    assert done.returncode == 1
    with home.instance() as real:
        states_now = {name: states(real, name)[study_key] for name in names.split(",")}
        passed = {name: evaluations(real, name) for name in names.split(",")}
    assert states_now == {
        "sites": "FAILED",
        "forms": "FAILED",
        "subjects": "MATERIALIZED",
        "variables": "MATERIALIZED",
        "records": "MATERIALIZED",
    }
    assert [name for name, found in passed.items() if found] == ["subjects", "variables", "records"]
    readable = Readable(home.folder, stdout=done.stdout, stderr=done.stderr)
    assert any("compute_logs" in part for part in readable.parts)
    assert readable.planted() == set()
    assert planted_in_reports(tmp_path / "artifacts") == []
    told = [line for line in done.stderr.splitlines() if "Warning" in line]
    assert all("asset_materialize_command" in line for line in told), told  # Dagster's own
