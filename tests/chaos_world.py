"""A whole platform as processes, for tests that break it: Postgres, S3 with SQS, webserver, daemon, code server."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import psycopg2
import psycopg2.extras
from botocore.config import Config

from laptops import ROOT, SLIPWAY, Up, slipway

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

BUCKET = "chaos-landing"


@dataclass
class World:
    """The running platform, and the doors through which a test sees it."""

    up: Up
    folder: Path
    env: dict[str, str]
    traps: Path

    def _client(self, service: str) -> Any:
        return boto3.session.Session().client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.env["SLIPWAY_S3_ENDPOINT"],
            aws_access_key_id=self.env["SLIPWAY_S3_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["SLIPWAY_S3_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
            config=Config(max_pool_connections=20, s3={"addressing_style": "path"}),
        )

    @cached_property
    def s3(self) -> S3Client:
        client: S3Client = self._client("s3")
        return client

    @cached_property
    def sqs(self) -> SQSClient:
        client: SQSClient = self._client("sqs")
        return client

    def slipway(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SLIPWAY, *arguments], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=120
        )

    def json(self, *arguments: str) -> Any:
        done = self.slipway(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def query(self, statement: str) -> list[dict[str, Any]]:
        """Rows from Postgres; raises psycopg2.OperationalError while it is down."""
        connection = psycopg2.connect(self.env["SLIPWAY_POSTGRES_URL"], connect_timeout=2)
        try:
            with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                cursor.execute(statement)
                return [dict(row) for row in cursor.fetchall()]
        finally:
            connection.close()

    def log(self, name: str) -> str:
        return (self.up.state / "logs" / f"{name}.log").read_text(errors="replace")


def _environment(file: Path) -> dict[str, str]:
    words = shlex.split(file.read_text(), comments=True)
    given = dict(word.split("=", 1) for word in words if "=" in word)
    return {**os.environ, **given}


@contextmanager
def chaos_world(folder: Path) -> Iterator[World]:
    """Brings it up in an empty folder, and ends it."""
    traps = folder / "traps"
    traps.mkdir()
    shutil.copytree(
        ROOT / "tests" / "chaos" / "shop", folder / "shop", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "code_locations" / "ecommerce" / "requirements.txt", folder / "shop")
    shutil.copy(ROOT / "dagster.yaml", folder)
    (folder / "platform.yaml").write_text(
        f"landing: {{inbox: {{bucket: {BUCKET}}}}}\n"
        "code_locations:\n"
        "  shop:\n"
        "    path: shop\n"
        "    python: '3.11'\n"
        "    image: {repository: slipway/shop, tag: chaos}\n"
        f"    env: {{CHAOS_TRAPS: '{traps}'}}\n"
    )
    state = folder / "state"
    with slipway("up", state=state, cwd=folder, log=folder / "up.log") as up:
        up.wait_for("UI: ", 240)
        assert "did not load" not in up.output, up.output
        yield World(up, folder, _environment(state / "env"), traps)
