r"""Valid JSON that decoders refuse: read exactly and counted, or the study fails at once."""

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orch_assets.demo import DemoServer
from orch_assets.errors import RegistryDataError
from orch_assets.imednet import Record, Subject
from orch_assets.imednet.api_request import ApiRequest
from orch_assets.imednet.json_text import (
    elements_of,
    lone_surrogates,
    members_of,
    object_of,
    readable,
)
from orch_assets.imednet.pages import page_of_columns, page_of_objects
from orch_assets_tests.imednet.conftest import MakeSDK

STUDY = "ONC-301"
SIZE = 4
ODD_ROW = 6  # on the second page
CALL = ApiRequest("/studies/ONC-301/subjects", STUDY, page=0)
DEEP = b"[" * 100_000 + b"]" * 100_000

READERS: dict[str, Callable[[Any], Any]] = {
    "batches": lambda endpoint: list(endpoint.batches(STUDY)),
    "table": lambda endpoint: endpoint.table(STUDY),
    "list": lambda endpoint: list(endpoint.list(STUDY)),
}


def change(server: DemoServer, endpoint: str, **changes: Any) -> int:
    """Change a row of the second page; return its position."""
    key = f"{endpoint[:-1]}Id"
    row = server.registry.rows(endpoint, STUDY)[ODD_ROW]
    server.registry.update_row(endpoint, STUDY, row[key], **changes)
    return ODD_ROW


def requests(server: DemoServer, endpoint: str) -> list[int | None]:
    """Return the numbers of the requested pages, in order."""
    return sorted(one.page for one in server.traffic.log if one.endpoint == endpoint)


def page(*rows: str, before: bytes = b"") -> bytes:
    total = len(rows)
    pagination = f'{{"currentPage":0,"totalElements":{total},"totalPages":1}}'
    data = ",".join(rows)
    return before + f'{{"metadata":{{}},"pagination":{pagination},"data":[{data}]}}'.encode()


def test_record_data_keeps_the_escape_of_half_a_pair(
    busy_server: DemoServer, make_sdk: MakeSDK
) -> None:
    """One record doesn't fail a study; what Arrow can't hold stays a JSON escape."""
    change(busy_server, "records", recordData={"AETERM": "felt \ud83d", "\udc00KEY": 1})
    with make_sdk(busy_server, page_size=SIZE).records.batches(STUDY) as stream:
        texts = [text for batch in stream for text in batch["record_data"].to_pylist()]
    assert texts[ODD_ROW] == r'{"AETERM": "felt \ud83d", "\udc00KEY": 1}'
    assert len(texts) == len(busy_server.registry.rows("records", STUDY))
    assert stream.counts.replaced_surrogates == 0
    assert stream.counts.retries == 0


