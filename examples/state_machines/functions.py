"""The Lambda functions of the demo: what would be deployed to AWS."""

import io
from typing import Any
from urllib.parse import urlsplit

Event = dict[str, Any]


def count(event: Event) -> Event:
    """Count the subjects in the table whose URI came in."""
    import boto3
    import pyarrow.parquet as pq

    uri = urlsplit(event["subjects"])
    table = boto3.client("s3").get_object(Bucket=uri.netloc, Key=uri.path.lstrip("/"))
    statuses = pq.read_table(io.BytesIO(table["Body"].read()))["subject_status"].to_pylist()
    return {**event, "counted": len(statuses), "enrolled": statuses.count("Enrolled")}


def rate(event: Event) -> Event:
    """Add the share of subjects that are enrolled."""
    return {**event, "percent": round(100 * event["enrolled"] / max(1, event["counted"]), 1)}


def report(event: Event) -> Event:
    """Return numbers alone: they become the result's data."""
    return {name: event[name] for name in ("counted", "enrolled", "percent")}
