"""S3 and SQS clients from settings: neutral to the provider, with timeouts that end.

boto3 is a tenth of all that a run imports, and many processes never ask S3 for anything: it is imported when the first
client is made.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from slipway.config.connections import S3Settings

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

# Making clients from one session in two threads at once is not safe, nor is importing; using clients is.
_making = threading.Lock()


def s3_client(
    settings: S3Settings,
    *,
    public: bool = False,
    connect_timeout: float = 5,
    read_timeout: float = 30,
    attempts: int = 3,
    connections: int = 10,
) -> S3Client:
    """An S3 client.

    Args:
        settings: endpoint and credentials; without the latter, the process's ambient ones are used.
        public: use the endpoint that browsers reach, for presigned links.
        connect_timeout: seconds.
        read_timeout: seconds that the server may stay silent.
        attempts: how often a request is sent at most.
        connections: how many are kept open, for as many threads.
    """
    base = _config(settings, connect_timeout, read_timeout, attempts)
    from botocore.config import Config

    config = base.merge(
        Config(
            max_pool_connections=connections,
            s3={"addressing_style": "path" if settings.path_style else "virtual"},
            # In some regions presigned links would be of version 2, which other makes of S3 refuse.
            signature_version="s3v4",
        )
    )
    endpoint = settings.public_endpoint if public else settings.endpoint
    client: S3Client = _client("s3", settings, endpoint, config)
    return client


def sqs_client(
    settings: S3Settings, *, connect_timeout: float = 5, read_timeout: float = 30, attempts: int = 3
) -> SQSClient:
    """An SQS client beside the S3 of these settings: the same endpoint, or AWS. Times are seconds.

    A long poll waits up to 20 s for its answer: `read_timeout` must be longer.
    """
    config = _config(settings, connect_timeout, read_timeout, attempts)
    client: SQSClient = _client("sqs", settings, settings.endpoint, config)
    return client


def load() -> None:
    """Import what clients need now, in this thread, and not in one of our own beside the user's code.

    Two threads that import parts of one package at once can see a part of it half made.
    """
    with _making:
        import boto3  # noqa: F401


def _config(settings: S3Settings, connect_timeout: float, read_timeout: float, attempts: int) -> Config:
    load()
    from botocore.config import Config

    return Config(
        region_name=settings.region,
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        # Other makes of S3 refuse or garble the checksums that botocore sends by default since 1.36.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


@cache
def _session() -> boto3.session.Session:
    """A session of our own: user code may be making clients from boto3's default one in another thread."""
    import boto3

    return boto3.session.Session()


def _client(service: str, settings: S3Settings, endpoint: str | None, config: Config) -> Any:
    with _making:
        return _session().client(
            service,  # type: ignore[call-overload]
            endpoint_url=endpoint,
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=settings.secret_access_key,
            config=config,
        )