@pytest.mark.parametrize("reader", READERS)
def test_text_has_a_replacement_character_and_the_page_is_asked_for_once(
    reader: str, busy_server: DemoServer, make_sdk: MakeSDK
) -> None:
    keywords = [{"keywordName": "\ud83d", "keywordKey": "K"}]
    change(busy_server, "subjects", subjectKey="001-\ud83d", keywords=keywords)
    pages = -(-len(busy_server.registry.rows("subjects", STUDY)) // SIZE)
    read = READERS[reader](make_sdk(busy_server, page_size=SIZE).subjects)
    if reader == "list":
        row = msgspec.structs.asdict(read[ODD_ROW])
        names = [one.keyword_name for one in row["keywords"]]
    else:
        rows = read if reader == "batches" else read.to_batches()
        row = [row for batch in rows for row in batch.to_pylist()][ODD_ROW]
        names = [one["keyword_name"] for one in row["keywords"]]
    assert (row["subject_key"], names) == ("001-�", ["�"])
    assert requests(busy_server, "subjects") == list(range(pages))


def test_what_is_replaced_is_counted(busy_server: DemoServer, make_sdk: MakeSDK) -> None:
    change(busy_server, "subjects", subjectKey="\ud83d-\ud83d", strange="\ud83d")
    for read, expected in (("batches", 2), ("list", 3)):  # `extra` is JSON text in columns only
        with getattr(make_sdk(busy_server).subjects, read)(STUDY) as stream:
            list(stream)
        assert stream.counts.replaced_surrogates == expected
    table = make_sdk(busy_server).subjects.table(STUDY)
    assert table["extra"][ODD_ROW].as_py() == r'{"strange":"\ud83d"}'


TOO_MUCH = {
    "nested": (DEEP, "nested too deeply"),
    "nested objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", TOO_MUCH)
@pytest.mark.parametrize(("key", "named"), [("recordData", "recordData"), ("planted", "extra")])
def test_what_is_nested_too_deeply_fails_by_its_own_name_at_the_first_try(
    reader: str, kind: str, key: str, named: str, busy_server: DemoServer, make_sdk: MakeSDK
) -> None:
    value, says = TOO_MUCH[kind]
    if key == "recordData":
        value = b'{"A":%b}' % value
    change(busy_server, "records", **{key: msgspec.Raw(value)})
    with pytest.raises(RegistryDataError, match=f"field {named} holds .*{says}") as caught:
        READERS[reader](make_sdk(busy_server, page_size=SIZE, window=1).records)
    assert (caught.value.page, caught.value.study_key) == (1, STUDY)
    assert "/records, page 1" in str(caught.value)
    assert "planted" not in str(caught.value)
    assert requests(busy_server, "records").count(1) == 1


@pytest.mark.parametrize("number", ["1e400", "-1e99999", "9" * 5000])
def test_numbers_beyond_every_type_stay_in_json_text_and_fail_as_objects(
    number: str, busy_server: DemoServer, make_sdk: MakeSDK
) -> None:
    data = f'{{"planted":{number}}}'
    change(busy_server, "records", recordData=msgspec.Raw(data.encode()))
    sdk = make_sdk(busy_server, page_size=SIZE, window=1)
    assert sdk.records.table(STUDY)["record_data"][ODD_ROW].as_py() == data
    busy_server.traffic.clear()
    with pytest.raises(RegistryDataError, match="field recordData holds a number") as caught:
        list(sdk.records.list(STUDY))
    assert caught.value.page == 1
    assert "planted" not in str(caught.value)
    assert requests(busy_server, "records").count(1) == 1


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, "9" * 5000, "1e400"])
def test_a_typed_number_beyond_64_bits_fails_by_its_name_at_the_first_try(
    number: Any, busy_server: DemoServer, make_sdk: MakeSDK
) -> None:
    change(busy_server, "records", siteId=msgspec.Raw(str(number).encode()))
    with pytest.raises(RegistryDataError, match="field siteId isn't a whole number") as caught:
        make_sdk(busy_server, page_size=SIZE, window=1).records.table(STUDY)
    assert caught.value.page == 1
    assert requests(busy_server, "records").count(1) == 1


def test_null_characters_and_twin_keys_are_read(busy_server: DemoServer, make_sdk: MakeSDK) -> None:
    """U+0000 is text; of duplicate members the last counts, and JSON text keeps both."""
    data = rb'{"A":1,"A":"\u0000"}'
    change(busy_server, "records", subjectKey="\0", recordData=msgspec.Raw(data))
    sdk = make_sdk(busy_server)
    table = sdk.records.table(STUDY)
    assert table["subject_key"][ODD_ROW].as_py() == "\0"
    assert table["record_data"][ODD_ROW].as_py() == data.decode()
    assert list(sdk.records.list(STUDY))[ODD_ROW].record_data == {"A": "\0"}


def test_a_byte_order_mark_is_passed_over() -> None:
    body = page('{"subjectId":1}', before=b"\xef\xbb\xbf")
    assert page_of_columns(Subject, "subjectId", CALL, body).ids == [1]
    assert page_of_objects(Subject, "subjectId", CALL, body).ids == [1]


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "01", '"\\x"', '"\\ud8"', "'a'", "1.", '"\n"', "[1,]"]
)
@pytest.mark.parametrize("read", [page_of_columns, page_of_objects])
def test_what_json_has_not_is_no_answer(read: Callable[..., Any], value: str) -> None:
    """It may be a broken transfer, so it is retried."""
    row = f'{{"recordId":1,"recordData":{{"A":{value}}}}}'
    with pytest.raises(RegistryDataError, match="no whole JSON document"):
        read(Record, "recordId", CALL, page(row))


@pytest.mark.parametrize("read", [page_of_columns, page_of_objects])
def test_bytes_that_are_no_text_are_no_answer(read: Callable[..., Any]) -> None:
    body = page('{"recordId":1,"subjectKey":"\\ud83d","recordData":{"A":"?"}}')
    with pytest.raises(RegistryDataError, match="no whole JSON document"):
        read(Record, "recordId", CALL, body.replace(b"?", b"\xff"))


