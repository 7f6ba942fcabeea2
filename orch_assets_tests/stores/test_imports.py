"""Importing the stores takes hardly any time."""

import subprocess
import sys


def test_neither_pandas_nor_pyarrow_is_imported_with_the_stores() -> None:
    code = (
        "import sys, orch_assets.stores as s; s.LocalPipelineStore('x').exists('x');"
        "s.open_store('s3://b/p'); s.open_store('gs://b/p');"
        "print(sorted({'pandas', 'pyarrow', 'numpy', 'dagster', 'boto3',"
        "'botocore', 'google.cloud', 'google.auth', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
