"""An S3 with SQS for a machine that has none: moto's server as a child process.

It delivers a bucket's events to queues as S3 does. It keeps everything in memory and checks no credentials, so
it is for one laptop, on 127.0.0.1.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import ClassVar

from slipway.embedded import child
from slipway.embedded.service import EmbeddedService

ACCESS_KEY_ID = "slipway"
SECRET_ACCESS_KEY = "slipway-laptop"  # noqa: S105 - moto takes any
REGION = "us-east-1"


class EmbeddedS3(EmbeddedService):
    """An S3 and SQS server. Both have the same endpoint and take any credentials, these by convention."""

    name: ClassVar[str] = "s3"
    access_key_id = ACCESS_KEY_ID
    secret_access_key = SECRET_ACCESS_KEY

    @property
    def endpoint(self) -> str:
        """URL of the S3 and SQS APIs."""
        return f"http://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Make the folder of its log."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def command(self) -> list[str]:
        """The server's command line."""
        return child.command([sys.executable, "-m", "slipway.embedded.s3_server", str(self.port)])

    def environment(self) -> Mapping[str, str]:
        """The caller's, and moto's own port, which queue URLs are made of."""
        return {**os.environ, "MOTO_PORT": str(self.port), "PYTHONUNBUFFERED": "1"}

    def ready(self) -> bool:
        """Whether the server answers; this needs no request that it would count as one of S3's."""
        try:
            with urllib.request.urlopen(f"{self.endpoint}/moto-api/", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