# Any text that JSON can spell, halves of pairs and whole ones among it.
odd_text = st.lists(
    st.characters(codec=None) | st.sampled_from(["\ud83d", "\ude00", "\\", "\\ud83d", '"']),
    max_size=8,
).map("".join)
json_values = st.recursive(
    st.none() | st.integers(-(2**70), 2**70) | odd_text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(odd_text, inner, max_size=2),
    max_leaves=4,
)
members = st.dictionaries(odd_text, json_values, max_size=3)
spellings = st.sampled_from([(",", ":"), (", ", " : "), ("\n,\t", ":\r\n")])


def spelled(value: Any, separators: tuple[str, str]) -> str:
    """Write what UTF-8 has no bytes for as escapes, sometimes in capitals."""
    text = json.dumps(value, separators=separators)
    return re.sub(r"\\u[0-9a-f]{4}(?=[^\\]|$)", lambda found: "\\u" + found[0][2:].upper(), text)


def as_text(value: str) -> str:
    """Return what UTF-8 can hold of a text; adjacent halves form a pair."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(data=members, key=odd_text, extra=members, separators=spellings)
def test_columns_hold_every_odd_text(
    data: dict[str, Any], key: str, extra: dict[str, Any], separators: tuple[str, str]
) -> None:
    """JSON text is exactly what was sent; other text has U+FFFD, which is counted."""
    strange = {f"x{name}": value for name, value in extra.items()}
    sent = {"recordId": 1, "subjectKey": key, "recordData": data, **strange}
    row = spelled(sent, separators)
    content = page_of_columns(Record, "recordId", CALL, page(row))
    (found,) = content.content.to_pylist()
    expected = json.loads(row)
    assert found["record_data"] == members_of(row)["recordData"]
    assert json.loads(found["record_data"]) == expected["recordData"]
    assert found["subject_key"] == as_text(expected["subjectKey"])
    rest = {name: value for name, value in expected.items() if name.startswith("x")}
    assert json.loads(found["extra"] or "{}") == rest
    assert content.replaced == lone_surrogates(members_of(row)["subjectKey"].encode())


@given(members, spellings)
def test_members_come_apart_and_together_again(
    value: dict[str, Any], separators: tuple[str, str]
) -> None:
    text = spelled(value, separators)
    found = members_of(text)
    assert {key: json.loads(one) for key, one in found.items()} == json.loads(text)
    assert all(one in text for one in found.values())
    together = object_of(found)
    together.encode()  # is text
    assert json.loads(together) == json.loads(text)
    assert elements_of(f"[ {text} , {text}]") == [text, text]


@given(st.lists(odd_text, max_size=3), spellings)
def test_the_readable_form_differs_in_halves_of_pairs_alone(
    texts: list[str], separators: tuple[str, str]
) -> None:
    document = spelled(texts, separators).encode()
    clean = readable(document)
    assert msgspec.json.decode(clean) == [as_text(one) for one in json.loads(document)]
    assert len(clean) == len(document)
    assert lone_surrogates(clean) == 0
    if not lone_surrogates(document):
        assert clean == document


def test_an_errors_code_is_told_though_its_message_holds_half_a_pair(
    busy_server: DemoServer,
) -> None:
    from orch_assets.imednet.pages import refusal_code

    body = rb'{"metadata":{"status":"X","error":{"code":"1000","message":"\ud83d"}}}'
    assert refusal_code(body) == "1000"


def test_halves_count_only_in_pages_that_are_kept() -> None:
    """A page that is read again replaces its earlier rows and their count."""
    from orch_assets.imednet.pages import Page
    from orch_assets.imednet.paging import TableRead
    from orch_assets_tests.imednet.rows import PagesOfATest

    asked: list[int] = []

    def fetch(number: int, _abandoned: Any) -> Page[Any]:
        asked.append(number)
        shifted = 1 in asked  # a row came in front while page 1 was asked for
        ids = list(range(0 if shifted else 1, 5))[number * 2 : number * 2 + 2]
        total = 5 if shifted else 4
        return Page(number, number, total, -(-total // 2), ids, ids, replaced=number == 0)

    reading = TableRead(CALL, PagesOfATest(fetch), size=2, window=lambda _: 1, hold=True)
    rows = [one for content in reading.contents() for one in content]
    assert rows == [0, 1, 2, 3, 4]
    assert reading.counts.replaced_surrogates == 1
