"""Artifact names are plain text; their paths differ on every disk and lead back to the names."""

import unicodedata
from datetime import UTC, datetime
from uuid import uuid4

import dagster as dg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orch_assets.defs.io.artifact_names import artifact_name
from orch_assets.errors import ArtifactNameError, StudyKeyError
from orch_assets.orchestration.selection import StudyFilter, select_studies
from orch_assets.stores.names import (
    MAX_PART_BYTES,
    check_name,
    check_prefix,
    decode_path,
    encode_folders,
    encode_name,
)
from orch_assets.stores.object_keys import MAX_PATH_BYTES, ArtifactKeys, parse_key
from orch_assets.stores.order.places import Place
from orch_assets.study import check_study_key

PARTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=20
) | st.text("aAbB1-_.~=ßs kK\u212a\u212b\u00c5\u00e5\u017f\u0130i\u0307", min_size=1, max_size=6)
NAMES = (
    st.lists(PARTS.filter(lambda part: part not in {".", ".."}), min_size=1, max_size=4)
    .map("/".join)
    .filter(lambda name: len(name) <= 40)
)
PAIRS = NAMES.flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.sampled_from(
            [
                name.lower(),
                name.upper(),
                name.swapcase(),
                name.casefold(),
                unicodedata.normalize("NFC", name),
                unicodedata.normalize("NFD", name),
                name.strip(" .") or "x",
                name + "~",
                name.replace("/", "~2f"),
            ]
        )
        | NAMES,
    )
)


@given(NAMES)
@example("CON/nul")
@example("_x/.y")
@example("x.parquet/y.CSV")
@example("AE2/ONC-301~~7")
@example("Labs/onc-301/2024-01-01")
def test_any_name_becomes_a_path_and_comes_back(name: str) -> None:
    """By the key of the current object and of hidden ones, below any prefix."""
    assert decode_path(encode_name(name)) == name
    for prefix in ("", "trials/Prod"):
        keys = ArtifactKeys.of(name, prefix, "table", "parquet")
        for key in (keys.current, keys.version("0" * 64), f"{keys.manifests('0' * 64)}/1"):
            parsed = parse_key(key, prefix)
            assert parsed is not None
            assert (parsed.keys, parsed.is_named, parsed.own_key) == (keys, True, key)


def on_disk(name: str, form: str = "NFC") -> str:
    """Return a path as seen by a disk that ignores case, normalizes, and drops dots and blanks."""
    parts = unicodedata.normalize(form, encode_name(name)).casefold().split("/")
    return "/".join(part.rstrip(" .") for part in parts)


@given(PAIRS)
@example(("subjects/ONC-301", "subjects/onc-301"))
@example(("labs/x", "Labs/x"))
@example(("visits/ONC-301/2024-01-01", "visits/onc-301/2024-01-01"))
@example(("ß", "ss"))
@example(("\u212a", "k"))
@example(("a/b", "a~2fb"))
def test_different_names_stay_different_on_every_disk(pair: tuple[str, str]) -> None:
    """Even if a disk ignores case, normalizes, or drops dots and blanks at the end."""
    first, second = pair
    try:
        same = on_disk(first) == on_disk(second, "NFD")
    except ArtifactNameError:  # one of them isn't a name
        return
    assert same == (first == second)


@given(NAMES)
def test_a_path_is_made_of_what_every_disk_and_bucket_takes(name: str) -> None:
    """No part is hidden, ignored by readers of folders, a Windows device, or like a file name."""
    for part in encode_name(name).split("/"):
        assert part.isascii()
        assert not set(part) & set("\\<>:\"|?* &'`$;#%+,")
        assert part[0] not in "._"
        assert not part.endswith((".", ".parquet", ".csv", ".json", ".set"))
        assert part.partition(".")[0].lower() not in {"con", "nul", "prn", "aux", "com1", "lpt9"}


@given(st.lists(PARTS.filter(lambda part: part not in {".", ".."}), min_size=1, max_size=3), NAMES)
def test_a_name_lies_in_the_folders_of_its_first_parts(folders: list[str], name: str) -> None:
    """A listing below a prefix finds it, and a part in lower case adds no mark to others."""
    prefix = "/".join(folders)
    assert encode_name(f"{prefix}/{name}").startswith(f"{encode_folders(prefix)}/")


LONG_KEYS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=100),
    st.text("aB1-_.%= &ß\u0130\u4e2d\U0001f600", min_size=30, max_size=100),
    st.builds(
        str.__mul__,
        st.sampled_from(["ß", "中", "😀", "%2F", "& ", "aB-", "._"]),
        st.integers(1, 100),
    ),
)
ASSETS = st.text("aB_1", min_size=1, max_size=60).filter(str.isidentifier)


def is_study_key(text: str) -> bool:
    try:
        return check_study_key(text) == text
    except StudyKeyError:
        return False


@given(LONG_KEYS.filter(is_study_key), ASSETS)
@example("ß" * 33, "AE")
@example("中" * 22, "aE" * 30)
@example("%2F" * 28, "A" * 60)
@example("aB" * 50, "A" * 60)
def test_every_study_key_can_be_stored(study_key: str, asset: str) -> None:
    """Tables, values, sets and the failure report can be stored, below any reasonable prefix."""
    partition = artifact_name(dg.AssetKey(asset), study_key)
    report = f"failures/{uuid4()}/{asset}/{study_key}"
    for name, ending in ((partition, "parquet"), (partition, "set"), (report, "json")):
        keys = ArtifactKeys.of(name, "p" * 240, "table", ending)
        assert decode_path(encode_name(name)) == name
        for key in (keys.current, f"{keys.manifests('0' * 64)}/{'0' * 61}"):
            assert len(key) <= 1024
            assert max(map(len, key.split("/"))) <= 255


