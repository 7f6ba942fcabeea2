"""The package's extras, and the error that says which one to install."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from orch_assets.errors import MissingExtraError

Extra = Literal["aws", "charts", "cluster", "dagster", "exports", "gcp"]

# For each extra, the package that errors name, and the modules whose absence means that the extra
# isn't installed. The error for any other missing module is raised unchanged.
_PACKAGES: Final[Mapping[Extra, str]] = {
    "aws": "boto3",
    "charts": "matplotlib",
    "cluster": "redis",
    "dagster": "dagster",
    "exports": "pyreadstat",
    "gcp": "google-cloud-storage",
}
_MODULES: Final[Mapping[Extra, frozenset[str]]] = {
    "aws": frozenset({"boto3", "botocore", "s3transfer"}),
    "charts": frozenset({"matplotlib", "PIL"}),
    "cluster": frozenset(
        {"celery", "dagster_celery", "dagster_postgres", "kombu", "psycopg2", "redis"}
    ),
    "dagster": frozenset({"dagster", "dagster_shared"}),
    "exports": frozenset({"duckdb", "pyreadstat", "python_calamine", "xlsxwriter"}),
    "gcp": frozenset({"google"}),
}


@contextlib.contextmanager
def needing(extra: Extra) -> Iterator[None]:
    """Raise an error that says which extra to install, if the block can't import its modules.

    Args:
        extra: Name of the extra that the block needs.

    Raises:
        MissingExtraError: A module of the extra is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _MODULES[extra]:
            raise
        raise MissingExtraError(_PACKAGES[extra], extra) from None
