"""The columns of ``record_changes`` and ``tombstones``."""

from typing import Final

from orch_assets.imednet.descriptions import DescribedColumn

_TEXT: Final = "string"
_NUMBER: Final = "int64"
MOMENT: Final = "timestamp[us, tz=UTC]"
NUMBERS: Final = "list<item: int64>"

RECORD_CHANGES: Final = tuple(
    DescribedColumn(*each)
    for each in (
        ("study_key", _TEXT, "Unique study key."),
        ("record_id", _NUMBER, "ID of the record."),
        ("form_id", _NUMBER, "Form ID of the record."),
        ("form_key", _TEXT, "Form key of the record."),
        ("site_id", _NUMBER, "Site ID of the record."),
        ("subject_id", _NUMBER, "iMednet subject ID of the record."),
        ("subject_key", _TEXT, "Subject display ID of the record."),
        ("interval_id", _NUMBER, "Interval ID (visit definition) of the record."),
        ("visit_id", _NUMBER, "Visit instance ID of the record (if applicable)."),
        (
            "attribute",
            _TEXT,
            (
                "Column of `records` that differs. `record_data` for a variable; `record_id` once "
                "for each record that is added or vanishes."
            ),
        ),
        ("variable", _TEXT, "Key in `record_data`; null for any other attribute."),
        ("old_value", _TEXT, "Earlier value as JSON text; null if there was none."),
        ("new_value", _TEXT, "Later value as JSON text; null if there is none."),
        (
            "kind",
            _TEXT,
            (
                "`added` and `vanished`: the record itself, with all its fields. `deleted` and "
                "`restored`: its mark `deleted`. `changed`: any other field. `unknown`: a version "
                "was removed before it was compared, so changes may be missing here."
            ),
        ),
        ("date_modified", MOMENT, "When the record was last changed, by the later version."),
        (
            "revision_ids",
            NUMBERS,
            "IDs of all record revisions between the two versions; each is listed for one change.",
        ),
        (
            "attribution",
            _TEXT,
            (
                "`single`: there is exactly one revision, and no doubt about it. `ambiguous`: "
                "there are several, or one may belong to a neighbouring change. `none`."
            ),
        ),
        ("user", _TEXT, "User of the only revision; null unless `attribution` is `single`."),
        ("role", _TEXT, "Role of that user; null unless `attribution` is `single`."),
        (
            "reason_for_change",
            _TEXT,
            "Reason of the only revision; null unless `attribution` is `single`.",
        ),
        ("from_version", _TEXT, "SHA-256 of the earlier version of `records` (its open part)."),
        ("to_version", _TEXT, "SHA-256 of the later version of `records` (its open part)."),
        ("published_at", MOMENT, "When the later version was published."),
    )
)

TOMBSTONES: Final = tuple(
    DescribedColumn(*each)
    for each in (
        ("endpoint", _TEXT, "Table from which the row vanished, such as `queries`."),
        ("row_id", _NUMBER, "ID of the row in that table."),
        (
            "event",
            _TEXT,
            (
                "`vanished`, or `returned` for a row that had vanished. `unknown`: a version was "
                "removed before it was compared, so rows may be missing here."
            ),
        ),
        (
            "last_version",
            _TEXT,
            (
                "SHA-256 of the last version that held the row; of the last one that lacked it if "
                "it returned."
            ),
        ),
        ("version", _TEXT, "SHA-256 of the version in which this was noticed."),
        ("noticed_at", MOMENT, "When that version was published."),
    )
)