@pytest.mark.parametrize("study_key", ["ß" * 34, "中" * 23, "😀" * 17, "&" * 67, "ß" * 100])
def test_a_key_too_long_to_be_stored_is_refused_with_the_reason(study_key: str) -> None:
    """The selection refuses it, so no study runs whose failure couldn't be reported."""
    with pytest.raises(StudyKeyError, match=r"takes \d+ bytes in the names of its"):
        check_study_key(study_key)
    selection = select_studies(["ONC-301", study_key], StudyFilter())
    assert selection.selected == ["ONC-301"]
    assert (
        "bytes in the names of its artifacts; at most 200 are possible"
        in selection.refused[study_key]
    )


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("features/windows_2024_01", "features/windows_2024_01"),
        ("subjects/ONC-301", "subjects/ONC-301"),
        ("subjects/onc-301", "subjects/onc-301~~7"),
        ("subjects/KARDIO-Ü2", "subjects/KARDIO-~c3~9c2"),
        ("subjects/R&D-118", "subjects/R~26D-118"),
        ("subjects/S", "subjects/S~~1"),
        ("subjects/PHARMADEMO", "subjects/PHARMADEMO~~3ff"),
        ("ae2", "ae2"),
        ("ae2/ONC-301", "ae2/ONC-301"),
        ("AE2/ONC-301", "AE2/ONC-301~~18"),
        ("records_2024", "records_2024"),
        ("features/w1", "features/w1"),
        ("site=1/x", "site=1/x"),
        ("raw.visits/v1.2", "raw.visits/v1.2"),
        ("a.parquet/b.csv", "a~2eparquet/b~2ecsv"),
        ("nul", "~6eul"),
        ("failures/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f/S-1",) * 2,
    ],
)
def test_usual_names_stay_readable(name: str, path: str) -> None:
    """The folder of an asset has the name of the asset."""
    assert encode_name(name) == path


@pytest.mark.parametrize(
    "path", ["", "a b", "ONC-301~~1", "A", "~2E", "~61", "~ff", "é", "~~1", "a/~~1", "a~~0", "a~~z"]
)
def test_what_no_name_becomes_is_refused(path: str) -> None:
    with pytest.raises(ArtifactNameError):
        decode_path(path)


def test_a_folder_that_a_blind_disk_spells_otherwise_is_read_as_the_name_says() -> None:
    assert decode_path("labs/x~~10") == "Labs/x"
    assert decode_path("LABS/x") == "labs/x"


@pytest.mark.parametrize(
    "name",
    ["a", "Ünïcode name/v1.2", "a~b", "-", "con", ".hidden", "a.", " a", "C:", "e\u0301", "a\\b"],
)
def test_a_name_may_be_any_text_in_parts(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a\nb", "a\x7fb", "\ud800",
        7, None, b"a",
    ],
)  # fmt: skip
def test_what_is_not_text_in_parts_is_refused(name: str) -> None:
    with pytest.raises(ArtifactNameError):
        check_name(name)


@pytest.mark.parametrize("part", ["a" * 241, "é" * 41])
def test_a_part_that_fits_no_file_name_is_refused_with_the_reason(part: str) -> None:
    for name in (part, f"{part}/x", f"x/{part}"):
        with pytest.raises(ArtifactNameError, match="bytes in a file name; the limit is 240"):
            check_name(name)


def test_what_tells_the_case_of_letters_counts_too() -> None:
    with pytest.raises(ArtifactNameError, match="takes 247 bytes"):
        check_name("A" * 196)


def test_a_name_that_fits_no_key_with_its_prefix_is_refused_with_the_reason() -> None:
    name = "/".join(["abcdefghi"] * 50)
    assert ArtifactKeys.of(name, "prod", "table", "csv").path == f"prod/{name}"
    with pytest.raises(ArtifactNameError, match="with the store's prefix; the limit is 850"):
        ArtifactKeys.of(name, "/".join(["prefix"] * 60), "table", "csv")


def test_the_longest_names_fit_disks_and_buckets() -> None:
    """A file name may have 255 bytes, a key of S3 and GCS 1,024."""
    keys = ArtifactKeys("", "a" * MAX_PATH_BYTES, "table", "parquet")
    place = Place(10**9 - 1, 10**9 - 2, datetime(2026, 3, 31, tzinfo=UTC))
    entry = f"{place.new_name()}-{'0' * 16}-compacted"
    assert len(f"{keys.manifests('0' * 64)}/{entry}") <= 1024
    assert MAX_PART_BYTES + len(".parquet") <= 255


def test_a_study_key_of_full_length_fits() -> None:
    assert check_name("subjects/" + "aB-" * 33 + "c")


@pytest.mark.parametrize("prefix", ["/a/b/", "R&D/Prod 2", "v1.2"])
def test_a_prefix_is_taken_as_it_is(prefix: str) -> None:
    assert check_prefix(prefix) == prefix.strip("/")
    assert check_prefix("") == check_prefix("/") == ""


@pytest.mark.parametrize(
    "prefix",
    [
        "../a",
        ".a",
        "_a",
        "a.",
        "a ",
        "a\\b",
        "C:",
        "a?",
        "nul",
        "x.parquet/a",
        "e\u0301",
        "é" * 130,
    ],
)
def test_a_prefix_that_not_every_disk_takes_is_refused(prefix: str) -> None:
    with pytest.raises(ArtifactNameError, match="can't be a prefix"):
        check_prefix(prefix)
