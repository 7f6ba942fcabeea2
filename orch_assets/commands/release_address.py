"""Where a project gets orch-assets from: a wheel, a folder, or an address that pip can install."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import click

_DISTRIBUTION: Final = "orch-assets"
_EXTRAS: Final = "orch-assets[charts,dagster]"
# Without "http" and "git": what they deliver could be replaced on its way.
_SCHEMES: Final = re.compile(r"https|((git|hg)\+(https|ssh|file))")
_UNQUOTED: Final = re.compile(r'[^\s"\\]+')


@dataclass(frozen=True)
class ReleaseAddress:
    """Where a project gets orch-assets from.

    Attributes:
        url: The address in the project's requirement.
        wheel: The wheel to copy into the project; None if the address is elsewhere.
    """

    url: str
    wheel: Path | None = None

    @property
    def requirement(self) -> str:
        """The requirement in the project's ``pyproject.toml``."""
        return f"{_EXTRAS} @ {self.url}"

    def __str__(self) -> str:
        return self.url if self.wheel is None else f"wheels/{self.wheel.name}"


def address_of(text: str) -> ReleaseAddress:
    """Read an address.

    Raises:
        click.UsageError: It is neither a wheel or folder of orch-assets nor an address.
    """
    try:
        parts = urlsplit(text)
    except ValueError:  # such as an unclosed bracket
        raise _no_address(text) from None
    is_url = bool(parts.scheme and parts.netloc)
    has_login = parts.password is not None or (parts.username and not parts.scheme.endswith("ssh"))
    if is_url and (has_login or parts.query):
        raise click.UsageError(
            "The address in --from contains a user name, a password or a query (?…), which would "
            "be stored in pyproject.toml. Remove it, and let git or pip read it from its own "
            "configuration."
        )
    path = Path(unquote(parts.path) if parts.scheme == "file" else text).expanduser()
    if path.is_file():
        if not re.fullmatch(r"orch_assets-[^-]+-py3-none-any\.whl", path.name):
            raise click.UsageError(f"{path} isn't a wheel of orch-assets.")
        # The build backend resolves {root:uri}, so the project may be moved.
        return ReleaseAddress(f"{{root:uri}}/wheels/{path.name}", path)
    if (path / "orch_assets").is_dir() and (path / "pyproject.toml").is_file():
        return ReleaseAddress(path.absolute().as_uri())
    if not _SCHEMES.fullmatch(parts.scheme) or not _UNQUOTED.fullmatch(text):
        raise _no_address(text)
    return ReleaseAddress(text)


def _no_address(text: str) -> click.UsageError:
    return click.UsageError(
        f"{text} is neither a wheel or folder of orch-assets nor an address such as "
        "git+https://HOST/REPOSITORY@TAG. Choose one with --from."
    )


def installed_from() -> str:
    """Return where the running orch-assets was installed from.

    Raises:
        click.UsageError: Its installation doesn't say so.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        recorded = distribution(_DISTRIBUTION).read_text("direct_url.json")
    except PackageNotFoundError:
        recorded = None
    if recorded is None:
        raise click.UsageError("Say with --from where the project gets orch-assets.")
    origin = json.loads(recorded)
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return f"{vcs['vcs']}+{origin['url']}@{vcs['commit_id']}"
    return str(origin["url"])
