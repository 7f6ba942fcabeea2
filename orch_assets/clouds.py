"""How studies at work at once come to a cloud's package and to clients of it.

One thread at a time imports a cloud's package and makes a client of it. Studies at work at once may
each be the first to need one, and boto3 that two threads import at the same time, from different
ends, is there by half for one of them.
"""

import functools
import threading
from typing import Any

connecting = threading.RLock()


def boto3_session(profile: str | None = None, region: str | None = None) -> Any:
    """Return a boto3 session; to be called by one thread at a time.

    Args:
        profile: a named profile of the AWS configuration; None takes what boto3 finds.
        region: None takes what boto3 finds.

    Raises:
        botocore.exceptions.ProfileNotFound: there is no such profile.
    """
    from boto3.session import Session

    return Session(botocore_session=botocore_session(profile), region_name=region)


def botocore_session(profile: str | None = None) -> Any:
    """Return the botocore session of a boto3 session.

    All share one reader of AWS's definitions. A session of its own reads and parses megabytes of
    them for its first client, which takes longer than to publish a table.
    """
    from botocore.session import get_session

    session = get_session()
    if profile is not None:
        session.set_config_variable("profile", profile)
    definitions = _definitions(session.get_config_variable("data_path"))
    # Each boto3 session adds the folder of boto3.
    definitions.search_paths[:] = dict.fromkeys(definitions.search_paths)
    session.register_component("data_loader", definitions)
    return session


@functools.cache
def _definitions(data_path: str | None) -> Any:
    from botocore.loaders import create_loader

    return create_loader(data_path)
