"""What the extras of the package bring, and what to install where one is missing."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from orch_assets.errors import MissingExtraError

Extra = Literal["aws", "dagster", "gcp"]

# Of each extra: the package that it is named for, and the modules whose absence means that the
# extra is missing. Any other missing module is somebody's fault, and is told as it is.
_PACKAGES: Final[Mapping[Extra, str]] = {
    "aws": "boto3",
    "dagster": "dagster",
    "gcp": "google-cloud-storage",
}
_MODULES: Final[Mapping[Extra, frozenset[str]]] = {
    "aws": frozenset({"boto3", "botocore", "s3transfer"}),
    "dagster": frozenset({"dagster", "dagster_shared"}),
    "gcp": frozenset({"google"}),
}


@contextlib.contextmanager
def needing(extra: Extra) -> Iterator[None]:
    """Say which extra to install, where the block imports a module that it would bring.

    Raises:
        MissingExtraError: such a module is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _MODULES[extra]:
            raise
        raise MissingExtraError(_PACKAGES[extra], extra) from None
