"""Opening a store by its settings, which correspond to the parameters of the store classes.

The name of a setting is the part of a variable after ``ORCH_STORE_`` or
``ORCH_RESTRICTED_STORE_``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import SettingError
from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.opening import open_store, scheme_of

if TYPE_CHECKING:
    from orch_assets.stores.store import PipelineStore

# The settings of buckets, and their parameters, by the scheme of the address.
BUCKET_SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "KMS_KEY": {"s3": "kms_key", "gs": "kms_key_name"},
    "TAGS": {"s3": "tags", "gs": "tags"},
    "ENDPOINT": {"s3": "endpoint", "gs": "endpoint"},
    "REGION": {"s3": "region"},
    "PROFILE": {"s3": "profile"},
    "ROLE_ARN": {"s3": "role_arn"},
    "CREDENTIALS_PATH": {"gs": "credentials_path"},
    "PROJECT": {"gs": "project"},
    "IMPERSONATE": {"gs": "impersonate"},
}
# The settings of every store.
STORE_SETTINGS: Final[Mapping[str, str]] = {
    "FORMAT": "format",
    "ESCAPE_FORMULAS": "escape_formulas",
}
ENCRYPTION: Final = "ENCRYPTION"

_LOCATIONS: Final = {"s3": "is in S3", "gs": "is in Google Cloud Storage", None: "is a folder"}
_SWITCHES: Final = {"true": True, "false": False}


@dataclass(frozen=True)
class StoreSettings:
    """Reads the settings of a store from environment variables.

    A setting without a variable for the restricted store is taken from the open store. This holds
    for every setting while the restricted store lies below the open one, and otherwise only for
    those that don't depend on the location.

    Attributes:
        text: Returns the value of a variable; None if it is unset.
        restricted: Whether this is the restricted store.
        has_own_address: Whether the restricted store has an address of its own.
    """

    text: Callable[[str], str | None]
    restricted: bool = False
    has_own_address: bool = False

    def variables(self, setting: str) -> list[str]:
        """Return the variables that may hold a setting; the first one that is set takes effect."""
        variables = [f"ORCH_RESTRICTED_STORE_{setting}"] if self.restricted else []
        if not (self.restricted and self.has_own_address and setting in BUCKET_SETTINGS):
            variables.append(f"ORCH_STORE_{setting}")
        return variables

    def find(self, setting: str) -> tuple[str, str] | None:
        """Return the variable that holds a setting, and its value; None if none is set."""
        values = ((variable, self.text(variable)) for variable in self.variables(setting))
        return next(((variable, text) for variable, text in values if text is not None), None)


def configured_store(
    address: str,
    settings: StoreSettings,
    *,
    format: str | None = None,  # noqa: A002, as open_store names it
    escape_formulas: bool | None = None,
) -> "PipelineStore":
    """Return the store at an address, opened with its settings.

    Args:
        address: See :func:`~orch_assets.stores.opening.open_store`.
        settings: Reads the environment.
        format: Overrides the setting ``FORMAT``; None does not.
        escape_formulas: Overrides the setting ``ESCAPE_FORMULAS``; None does not.

    Raises:
        SettingError: A setting can't be read, or isn't valid for this kind of store; or encryption
            is required and there is no key.
        StoreAddressError: No store can be at this address.
    """
    scheme = scheme_of(address)
    options = _bucket_options(scheme, settings)
    _check_encryption(scheme, settings)
    return open_store(
        address,
        format=_format(format, settings),
        escape_formulas=_switch(escape_formulas, settings),
        private=settings.restricted,
        **options,
    )


def store_at(address: str, text: Callable[[str], str | None]) -> "PipelineStore":
    """Return the store at an address that a person typed.

    A store in the bucket of ``ORCH_STORE`` or ``ORCH_RESTRICTED_STORE`` is opened with the
    settings of that store. If both are in one bucket, addresses inside the restricted store use
    its settings. Any other bucket is opened with the defaults of boto3 or Google's library.

    Args:
        address: See :func:`~orch_assets.stores.opening.open_store`.
        text: Returns the value of an environment variable; None if it is unset.

    Raises:
        SettingError: A setting of the configured store can't be read, or isn't valid for it.
        StoreAddressError: No store can be at this address.
    """
    settings = _settings_at(address, text) if scheme_of(address) else None
    return configured_store(address, settings) if settings else open_store(address)


def restricted_below(address: str) -> str:
    """Return the default address of the restricted store: a folder in the open store."""
    return f"{address.rstrip('/')}/restricted"


def _settings_at(address: str, text: Callable[[str], str | None]) -> StoreSettings | None:
    open_address, own_address = text("ORCH_STORE") or "", text("ORCH_RESTRICTED_STORE")
    restricted = StoreSettings(text, restricted=True, has_own_address=own_address is not None)
    parts = _parts(address)
    restricted_parts = _parts(own_address or restricted_below(open_address))
    if parts[: len(restricted_parts)] == restricted_parts:
        return restricted
    buckets = {
        tuple(restricted_parts[:2]): restricted,
        tuple(_parts(open_address)[:2]): StoreSettings(text),
    }
    return buckets.get(tuple(parts[:2]))


def _parts(address: str) -> list[str]:
    """Return the scheme of an address, its bucket, and the folders of its prefix."""
    scheme, _, path = address.strip().partition("://")
    return [scheme.lower(), *filter(None, path.split("/"))]


def _bucket_options(scheme: str | None, settings: StoreSettings) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for setting, parameters in BUCKET_SETTINGS.items():
        value = settings.find(setting)
        if value is None:
            continue
        variable, text = value
        parameter = parameters.get(scheme or "")
        if parameter is None:
            supported = " or ".join(f"{each}://…" for each in parameters)
            raise SettingError(
                variable, f"is for a store at {supported}; this one {_LOCATIONS[scheme]}. Unset it."
            )
        options[parameter] = _tags(variable, text) if setting == "TAGS" else text
    return options


def _tags(variable: str, text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for pair in text.split(","):
        name, separator, value = (part.strip() for part in pair.partition("="))
        if not separator or not name or name in tags:
            raise SettingError(
                variable, "can't be read; give name=value,name=value, with each name once."
            )
        tags[name] = value
    return tags


def _check_encryption(scheme: str | None, settings: StoreSettings) -> None:
    value = settings.find(ENCRYPTION)
    if value is None:
        return
    variable, text = value
    if text not in {"required", "required-in-buckets"}:
        raise SettingError(variable, f"is {text!r}; give required or required-in-buckets.")
    if scheme is None and text == "required":
        raise SettingError(
            variable,
            "is required, but the store is a folder, which is not encrypted. Use a bucket with a "
            f"key; or set {variable}=required-in-buckets if the folder's disk is encrypted.",
        )
    if scheme is not None and settings.find("KMS_KEY") is None:
        raise SettingError(
            settings.variables("KMS_KEY")[-1],
            f"is missing, and {variable} is {text}: nothing is stored without a key.",
        )


def _format(chosen: str | None, settings: StoreSettings) -> StorageFormat:
    variable, text = (
        (settings.variables("FORMAT")[0], chosen)
        if chosen
        else settings.find("FORMAT") or ("", "parquet")
    )
    try:
        return StorageFormat(text.lower())
    except ValueError:
        raise SettingError(variable, f"is {text!r}; give parquet or csv.") from None


def _switch(chosen: bool | None, settings: StoreSettings) -> bool:
    value = settings.find("ESCAPE_FORMULAS")
    if chosen is not None or value is None:
        return bool(chosen)
    variable, text = value
    if text.lower() not in _SWITCHES:
        raise SettingError(variable, f"is {text!r}; give true or false.")
    return _SWITCHES[text.lower()]
