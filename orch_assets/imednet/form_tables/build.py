"""Builds a study's form tables from its records."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import WithheldValueError
from orch_assets.imednet.blinding.rules import BlindingRules
from orch_assets.imednet.form_tables.column_names import Names
from orch_assets.imednet.form_tables.form_columns import KEY_COLUMNS, form_columns
from orch_assets.imednet.form_tables.form_table import FormStream, FormTable
from orch_assets.imednet.form_tables.spill_buffer import SpillBuffer
from orch_assets.imednet.form_tables.study_forms import StudyForm, StudyForms

if TYPE_CHECKING:
    import pyarrow as pa

_RECORD_COLUMNS: Final = (*KEY_COLUMNS, "form_id", "form_key", "record_data")
# Records are decoded in chunks of this size: as Python objects they are four times as large.
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
    """Return a table for each form of a study, by table name. The package describes its columns.

    Args:
        records: The study's table ``records`` or a stream of it: its open part or its withheld
            part, as `blinding.split.splitter` returns them.
        variables: The study's table ``variables``.
        forms: The study's table ``forms``.
        withheld: Whether ``records`` is the withheld part. Then the columns are the variables that
            are not open, and the tables are those of forms with such variables or with records.
        only_open: Refuse records with a value that the dictionary withholds, because they were
            split by an older dictionary.
        memory_bytes: How many bytes of finished rows stay in memory; None for all. If there are
            more, the others are written to a temporary file, and streams are returned instead of
            tables: each has a ``schema`` and ``num_rows``, can be iterated repeatedly, and
            returns all rows by its method ``table()``.

    Returns:
        The forms of ``forms`` by ID, then those that only variables or records refer to. A form
        without records has a table without rows.

    Raises:
        WithheldValueError: ``only_open`` is set, and the records hold a withheld value.
        msgspec.DecodeError: A ``record_data`` is not a JSON object.
    """
    study, rules = StudyForms(forms, variables), BlindingRules(variables)
    keys = [records.schema.field(name) for name in KEY_COLUMNS if name in records.schema.names]
    tables: dict[StudyForm, FormTable] = {}

    def table_of(form: StudyForm) -> FormTable:
        if form not in tables:
            tables[form] = FormTable(form, keys, form_columns(form, rules, withheld=withheld))
        return tables[form]

    buffer = SpillBuffer(memory_bytes)
    size = min(_CHUNK_BYTES, memory_bytes or _CHUNK_BYTES)
    for chunk in _chunks(records, size, withheld=withheld):
        for id_and_key, rows in _by_form(chunk):
            unknown_keys = table_of(study.find(*id_and_key)).add(rows, buffer)
            if only_open and not all(rules.shows_key(key, *id_and_key) for key in unknown_keys):
                raise WithheldValueError
    streams = {
        name: table_of(form).finish()
        for name, form in _by_table_name(study).items()
        if not withheld or table_of(form).has_content
    }
    if buffer.overflowed:
        return streams
    return {name: stream.table() for name, stream in streams.items()}


def _by_table_name(study: StudyForms) -> dict[str, StudyForm]:
    names = Names()
    return {names.give(_form_name(form)): form for form in study}


def _form_name(form: StudyForm) -> str:
    return form.form_key or ("no_form" if form.form_id is None else f"form_{form.form_id}")


def _chunks(records: Any, size: int, *, withheld: bool) -> "Iterator[pa.Table]":
    """Yield the records in tables of about ``size`` bytes: small batches joined, large ones cut."""
    import pyarrow as pa

    columns = [name for name in _RECORD_COLUMNS if name in records.schema.names]
    pending: list[pa.RecordBatch] = []
    free = size
    for batch in records.to_batches() if isinstance(records, pa.Table) else records:
        selected = batch.select(columns)
        if withheld:  # rows without data are there for unknown fields, which belong to no form
            selected = selected.filter(selected["record_data"].is_valid())
        rows = max(1, selected.num_rows * size // max(1, selected.nbytes))
        for start in range(0, selected.num_rows, rows):
            pending.append(selected.slice(start, rows))
            free -= pending[-1].nbytes
            if free <= 0:
                yield pa.Table.from_batches(pending)
                pending, free = [], size
    if pending:
        yield pa.Table.from_batches(pending)


def _by_form(
    records: "pa.Table",
) -> "Iterator[tuple[tuple[int | None, str | None], pa.Table]]":
    """Yield the ID and key of each form that the records refer to, and its records."""
    import pyarrow as pa

    rows: dict[tuple[int | None, str | None], list[int]] = {}
    form_ids, form_keys = records["form_id"].to_pylist(), records["form_key"].to_pylist()
    for number, form in enumerate(zip(form_ids, form_keys, strict=True)):
        rows.setdefault(form, []).append(number)
    records = records.combine_chunks()
    for form, numbers in rows.items():
        yield form, records.take(pa.array(numbers))
