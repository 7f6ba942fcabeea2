"""Reads from the environment which HTTP proxy leads to the API.

No message repeats a proxy's address, which may contain a password.
"""

import base64
import os
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from orch_assets.errors import SettingError
from orch_assets.http_rules import is_ip_address, is_loopback


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        scheme: ``http``, or ``https`` for a proxy that is itself reached by TLS.
        host: Name or address.
        port: Port.
        credentials: User name and password; None if the proxy needs none.
    """

    scheme: str
    host: str
    port: int
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The proxy's URL, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request for a tunnel."""
        if self.credentials is None:
            return {}
        token = base64.b64encode(":".join(self.credentials).encode()).decode("ascii")
        return {"Proxy-Authorization": f"Basic {token}"}


def proxy_for(base_url: str) -> Proxy | None:
    """Return the proxy for a base URL; None for a direct connection.

    Connections to loopback are always direct: plain http is allowed there, and through a proxy the
    keys would leave this computer unencrypted.

    Raises:
        SettingError: The environment names a proxy that isn't supported.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if is_loopback(host):
        return None
    proxies = getproxies()
    scheme = parts.scheme if parts.scheme in proxies else "all"
    if scheme not in proxies or proxy_bypass(host):
        return None
    return _read(_variable(f"{scheme}_proxy"), proxies[scheme])


def _variable(name: str) -> str:
    """Return the variable in effect: if both cases are set, the one in lower case."""
    return name if os.environ.get(name) else name.upper()


def _read(variable: str, text: str) -> Proxy:
    parts = _split(text.strip())
    if parts is not None and parts.scheme.startswith("socks"):
        raise SettingError(
            variable, "names a SOCKS proxy, which is not supported; name an HTTP one."
        )
    proxy = None if parts is None else _proxy(parts)
    if proxy is None:
        raise SettingError(
            variable,
            "is not the address of a proxy, such as http://host:3128. Special characters in its "
            "user name or password must be percent-encoded.",
        )
    return proxy


def _split(text: str) -> SplitResult | None:
    try:
        return urlsplit(text if "://" in text else f"http://{text}")
    except ValueError:
        return None


def _proxy(parts: SplitResult) -> Proxy | None:
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    # An unescaped "/", "?" or "#" in a password ends the host too early.
    extra = parts.path.strip("/") or parts.query or parts.fragment
    is_host = re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?", host) or is_ip_address(host)
    if parts.scheme not in {"http", "https"} or extra or not is_host or port == 0:
        return None
    default = 443 if parts.scheme == "https" else 80
    return Proxy(parts.scheme, host, port or default, _credentials(parts))


def _credentials(parts: SplitResult) -> tuple[str, str] | None:
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")
