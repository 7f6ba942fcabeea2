"""The CPU of building and storing form tables again, as a share of building all of them.

A study of the simulator with about 20,000 records, in stores on a disk. Between two results,
nothing changes, the records of one form change, or 1 % of all records, spread over all forms. What
is measured is a pipeline's work from its stored inputs to its stored result, in a separate process
each. Where nothing changed, a run of Dagster does even less: the pipeline isn't called.
"""

import importlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measuring import median, report_of

MODULE = "benchmarks.form_table_changes"
STUDY = "ONC-301"
SUBJECTS = 580
REPETITIONS = 3
_NAMES = ("records", "variables", "forms")
_MEMORY_BYTES = 64 << 20


def main() -> bool:
    """Print the ratios; there is no bound."""
    with tempfile.TemporaryDirectory() as folder:
        rows = _prepare(Path(folder))
        print(f"form_tables of {rows:,} records, CPU seconds")
        for change in ("nothing", "one_form", "one_percent"):
            pairs = [
                [report_of(MODULE, kind, folder, change) for kind in ("whole", "again")]
                for _ in range(REPETITIONS)
            ]
            whole, again = (median([pair[side]["cpu"] for pair in pairs]) for side in (0, 1))
            built = pairs[0][1]["built"]
            print(
                f"  {change.replace('_', ' ')} changed: {again:.2f} of {whole:.2f} "
                f"({again / whole:.2f}), {built:.0f} tables built"
            )
    return True


def _stores(folder: Path) -> Any:
    from orch_assets import LocalPipelineStore

    return [LocalPipelineStore(folder / name) for name in ("open", "restricted")]


def _prepare(folder: Path) -> int:
    """Store the tables of a study, form tables included, and changed records; return the rows."""
    from orch_assets import ImednetSDK, split_withheld
    from orch_assets.demo import DemoRegistry, DemoServer

    registry = DemoRegistry(studies=1, subjects=SUBJECTS)
    with (
        DemoServer(registry) as server,
        ImednetSDK(server.api_key, server.security_key, server.base_url) as sdk,
    ):
        tables = {name: getattr(sdk, name).table(STUDY) for name in _NAMES}
        split = partial(
            split_withheld, "records", variables=tables["variables"], sdk=sdk, study_key=STUDY
        )
        parts = split(tables["records"])
        changed = {
            change: split(_changed(tables["records"], chosen))
            for change, chosen in _choices(tables["records"])
        }
    stores = _stores(folder)
    for name in ("variables", "forms"):
        stores[0].publish(tables[name], name)
    for each, store in zip((parts.table, parts.withheld), stores, strict=True):
        store.publish(each, "records")
    for change, records in {"nothing": parts, **changed}.items():
        for each, store in zip((records.table, records.withheld), stores, strict=True):
            store.publish(each, f"records_{change}")
    _build(folder, "nothing", None)
    return int(tables["records"].num_rows)


def _choices(records: Any) -> Iterator[tuple[str, list[int]]]:
    """Yield the rows to change: one of ten of one form, and 1 % of all."""
    keys = records["form_key"].to_pylist()
    of_form = [row for row, key in enumerate(keys) if key == "AE"]
    yield "one_form", of_form[::10]
    yield "one_percent", sorted(random.Random(1).sample(range(len(keys)), len(keys) // 100))


def _changed(records: Any, rows: list[int]) -> Any:
    """Return the records with another answer in some rows."""
    import pyarrow as pa

    texts = records["record_data"].to_pylist()
    for row in rows:
        data = json.loads(texts[row])
        texts[row] = json.dumps({**data, [*data][-1]: "changed"}, separators=(",", ":"))
    position = records.column_names.index("record_data")
    column = pa.array(texts, records.schema.field("record_data").type)
    return records.set_column(position, records.schema.field(position), column)


def _previous(folder: Path) -> Any:
    from orch_assets.refreshing import PreviousResult

    stores = _stores(folder)
    inputs = {name: PreviousResult(*(s.previous(name) for s in stores)) for name in _NAMES}
    members = [store.previous_members("form_tables") for store in stores]
    return PreviousResult(*members, upstreams=inputs.get)


def _build(folder: Path, change: str, previous: Any) -> int:
    """Build and publish form tables from stored tables; return the number of tables built."""
    from orch_assets.imednet.form_tables import EarlierForms, build_form_tables

    stores = _stores(folder)
    variables, forms = (stores[0].download_table(name) for name in ("variables", "forms"))
    built = 0
    for store, withheld in zip(stores, (False, True), strict=True):
        tables = build_form_tables(
            store.open_reader(f"records_{change}"),
            variables,
            forms,
            withheld=withheld,
            memory_bytes=_MEMORY_BYTES,
            earlier=EarlierForms.of(previous, withheld=withheld),
        )
        built += len(tables.built)
        # The next repetition starts from the same version.
        name = "form_tables" if previous is not None or change == "nothing" else "form_tables_whole"
        store.publish_set(tables, name)
        if name == "form_tables" and previous is not None:
            earlier = previous.withheld if withheld else previous.table
            store.restore(name, earlier.version, kind="set")
    return built


def _measure(kind: str, folder: Path, change: str) -> dict[str, float]:
    for library in ("pandas", "pyarrow.parquet"):  # imports are not measured
        importlib.import_module(library)

    previous = _previous(folder) if kind == "again" else None
    start = time.process_time()
    built = _build(folder, change, previous)
    return {"cpu": time.process_time() - start, "built": built}


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))
