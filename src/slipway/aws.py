"""boto3 clients from S3 settings: one place for endpoints, path style, time-outs and retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from slipway.config.connections import S3Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


def s3_client(
    settings: S3Settings,
    *,
    public: bool = False,
    connect_timeout: float = 5,
    read_timeout: float = 30,
    attempts: int = 3,
) -> S3Client:
    """An S3 client; with `public` one whose signed links work where a browser is.

    Time-outs are in seconds and hold for each of the attempts.
    """
    endpoint = settings.public_endpoint or settings.endpoint if public else settings.endpoint
    return _client("s3", settings, endpoint, connect_timeout, read_timeout, attempts)


def sqs_client(
    settings: S3Settings, *, connect_timeout: float = 5, read_timeout: float = 30, attempts: int = 3
) -> SQSClient:
    """An SQS client beside the same S3; `read_timeout` must be longer than a long poll's wait."""
    return _client("sqs", settings, settings.endpoint, connect_timeout, read_timeout, attempts)


def _client(
    service: Any, settings: S3Settings, endpoint: str | None, connect_timeout: float, read_timeout: float, attempts: int
) -> Any:
    return boto3.session.Session().client(
        service,
        endpoint_url=endpoint,
        region_name=settings.region,
        aws_access_key_id=settings.access_key_id,
        aws_secret_access_key=settings.secret_access_key,
        config=Config(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            retries={"total_max_attempts": attempts, "mode": "standard"},
            s3={"addressing_style": "path" if settings.path_style else "auto"},
            # a proxy or an emulator may not speak the newer checksums
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
