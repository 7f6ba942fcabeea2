"""The shipped nginx and webserver, with their ports and files in a temporary folder."""

import base64
import http.client
import json
import os
import shlex
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orch_assets_tests.support.processes import ROOT, Home, free_port, until

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
NEEDS = "nginx, openssl and curl are needed: install them"
ARE_HERE = all((NGINX, shutil.which("openssl"), shutil.which("curl")))
FOLDER = ROOT / "deploy" / "nginx"
PASSWORD = "a long password"

_MAIN = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  include {folder}/site.conf;
}}
"""


class Proxy:
    """The shipped nginx on a loopback port.

    Attributes:
        port: Where it listens for TLS.
        trusted: What a client checks its certificate with.
    """

    def __init__(self, port: int, certificate: Path) -> None:
        self.port = port
        self.trusted = ssl.create_default_context(cafile=certificate)

    def ask(
        self, path: str, *, method: str = "GET", body: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """Return the status, the headers and the text of an answer."""
        connection = http.client.HTTPSConnection("localhost", self.port, context=self.trusted)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, names)
        answer = connection.getresponse()
        told = answer.status, dict(answer.getheaders()), answer.read().decode()
        connection.close()
        return told

    def query(self, user: str, query: str, headers: dict[str, str], **variables: Any) -> Any:
        """Return the data of the answer to a GraphQL query that a user sends."""
        status, _, text = self.ask(
            "/graphql",
            method="POST",
            body=json.dumps({"query": query, "variables": variables}),
            Authorization=login(user),
            Content_Type="application/json",
            **headers,
        )
        told = json.loads(text)
        assert (status, told.get("errors")) == (200, None), text
        return told["data"]


def login(user: str, password: str = PASSWORD) -> str:
    """Return the header of basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@contextmanager
def webserver(home: Home, workspace: Path) -> Iterator[int]:
    """Run the commands of the shipped unit on a port that is free; give the port."""
    program, *arguments = shlex.split(unit()["ExecStart"])
    assert arguments == ["-w", "workspace.yaml", "-h", "127.0.0.1", "-p", "3000"]
    port = free_port()
    arguments[1], arguments[-1] = str(workspace), str(port)
    log = home.folder / "webserver.log"
    with home.start(Path(program).name, *arguments, log=log) as process:
        first = first_request(port, process.pid)
        assert first.wait(120) == 0
        yield port


def unit() -> dict[str, str]:
    """Return the settings of the shipped unit whose names occur once."""
    lines = (FOLDER / "dagster-webserver.service").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")


def first_request(port: int, webserver_pid: int) -> "subprocess.Popen[bytes]":
    """Start the unit's command that waits for a webserver and asks it, as systemd does."""
    command = unit()["ExecStartPost"].replace("127.0.0.1:3000/", f"127.0.0.1:{port}/")
    settings = {"PATH": os.environ["PATH"], "MAINPID": str(webserver_pid)}
    return subprocess.Popen(shlex.split(command), env=settings)


@contextmanager
def nginx(folder: Path, users: list[str], webserver_port: int) -> Iterator[Proxy]:
    """Run nginx with the shipped site."""
    folder.mkdir()
    port, certificate, key = free_port(), folder / "certificate.pem", folder / "key.pem"
    _openssl(
        "req -x509 -newkey rsa:2048 -noenc -days 2 -subj /CN=localhost -addext "
        f"subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    )
    passwords = [f"{user}:{_openssl('passwd -6 -stdin', PASSWORD)}" for user in users]
    (folder / "htpasswd").write_text("".join(f"{line.strip()}\n" for line in passwords))
    (folder / "site.conf").write_text(_site(folder, port, free_port(), webserver_port))
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder))
    assert NGINX is not None
    with subprocess.Popen([NGINX, "-c", folder / "nginx.conf", "-p", folder]) as process:
        proxy = Proxy(port, certificate)
        try:
            until(lambda: _listens(proxy), 30, f"nginx; see {folder}/error.log")
            yield proxy
        finally:
            process.terminate()


def _site(folder: Path, port: int, plain_port: int, webserver_port: int) -> str:
    """Return the shipped site with what an administrator changes, and with ports of its own."""
    text = (FOLDER / "orch-assets.conf").read_text()
    for shipped, here in {
        "listen [::]:80;": "",
        "listen [::]:443 ssl http2;": "",
        "listen 80;": f"listen 127.0.0.1:{plain_port};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
        "server_name dagster.example.org;": "server_name localhost;",
        "/etc/ssl/certs/dagster.example.org.pem": str(folder / "certificate.pem"),
        "/etc/ssl/private/dagster.example.org.key": str(folder / "key.pem"),
        "/etc/nginx/orch-assets.htpasswd": str(folder / "htpasswd"),
        "http://127.0.0.1:3000;": f"http://127.0.0.1:{webserver_port};",
    }.items():
        assert shipped in text, shipped
        text = text.replace(shipped, here)
    return text


def _openssl(arguments: str, given: str = "") -> str:
    done = subprocess.run(
        ["openssl", *arguments.split()], input=given, capture_output=True, text=True, check=True
    )
    return done.stdout


def _listens(proxy: Proxy) -> bool:
    try:
        return proxy.ask("/")[0] > 0
    except OSError:
        return False
