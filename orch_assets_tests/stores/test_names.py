"""Names: what may be one, and how free text becomes a part of one."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orch_assets.errors import ArtifactNameError
from orch_assets.stores import decode_part, encode_part
from orch_assets.stores.names import check_name, check_prefix

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.text(
    "aAbB1-_.~ßs kK\u212a\u212b\u00c5\u00e5\u017f\u0130i\u0307", min_size=1, max_size=6
)
PAIRS = TEXTS.flatmap(
    lambda text: st.tuples(
        st.just(text),
        st.sampled_from(
            [
                text.lower(),
                text.upper(),
                text.swapcase(),
                text.casefold(),
                unicodedata.normalize("NFC", text),
                unicodedata.normalize("NFD", text),
                text.strip(" .") or "x",
                text + "~",
            ]
        )
        | TEXTS,
    )
)


@given(TEXTS)
@example("..")
@example("CON")
@example("lpt1")
@example("_x")
@example("x.parquet")
def test_any_text_becomes_a_part_and_comes_back(text: str) -> None:
    part = encode_part(text)
    assert decode_part(part) == text
    assert check_name(f"{part}/{part}") == f"{part}/{part}"


@given(PAIRS)
@example(("ONC-301", "onc-301"))
@example(("ß", "ss"))
@example(("\u212a", "k"))
def test_different_texts_stay_different_on_every_disk(pair: tuple[str, str]) -> None:
    """Also where a disk is blind to case, normalizes, or drops dots and blanks at the end."""

    def on_disk(text: str) -> str:
        return unicodedata.normalize("NFC", encode_part(text)).casefold().rstrip(" .")

    first, second = pair
    assert (on_disk(first) == on_disk(second)) == (first == second)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("ONC-301", "ONC-301"),
        ("subjects", "subjects"),
        ("open_queries", "open_queries"),
        ("onc-301", "onc-301~~7"),
        ("PHARMADEMO", "PHARMADEMO~~3ff"),
        ("records_2024", "records_2024"),
        ("a/b", "a~2fb"),
        ("study=1", "study~3d1~~1f"),
        ("..", "~2e~2e"),
        ("nul", "~6eul"),
        ("100", "100"),
    ],
)
def test_usual_texts_stay_readable(text: str, part: str) -> None:
    assert encode_part(text) == part


@pytest.mark.parametrize("part", ["", "a b", "ONC-301~~1", "A", "~2E", "~61", "~ff", "é", "~~1"])
def test_what_encodes_no_text_is_refused(part: str) -> None:
    with pytest.raises(ArtifactNameError):
        decode_part(part)


@pytest.mark.parametrize("text", ["", "\ud800", "é" * 41, "a" * 241])
def test_text_that_fits_no_file_name_is_refused(text: str) -> None:
    with pytest.raises(ArtifactNameError):
        encode_part(text)


def test_a_study_key_of_full_length_fits() -> None:
    assert len(encode_part("aB-" * 33 + "c")) < 240


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "features/windows_2024_01",
        "Ünïcode name/v1.2",
        "site=1/x",
        "a.parquet",
        "a~b",
        "-",
        "con2",
    ],
)
def test_a_name_that_a_person_would_choose_is_taken_as_it_is(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", ".hidden", "_skipped/a", "a.", "a ", " a",
        "a\nb", "a\x7fb", "a\\b", "C:", "a?", "a*", "nul", "Con.txt", "COM1", "x.parquet/a",
        "x.CSV/a", "e\u0301", "\ud800", "é" * 130, "/".join(["abcdefgh"] * 100), 7, None, b"a",
    ],
)  # fmt: skip
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ArtifactNameError):
        check_name(name)


def test_a_prefix_may_end_in_slashes_and_be_empty() -> None:
    assert check_prefix("/a/b/") == "a/b"
    assert check_prefix("") == check_prefix("/") == ""
    with pytest.raises(ArtifactNameError):
        check_prefix("../a")
