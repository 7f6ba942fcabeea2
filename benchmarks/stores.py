"""The stores, compared with pyarrow and boto3: a frame of 1 M × 20, 10 M rows, 100,000 objects.

All use moto's server. Each measurement has a separate process, and they run one after the other.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.measuring import begin_peak, median, peak_mb, report_of, verdict
from orch_assets_tests.support.cloud_servers import s3_client, s3_server

ROWS = 1_000_000
STREAMED = 10_000_000
OBJECTS = 100_000
REPETITIONS = 5
BUCKET = "clinical"
MODULE = "benchmarks.stores"


def main() -> bool:
    """Print the figures; return whether all are within their bounds."""
    with s3_server() as settings:
        os.environ.update(settings)
        s3_client(settings).create_bucket(Bucket=BUCKET)
        verdicts = [*_frame(), *_stream()]
    return all([*verdicts, _listing()])


def _frame() -> Iterator[bool]:
    print(f"A frame of {ROWS:,} rows × 20 columns")
    kinds = ("bare_upload", "upload", "bare_download", "download")
    runs = [{kind: report_of(MODULE, kind) for kind in kinds} for _ in range(REPETITIONS)]
    figures = {
        kind: {name: median([run[kind][name] for run in runs]) for name in ("seconds", "mb")}
        for kind in kinds
    }
    for kind in kinds:
        print(f"  {kind}: {figures[kind]['seconds']:.2f} s, +{figures[kind]['mb']:.0f} MB")
    # The lowest time of each: other processes on the machine only add to it, by up to a third.
    lowest = {kind: min(run[kind]["seconds"] for run in runs) for kind in kinds}
    up = lowest["upload"] / lowest["bare_upload"]
    down = lowest["download"] / lowest["bare_download"]
    memory = figures["download"]["mb"] / figures["bare_download"]["mb"]
    yield verdict("upload / encode, PUT and copy", up, 1.15)
    yield verdict("memory of upload", figures["upload"]["mb"], 130, unit=" MB")
    yield verdict("download / pyarrow's S3", down, 1.1)
    yield verdict("memory of download / pyarrow's S3", memory, 1.15)


def _stream() -> Iterator[bool]:
    print(f"A stream of {STREAMED:,} rows × 10 columns, whole processes")
    for kind in ("stream_up", "stream_down"):
        figures = report_of(MODULE, kind)
        yield verdict(f"{kind} in {figures['seconds']:.0f} s", figures["whole_mb"], 400, unit=" MB")


def _listing() -> bool:
    print(f"A listing of {OBJECTS:,} objects")
    figures = report_of(MODULE, "listing")
    print(f"  bare {figures['bare']:.2f} s, list_artifacts {figures['ours']:.2f} s")
    return verdict("list_artifacts / bare listing", figures["ours"] / figures["bare"], 1.1)


# --- in separate processes ---


def _measured(work: Callable[[], Any]) -> dict[str, float]:
    gc.collect()
    before, started = begin_peak(), time.perf_counter()
    result = work()
    figures = {"seconds": time.perf_counter() - started, "mb": peak_mb() - before}
    del result
    return {**figures, "whole_mb": peak_mb()}


def _a_frame(rows: int = ROWS) -> Any:
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(1)
    columns: dict[str, Any] = {f"value_{n}": random.normal(70, 12, rows) for n in range(8)}
    columns |= {f"count_{n}": random.integers(0, 5000, rows) for n in range(5)}
    columns |= {
        f"seen_{n}": pd.Timestamp("2024-01-01")
        + pd.to_timedelta(random.integers(0, 10**7, rows), unit="s")
        for n in range(3)
    }
    subjects = np.array([f"ONC-301-{n:05}" for n in range(3000)], dtype=object)
    columns |= {f"text_{n}": subjects[random.integers(0, 3000, rows)] for n in range(4)}
    return pd.DataFrame(columns)


def _store() -> Any:
    from orch_assets.stores import S3PipelineStore

    store = S3PipelineStore(BUCKET)
    store.upload(_a_frame(10), "warm")
    store.download("warm")
    return store


def _bare_client() -> Any:
    import pyarrow as pa
    import pyarrow.parquet

    client = s3_client(os.environ)
    client.put_object(Bucket=BUCKET, Key="warm", Body=b"")
    pyarrow.parquet.write_table(pa.Table.from_pandas(_a_frame(10)), os.devnull)
    return client


def bare_upload() -> dict[str, float]:
    import tempfile

    import pyarrow as pa
    import pyarrow.parquet

    client, frame = _bare_client(), _a_frame()

    def work() -> None:
        with tempfile.NamedTemporaryFile() as file:
            pyarrow.parquet.write_table(
                pa.Table.from_pandas(frame),
                file.name,
                compression="zstd",
                compression_level=1,
                row_group_size=400_000,
            )
            client.upload_file(file.name, BUCKET, "bare")
        client.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "bare"})

    return _measured(work)


def upload() -> dict[str, float]:
    store, frame = _store(), _a_frame()
    store.delete("frame", history=True)
    return _measured(lambda: store.upload(frame, "frame"))


def bare_download() -> dict[str, float]:
    import pyarrow.fs
    import pyarrow.parquet

    cloud = pyarrow.fs.S3FileSystem(endpoint_override=os.environ["AWS_ENDPOINT_URL"])

    def read(name: str) -> Any:
        return pyarrow.parquet.read_table(f"{BUCKET}/{name}.parquet", filesystem=cloud).to_pandas()

    read("warm")
    return _measured(lambda: read("frame"))


def download() -> dict[str, float]:
    store = _store()
    return _measured(lambda: store.download("frame"))


def _batches(schema: Any) -> Iterator[Any]:
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(1)
    for _ in range(STREAMED // 50_000):
        yield pa.record_batch([random.random(50_000) for _ in schema.names], schema=schema)


def stream_up() -> dict[str, float]:
    import pyarrow as pa

    store = _store()
    schema = pa.schema([(f"value_{n}", pa.float64()) for n in range(10)])
    return _measured(lambda: store.upload_stream(_batches(schema), schema, "stream"))


def stream_down() -> dict[str, float]:
    store = _store()

    def read() -> None:
        if sum(batch.num_rows for batch in store.open_reader("stream")) != STREAMED:
            raise SystemExit("rows are missing")

    return _measured(read)


def listing() -> dict[str, float]:
    """Put the objects into moto's server directly: 100,000 requests would take minutes."""
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    from orch_assets.stores import S3PipelineStore

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    _, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    client = s3_client(os.environ)
    client.create_bucket(Bucket=BUCKET)
    backend = s3_backends["123456789012"]["aws"]
    for number in range(OBJECTS):
        backend.put_object(BUCKET, f"prod/folder-{number % 10}/{number:06}.parquet", b"")
    store = S3PipelineStore(BUCKET, "prod")
    store.exists("warm")
    bare, ours = [], []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="prod/")
        keys = [each["Key"] for page in pages for each in page["Contents"]]
        bare.append(time.perf_counter() - started)
        started = time.perf_counter()
        names = store.list_artifacts()
        ours.append(time.perf_counter() - started)
    if len(keys) != len(names) or len(names) != OBJECTS:
        raise SystemExit("objects are missing")
    server.stop()
    return {"bare": median(bare), "ours": median(ours)}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))
