"""Clients of AWS, created on first use, and the account of their credentials."""

import threading
from typing import Any, NamedTuple

from orch_assets.clouds import boto3_session, connecting
from orch_assets.step_functions.aws_errors import reporting
from orch_assets.step_functions.executions.poller import ExecutionPoller

# Hundreds of executions may start, stop or be described at the same time.
_CONNECTIONS = 20
_ATTEMPTS = 5
_READ_TIMEOUT = 65
# The answer to a synchronous execution arrives when it ends, after at most five minutes.
_LONG_READ_TIMEOUT = 310


class Account(NamedTuple):
    """The AWS account of the credentials.

    Attributes:
        partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
        number: 12 digits.
    """

    partition: str
    number: str


class Aws:
    """Clients of Step Functions and STS; several pipelines can share them.

    Attributes:
        follower: polls all executions that are awaited without a thread each.

    Args:
        region: AWS region; by default what boto3 finds.
        profile: a named profile of the AWS configuration.
        endpoint: URL of a service compatible with both; by default what boto3 finds.
        client: a boto3 client of Step Functions to use instead.
        sts: a boto3 client of STS to use instead.
    """

    def __init__(
        self,
        region: str | None,
        profile: str | None = None,
        *,
        endpoint: str | None = None,
        client: Any = None,
        sts: Any = None,
    ) -> None:
        self._region = region
        self._profile = profile
        self._endpoint = endpoint
        clients = {("stepfunctions", False): client, ("stepfunctions", True): client}
        clients["sts", False] = sts
        # By service, and whether calls are made once only.
        self._clients = {key: client for key, client in clients.items() if client is not None}
        self.follower = ExecutionPoller(lambda: self.states)
        self._account: Account | None = None
        self._lock = threading.RLock()

    @property
    def states(self) -> Any:
        """The client of Step Functions."""
        return self._client("stepfunctions")

    @property
    def states_once(self) -> Any:
        """The client of Step Functions for calls that aren't retried and may take minutes."""
        return self._client("stepfunctions", once=True)

    def account(self) -> Account:
        """Return the account of the credentials; AWS is asked once."""
        with self._lock:
            if self._account is None:
                with reporting("AWS account"):
                    arn = self._client("sts").get_caller_identity()["Arn"]
                parts = arn.split(":")
                self._account = Account(parts[1], parts[4])
            return self._account

    def machine_arn(self, name: str) -> str:
        """Return the ARN of a state machine of this name, which need not exist."""
        partition, account = self.account()
        region = self.states.meta.region_name
        return f"arn:{partition}:states:{region}:{account}:stateMachine:{name}"

    def _client(self, service: str, *, once: bool = False) -> Any:
        with self._lock:
            if (service, once) not in self._clients:
                self._clients[service, once] = self._connect(service, once=once)
            return self._clients[service, once]

    def _connect(self, service: str, *, once: bool) -> Any:
        with connecting, reporting("AWS"):
            from botocore.config import Config

            session = boto3_session(self._profile, self._region)
            return session.client(
                service,
                endpoint_url=self._endpoint,
                config=Config(
                    connect_timeout=10,
                    read_timeout=_LONG_READ_TIMEOUT if once else _READ_TIMEOUT,
                    max_pool_connections=_CONNECTIONS,
                    retries={"mode": "standard", "total_max_attempts": 1 if once else _ATTEMPTS},
                    # Only AWS itself uses other hosts for some calls.
                    inject_host_prefix=self._endpoint is None,
                ),
            )
