"""Platforms whose logs go to an S3 of the test's own, and S3s that fail in every way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import captured_runs
from slipway.config.connections import S3Settings


@pytest.fixture
def platform(
    platform_env: Mapping[str, str], s3_settings: S3Settings, tmp_path: Path
) -> captured_runs.Platform:
    """Logs in a bucket that is there, uploaded every second; the local folder is a container's own."""
    made = captured_runs.create(platform_env, s3_settings, tmp_path)
    made.create_bucket()
    return made


@pytest.fixture
def platform_without_bucket(
    platform_env: Mapping[str, str], s3_settings: S3Settings, tmp_path: Path
) -> captured_runs.Platform:
    return captured_runs.create(platform_env, s3_settings, tmp_path)


@pytest.fixture
def black_hole() -> Iterator[str]:
    """URL of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        accepted = []

        def accept() -> None:
            while True:
                try:
                    accepted.append(server.accept())
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for connection, _ in accepted:
            connection.close()


@pytest.fixture
def closed_port() -> str:
    """URL of a port where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.fixture
def forbidding() -> Iterator[captured_runs.Forbidding]:
    with captured_runs.Forbidding() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
