"""moto's server, without what it does for each request and no test needs.

``python -m … PORT``.
"""

import functools
import sys

from moto import backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler
from moto.server import main


def make_quick() -> None:
    """Log no request, and look for a host's service once."""
    services = list(backends.list_of_moto_modules())  # lists a folder
    backends.list_of_moto_modules = lambda: services
    find = DomainDispatcherApplication.get_backend_for_host
    DomainDispatcherApplication.get_backend_for_host = functools.lru_cache(256)(find)
    MotoRequestHandler.log_request = lambda *_: None


if __name__ == "__main__":
    make_quick()
    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
