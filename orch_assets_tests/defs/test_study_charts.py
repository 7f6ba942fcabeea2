"""The charts of a study: drawn, stored and shown once for each change of its counts."""

import base64

import pyarrow as pa

from orch_assets import LocalPipelineStore, study_pipeline
from orch_assets.charts.categories import QUERY_AGES, categories
from orch_assets.pipelines.study_charts import study_charts
from orch_assets.stores import ArtifactKind
from orch_assets_tests.support.harness import (
    definitions,
    everything_logged,
    execute,
    instance,
    materializations,
)

STUDY = "ONC-301"
SITE = "Planted, Jane"


class Study:
    """A study with counts that a test sets; ``run`` makes its charts and returns the event."""

    def __init__(self, folder, real):
        self.queries = 8
        self.real = real
        self.logged = ""
        self.store = LocalPipelineStore(folder / "artifacts")

        @study_pipeline
        def study_summary(study_key, sdk, study_logger):
            rows = [
                {
                    "measure": "open_queries_by_age", "site_name": SITE, "category": name,
                    "count": self.queries, "month": None,
                }
                for name in categories(QUERY_AGES)
            ]  # fmt: skip
            return pa.Table.from_pylist(rows)

        self.defs = definitions(folder, study_summary, study_charts)

    def run(self):
        ended = execute(self.defs, self.real, STUDY)
        assert ended.is_success
        self.logged = everything_logged(self.real, ended)
        return materializations(self.real, "study_charts")[STUDY][-1]


def test_a_new_picture_is_stored_and_its_small_form_shown(tmp_path):
    with instance(STUDY) as real:
        study = Study(tmp_path, real)
        event = study.run()
        picture = study.store.download_document(f"study_charts/{STUDY}", kind=ArtifactKind.PNG)
    assert event["bytes"] == len(picture)
    start = "![preview](data:image/png;base64,"
    assert event["preview"].startswith(start)
    small = base64.b64decode(event["preview"][len(start) : -1])
    assert small.startswith(b"\x89PNG")
    assert len(small) < 12_000 < len(picture)
    assert SITE not in study.logged


def test_a_day_without_a_change_adds_no_picture(tmp_path):
    with instance(STUDY) as real:
        study = Study(tmp_path, real)
        first, second = study.run(), study.run()
        study.queries = 9
        third = study.run()
    assert second["refresh"] == "carried forward"
    assert "preview" not in second
    assert second["sha256"] == first["sha256"] != third["sha256"]
    assert "preview" in third


def test_another_limit_for_small_counts_draws_another_picture(tmp_path, monkeypatch):
    with instance(STUDY) as real:
        study = Study(tmp_path, real)
        first = study.run()
        monkeypatch.setenv("ORCH_MIN_CELL", "10")
        second = study.run()
    assert first["sha256"] != second["sha256"]
    assert "preview" in second
