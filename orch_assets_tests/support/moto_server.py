"""moto's server, with S3's conditions, and without what it does for each request and no test needs.

``python -m … PORT``.
"""

import functools
import sys
import threading
from typing import Any

from moto import backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler
from moto.s3.exceptions import PreconditionFailed
from moto.s3.responses import S3Response
from moto.server import main


def make_quick() -> None:
    """Log no request, and look for a host's service once."""
    services = list(backends.list_of_moto_modules())  # lists a folder
    backends.list_of_moto_modules = lambda: services
    find = DomainDispatcherApplication.get_backend_for_host
    DomainDispatcherApplication.get_backend_for_host = functools.lru_cache(256)(find)
    MotoRequestHandler.log_request = lambda *_: None


def meet_conditions() -> None:
    """Store an object only if its condition is met, as S3 does.

    moto looks at a condition and then stores, so that two requests at once may both meet it. It
    ignores the condition of a copy, and of an upload in parts.
    """
    lock = threading.RLock()
    put, post, copy = (
        S3Response._key_response_put,
        S3Response._key_response_post,
        S3Response.copy_object,
    )

    def put_alone(response: Any, *arguments: Any) -> Any:
        with lock:
            return put(response, *arguments)

    def post_alone(response: Any, *arguments: Any) -> Any:
        with lock:
            _check(response)
            return post(response, *arguments)

    def copy_on_condition(response: Any) -> Any:
        _check(response)
        return copy(response)

    S3Response._key_response_put = put_alone
    S3Response._key_response_post = post_alone
    S3Response.copy_object = copy_on_condition


def _check(response: Any) -> None:
    wanted = response.headers.get("If-Match")
    if wanted:
        found = response.backend.get_object(response.bucket_name, response.parse_key_name())
        if not found or found.etag != wanted:
            raise PreconditionFailed("If-Match")


if __name__ == "__main__":
    make_quick()
    meet_conditions()
    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
