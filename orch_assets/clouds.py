"""Imports of the cloud packages and creation of their clients, one thread at a time.

Studies that run at the same time may each be the first to need a cloud's package. If two threads
import boto3 at the same time, starting at different modules, one of them gets a partly initialized
package.
"""

import functools
import threading
from typing import Any

# Held while a cloud's package is imported or one of its clients is created.
connecting = threading.RLock()


def boto3_session(profile: str | None = None, region: str | None = None) -> Any:
    """Return a boto3 session. Call it while holding ``connecting``.

    Args:
        profile: Named profile of the AWS configuration; None for boto3's default.
        region: AWS region; None for boto3's default.

    Raises:
        botocore.exceptions.ProfileNotFound: There is no such profile.
    """
    from boto3.session import Session

    return Session(botocore_session=botocore_session(profile), region_name=region)


def botocore_session(profile: str | None = None) -> Any:
    """Return the botocore session of a boto3 session.

    All sessions share one loader of AWS's service definitions. With a loader of its own, a session
    would read and parse megabytes of them for its first client, which takes longer than publishing
    a table.
    """
    from botocore.session import get_session

    session = get_session()
    if profile is not None:
        session.set_config_variable("profile", profile)
    definitions = _definitions(session.get_config_variable("data_path"))
    # Each boto3 session adds the folder of boto3 again.
    definitions.search_paths[:] = dict.fromkeys(definitions.search_paths)
    session.register_component("data_loader", definitions)
    return session


@functools.cache
def _definitions(data_path: str | None) -> Any:
    from botocore.loaders import create_loader

    return create_loader(data_path)
