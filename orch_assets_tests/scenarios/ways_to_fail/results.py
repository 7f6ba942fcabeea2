"""Results that can't be stored, and errors of this package over what a pipeline gives it."""

from orch_assets import LocalPipelineStore, MultiStudyOrchestrator, SplitTable, split_withheld
from orch_assets.orchestration.selection import StudyFilter
from orch_assets.study import check_study_key, study_context
from orch_assets_tests.scenarios.ways_to_fail.ways import way


@way("UnstorableTableError: ", reported=False)
def mixed_column(text):
    import pandas as pd

    return pd.DataFrame({"result": [1, text]})


@way("UnstorableTableError: ")
def column_of_that_name(text):
    import pandas as pd

    return pd.DataFrame({text: [1, "x"]})


@way("UnstorableTableError: ")
def columns_of_one_name(text):
    import pandas as pd

    return pd.DataFrame([[1, 2]], columns=[text, text])


@way("UnstorableTableError: ", reported=False)
def column_of_objects(text):
    import pandas as pd

    class Subject:
        def __repr__(self):
            return text

    return pd.DataFrame({"subject": [Subject()]})


@way("UnstorableTableError: ")
def table_of_a_set(text):
    import pandas as pd

    return {text: pd.DataFrame({"a": [1, "x"]})}


@way("", reported=False)
def withheld_part(text):
    import pandas as pd

    return SplitTable(pd.DataFrame({"a": [1]}), pd.DataFrame({"arm": [1, text]}))


@way("UnstorableValueError: ", reported=False)
def object_beside_it(text):
    return {"subject": text, "other": object()}


@way("UnstorableValueError: ")
def object_by_its_name(text):
    return {text: object()}


@way("UnstorableValueError: ")
def object_of_that_type(text):
    return type(text, (), {"__repr__": lambda _: text})()


@way("UnstorableValueError: ", reported=False)
def key_that_is_no_text(text):
    return {(text,): 1}


@way("UnstorableValueError: ", reported=False)
def half_a_character(text):
    return [f"{text}\ud800"]


@way("ValueError (at ")
def stream_that_breaks(text):
    import pyarrow as pa

    def batches():
        yield pa.record_batch({"a": [1]})
        raise ValueError(text)

    return pa.RecordBatchReader.from_batches(pa.schema({"a": pa.int64()}), batches())


@way("ValueError (at ")
def result_that_can_not_be_looked_at(text):
    class Closed:
        @property
        def schema(self):
            raise ValueError(text)

    return Closed()


@way("ValueError (at ")
def mapping_that_breaks(text):
    class Broken(dict):
        def items(self):
            raise ValueError(text)

    return Broken(a="b")


# --- what is given to this package ---


@way("StudyKeyError: ")
def study_key(text):
    check_study_key(f"{text}/1")


@way("StudyKeyError: ")
def study_of_a_context(text):
    with study_context(f"{text},1"):
        pass


@way("ArtifactNotFoundError: ")
def artifact(text):
    LocalPipelineStore("/nowhere").download(f"subjects/{text}")


@way("ArtifactNameError: ")
def name_of_an_artifact(text):
    LocalPipelineStore("/nowhere").download(f"subjects/{text}/..")


@way("OrchestratorArgumentError: ", reported=False)
def whitelist(text):
    StudyFilter(whitelist=text)


@way("OrchestratorArgumentError: ", reported=False)
def workers(text):
    MultiStudyOrchestrator(None, max_workers=text)


@way("TypeError (at ", reported=False)
def endpoint(text):
    import pyarrow as pa

    split_withheld("records", pa.table({text: [1]}))
