import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import pytest

from slipway import aws
from slipway.config.connections import S3Settings

OWN = S3Settings(
    endpoint="http://s3.internal:9000",
    public_endpoint="https://s3.example.com",
    region="us-east-1",
    path_style=True,
    access_key_id="key",
    secret_access_key="secret",
)
AMBIENT = S3Settings(None, None, "eu-central-1", False, None, None)


def link(settings: S3Settings, *, public: bool) -> str:
    client = aws.s3_client(settings, public=public)
    return client.generate_presigned_url("get_object", Params={"Bucket": "logs", "Key": "a b"})


@pytest.mark.parametrize(("public", "host"), [(False, "s3.internal:9000"), (True, "s3.example.com")])
def test_links_are_for_the_asked_endpoint_and_of_version_4(public: bool, host: str) -> None:
    parts = urlsplit(link(OWN, public=public))
    assert (parts.netloc, parts.path) == (host, "/logs/a%20b")
    assert parse_qs(parts.query)["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]


def test_ambient_credentials_and_aws_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AMBIENTKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    aws._session.cache_clear()
    try:
        parts = urlsplit(link(AMBIENT, public=True))
    finally:
        aws._session.cache_clear()
    assert parts.netloc == "logs.s3.eu-central-1.amazonaws.com" or parts.netloc == "logs.s3.amazonaws.com"
    assert parse_qs(parts.query)["X-Amz-Credential"][0].startswith("AMBIENTKEY/")
    assert "/eu-central-1/s3/" in parse_qs(parts.query)["X-Amz-Credential"][0]


def test_times_and_attempts() -> None:
    config = aws.s3_client(OWN, connect_timeout=1, read_timeout=2, attempts=4).meta.config
    assert (config.connect_timeout, config.read_timeout) == (1, 2)
    assert config.retries == {"total_max_attempts": 4, "mode": "standard"}
    assert config.request_checksum_calculation == "when_required"
    assert config.s3["addressing_style"] == "path"


def test_queues_are_beside_the_storage() -> None:
    client = aws.sqs_client(OWN, read_timeout=40)
    assert client.meta.endpoint_url == "http://s3.internal:9000"
    assert client.meta.config.read_timeout == 40
    assert aws.sqs_client(AMBIENT).meta.endpoint_url == "https://sqs.eu-central-1.amazonaws.com"


def test_boto3_waits_until_somebody_asks_s3() -> None:
    """What a run and its code import costs them time, each time."""
    script = """
import sys
import slipway.landing, slipway.launch.launcher, slipway.logs.manager, slipway.resources, slipway.storage.postgres
assert not {"boto3", "botocore.session", "botocore.config", "s3transfer"} & sys.modules.keys()
from slipway import aws
aws.load()
assert "boto3" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
