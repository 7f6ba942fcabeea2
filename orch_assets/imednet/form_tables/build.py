"""From a study's records to its form tables."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import WithheldValueError
from orch_assets.imednet.blinding.rules import BlindingRules
from orch_assets.imednet.form_tables.column_names import Names
from orch_assets.imednet.form_tables.form_columns import KEY_COLUMNS, columns_of
from orch_assets.imednet.form_tables.form_table import FormStream, FormTable
from orch_assets.imednet.form_tables.spill_buffer import SpillBuffer
from orch_assets.imednet.form_tables.study_forms import StudyForm, StudyForms

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS: Final = (*KEY_COLUMNS, "form_id", "form_key", "record_data")
# Records are taken apart by so many bytes: as Python's objects they are four times as large.
_CHUNK_BYTES: Final = 8 << 20


def build_form_tables(
    records: "pa.Table | pa.RecordBatchReader",
    variables: "pa.Table",
    forms: "pa.Table",
    *,
    withheld: bool = False,
    only_open: bool = False,
    memory_bytes: int | None = None,
) -> "dict[str, pa.Table] | dict[str, FormStream]":
    """Return a table for each form of a study, by its name; the package says what is in them.

    Args:
        records: the study's table ``records`` or a stream of it; its open part or its companion,
            as ``withholding.splitter`` leaves them.
        variables: the study's table ``variables``.
        forms: the study's table ``forms``.
        withheld: whether ``records`` is the companion. Then the columns are the variables that are
            not open, and the tables those of forms that have such variables, or records here.
        only_open: refuse records that hold a value which the dictionary withholds: they were split
            by an older one.
        memory_bytes: of finished rows; None for any number. When they are more, the others wait in
            a temporary file, and streams come in place of tables: with a ``schema`` and
            ``num_rows``, iterated as often as one likes, each a ``table()`` when it is asked to be.

    Returns:
        The forms of ``forms`` by their ID, then those that only variables or records name. A form
        without records has a table without rows.

    Raises:
        WithheldValueError: such a value is there, and ``only_open`` was asked for.
        msgspec.DecodeError: ``record_data`` is no JSON object.
    """
    study, known = StudyForms(forms, variables), BlindingRules(variables)
    keys = [records.schema.field(name) for name in KEY_COLUMNS if name in records.schema.names]
    tables: dict[StudyForm, FormTable] = {}

    def table_of(form: StudyForm) -> FormTable:
        if form not in tables:
            tables[form] = FormTable(form, keys, columns_of(form, known, withheld=withheld))
        return tables[form]

    shelf = SpillBuffer(memory_bytes)
    size = min(_CHUNK_BYTES, memory_bytes or _CHUNK_BYTES)
    for chunk in _chunks(records, size, withheld=withheld):
        for named, rows in _by_form(chunk):
            others = table_of(study.find(*named)).add(rows, shelf)
            if only_open and not all(known.shows_key(key, *named) for key in others):
                raise WithheldValueError
    streams = {
        name: table_of(form).finish()
        for name, form in _named(study).items()
        if not withheld or table_of(form).holds_anything
    }
    if shelf.overflowed:
        return streams
    return {name: stream.table() for name, stream in streams.items()}


def _named(study: StudyForms) -> dict[str, StudyForm]:
    names = Names()
    return {names.give(_called(form)): form for form in study}


def _called(form: StudyForm) -> str:
    return form.form_key or ("no_form" if form.form_id is None else f"form_{form.form_id}")


def _chunks(records: Any, size: int, *, withheld: bool) -> "Iterator[pa.Table]":
    """Gather batches to tables of so many bytes, and cut what is larger."""
    import pyarrow as pa

    columns = [name for name in _COLUMNS if name in records.schema.names]
    held: list[pa.RecordBatch] = []
    free = size
    for batch in records.to_batches() if isinstance(records, pa.Table) else records:
        wanted = batch.select(columns)
        if withheld:  # rows without data are there for unknown fields, which are none of a form's
            wanted = wanted.filter(wanted["record_data"].is_valid())
        rows = max(1, wanted.num_rows * size // max(1, wanted.nbytes))
        for start in range(0, wanted.num_rows, rows):
            held.append(wanted.slice(start, rows))
            free -= held[-1].nbytes
            if free <= 0:
                yield pa.Table.from_batches(held)
                held, free = [], size
    if held:
        yield pa.Table.from_batches(held)


def _by_form(
    records: "pa.Table",
) -> "Iterator[tuple[tuple[int | None, str | None], pa.Table]]":
    """Yield each form as records name it, by ID and key, and its records."""
    import pyarrow as pa

    rows: dict[tuple[int | None, str | None], list[int]] = {}
    form_ids, form_keys = records["form_id"].to_pylist(), records["form_key"].to_pylist()
    for number, form in enumerate(zip(form_ids, form_keys, strict=True)):
        rows.setdefault(form, []).append(number)
    records = records.combine_chunks()
    for form, numbers in rows.items():
        yield form, records.take(pa.array(numbers))
