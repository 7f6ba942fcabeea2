"""The shipped database and broker: who may come in, with what the shipped settings say."""

import shlex
from collections.abc import Iterator

import pytest
import redis
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from orch_assets.defs.cluster.database_waits import is_refused
from orch_assets_tests.support.cluster import DEPLOY, Cluster, require_servers


@pytest.fixture(scope="module")
def shipped() -> dict[str, str]:
    """The variables of ``settings.env``."""
    return dict(
        part.split("=", 1)
        for part in shlex.split((DEPLOY / "settings.env").read_text(), comments=True)
    )


@pytest.fixture(scope="module")
def cluster(shipped: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    require_servers()
    names = ("CLUSTER_DATABASE_AUTH", "CLUSTER_DATABASE_CLIENTS", "PGPASSWORD")
    made = Cluster(tmp_path_factory.mktemp("cluster"), {each: shipped[each] for each in names})
    password = made.database.parent / f"{made.database.name}.password"
    password.write_text(shipped["PGPASSWORD"])
    password.chmod(0o644)
    made.environment["CLUSTER_DATABASE_PASSWORD_FILE"] = f"--pwfile={password}"
    try:
        made.once("database-folder")
        made.once("database-clients")
        made.start("database")
        made.start("broker")
        made.await_database()
        made.once("database")
        yield made
    finally:
        made.stop_all()
        password.unlink()


def url_of(cluster: Cluster, shipped: dict[str, str], password: str) -> str:
    """Return the shipped address, on this machine."""
    url = make_url(shipped["CLUSTER_DATABASE_URL"])
    port = int(cluster.environment["CLUSTER_DATABASE_PORT"])
    moved = url.set(host="127.0.0.1", port=port, password=password)
    return moved.render_as_string(hide_password=False)


def test_the_database_lets_in_the_cluster_with_its_password(
    cluster: Cluster, shipped: dict[str, str]
) -> None:
    """Whatever libpq doesn't know of the address's parameters is an error."""
    with create_engine(url_of(cluster, shipped, "PASSWORD")).connect() as connection:
        rules = connection.execute(
            text("SELECT address, netmask, auth_method, error FROM pg_hba_file_rules")
        ).all()
        assert ("10.0.0.0", "255.255.255.0", "scram-sha-256", None) in rules
        assert {rule.auth_method for rule in rules} == {"scram-sha-256"}
        assert {rule.error for rule in rules} == {None}
    with pytest.raises(OperationalError) as wrong:
        create_engine(url_of(cluster, shipped, "wrong")).connect()
    assert is_refused(wrong.value)


def test_the_broker_lets_in_who_has_its_password(cluster: Cluster) -> None:
    address = cluster.environment["CLUSTER_BROKER_URL"]
    with redis.Redis.from_url(address) as client:
        assert client.ping()
    with (
        redis.Redis.from_url(address.replace(":PASSWORD@", "")) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
