"""An instance in Postgres holds the slots, too, unless a setting says something else."""

from urllib.parse import urlsplit

from orch_assets.defs.settings.request_slots import describe, request_slots
from orch_assets.imednet.request_limits import PostgresSlots
from orch_assets_tests.defs.postgres import postgres_instance


def test_an_instance_in_postgres_holds_the_slots(postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    server = {
        "hostname": parts.hostname,
        "port": parts.port,
        "username": parts.username,
        "password": "",
    }
    with postgres_instance(server) as instance:
        place = request_slots(None, instance)
        assert isinstance(place, PostgresSlots)
        assert place == request_slots("postgres", instance)
        assert describe(place) == "one for all processes, by advisory locks in Postgres"
        assert request_slots("none", instance) is None
