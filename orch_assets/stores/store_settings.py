"""A store by its settings: one for each parameter that the stores have in Python.

The settings' names are what follows ``ORCH_STORE_`` or ``ORCH_RESTRICTED_STORE_``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from orch_assets.errors import SettingError
from orch_assets.stores.artifacts import StorageFormat
from orch_assets.stores.opening import open_store, scheme_of

if TYPE_CHECKING:
    from orch_assets.stores.store import PipelineStore

# The settings of buckets, and the parameters that they are, by the scheme of the address.
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

_PLACES: Final = {"s3": "is in S3", "gs": "is in Google Cloud Storage", None: "is a folder"}
_SWITCHES: Final = {"true": True, "false": False}


@dataclass(frozen=True)
class StoreSettings:
    """The environment variables of a store.

    A variable that the restricted store lacks is the open store's: every one while the restricted
    store lies below the open one, and else those that hold wherever a store is.

    Attributes:
        text: returns a variable's text; None when it is unset.
        restricted: whether it is the restricted store.
        apart: whether that has an address of its own.
    """

    text: Callable[[str], str | None]
    restricted: bool = False
    apart: bool = False

    def variables(self, setting: str) -> list[str]:
        """Return the variables that may give a setting; the first that is set does."""
        variables = [f"ORCH_RESTRICTED_STORE_{setting}"] if self.restricted else []
        if not (self.restricted and self.apart and setting in BUCKET_SETTINGS):
            variables.append(f"ORCH_STORE_{setting}")
        return variables

    def find(self, setting: str) -> tuple[str, str] | None:
        """Return the variable that gives a setting, and its text; None where none does."""
        found = ((variable, self.text(variable)) for variable in self.variables(setting))
        return next(((variable, text) for variable, text in found if text is not None), None)


def configured_store(address: str, settings: StoreSettings, **given: Any) -> "PipelineStore":
    """Return the store at an address, as its settings say.

    Args:
        address: as :func:`~orch_assets.stores.opening.open_store` takes it.
        settings: what the environment says.
        given: ``format`` and ``escape_formulas`` in place of their settings; None is not given.

    Raises:
        SettingError: a setting can't be read, or doesn't fit such a store; or encryption is
            required, and there is no key.
        StoreAddressError: the address names no place that a store can be in.
    """
    scheme = scheme_of(address)
    options = _bucket_options(scheme, settings)
    _check_encryption(scheme, settings)
    return open_store(
        address,
        format=_format(given.get("format"), settings),
        escape_formulas=_switch(given.get("escape_formulas"), settings),
        private=settings.restricted,
        **options,
    )


def store_at(address: str, text: Callable[[str], str | None]) -> "PipelineStore":
    """Return the store at an address that a person typed.

    One in the bucket of ``ORCH_STORE`` or ``ORCH_RESTRICTED_STORE`` is opened by that store's
    settings; of a bucket that both are in, what lies in the restricted store by its own. Any other
    is opened as the vendors' own libraries find it.

    Args:
        address: as :func:`~orch_assets.stores.opening.open_store` takes it.
        text: returns an environment variable's text; None when it is unset.

    Raises:
        SettingError: a setting of the configured store can't be read, or doesn't fit.
        StoreAddressError: the address names no place that a store can be in.
    """
    settings = _settings_at(address, text) if scheme_of(address) else None
    return configured_store(address, settings) if settings else open_store(address)


def restricted_below(address: str) -> str:
    """Return where the restricted store is that has no address of its own: below the open one."""
    return f"{address.rstrip('/')}/restricted"


def _settings_at(address: str, text: Callable[[str], str | None]) -> StoreSettings | None:
    opened, apart = text("ORCH_STORE") or "", text("ORCH_RESTRICTED_STORE")
    restricted = StoreSettings(text, restricted=True, apart=apart is not None)
    place, private = _parts(address), _parts(apart or restricted_below(opened))
    if place[: len(private)] == private:
        return restricted
    buckets = {tuple(private[:2]): restricted, tuple(_parts(opened)[:2]): StoreSettings(text)}
    return buckets.get(tuple(place[:2]))


def _parts(address: str) -> list[str]:
    """Return the scheme of an address, then its bucket, then the folders of its prefix."""
    scheme, _, rest = address.strip().partition("://")
    return [scheme.lower(), *filter(None, rest.split("/"))]


def _bucket_options(scheme: str | None, settings: StoreSettings) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for setting, parameters in BUCKET_SETTINGS.items():
        found = settings.find(setting)
        if found is None:
            continue
        variable, text = found
        parameter = parameters.get(scheme or "")
        if parameter is None:
            fitting = " or ".join(f"{each}://…" for each in parameters)
            raise SettingError(
                variable, f"is for a store at {fitting}; this one {_PLACES[scheme]}. Unset it."
            )
        options[parameter] = _tags(variable, text) if setting == "TAGS" else text
    return options


def _tags(variable: str, text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for pair in text.split(","):
        name, separator, value = (part.strip() for part in pair.partition("="))
        if not separator or not name or name in tags:
            raise SettingError(
                variable, "can't be read; give name=value,name=value, no name twice."
            )
        tags[name] = value
    return tags


def _check_encryption(scheme: str | None, settings: StoreSettings) -> None:
    found = settings.find(ENCRYPTION)
    if found is None:
        return
    variable, text = found
    if text not in {"required", "required-in-buckets"}:
        raise SettingError(variable, f"is {text!r}; give required or required-in-buckets.")
    if scheme is None and text == "required":
        raise SettingError(
            variable,
            "is required, and the store is a folder, which encrypts nothing. Give a bucket and its "
            f"key, or {variable}=required-in-buckets if the folder's disk is encrypted.",
        )
    if scheme is not None and settings.find("KMS_KEY") is None:
        raise SettingError(
            settings.variables("KMS_KEY")[-1],
            f"is missing, and {variable} is {text}: nothing is written without a key.",
        )


def _format(given: str | None, settings: StoreSettings) -> StorageFormat:
    variable, text = (
        (settings.variables("FORMAT")[0], given)
        if given
        else settings.find("FORMAT") or ("", "parquet")
    )
    try:
        return StorageFormat(text.lower())
    except ValueError:
        raise SettingError(variable, f"is {text!r}; give parquet or csv.") from None


def _switch(given: bool | None, settings: StoreSettings) -> bool:
    found = settings.find("ESCAPE_FORMULAS")
    if given is not None or found is None:
        return bool(given)
    variable, text = found
    if text.lower() not in _SWITCHES:
        raise SettingError(variable, f"is {text!r}; give true or false.")
    return _SWITCHES[text.lower()]
