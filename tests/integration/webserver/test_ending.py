"""The webserver's process: what it answers while it is told to end, below another path, and read-only."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from code_servers import CodeServer, code_server
from slipway import draining
from waiting import until

DEFINITIONS = """
import time
from pathlib import Path

import dagster as dg


@dg.op
def work() -> None: ...


@dg.job
def job() -> None:
    work()


@dg.sensor(job=job)
def slow() -> dg.SkipReason:
    Path("ticking").touch()
    while not Path("go").exists():
        time.sleep(0.05)
    return dg.SkipReason("in order")


defs = dg.Definitions(jobs=[job], sensors=[slow])
"""

SLOW = """mutation { sensorDryRun(cursor: null, selectorData: {
  repositoryLocationName: "shop", repositoryName: "__repository__", sensorName: "slow"}) {
  __typename ... on DryRunInstigationTick { evaluationResult { skipReason } } ... on PythonError { message } } }"""


class Webserver:
    """One that runs, and the code server that it shows."""

    def __init__(self, process: subprocess.Popen[str], url: str, code: CodeServer) -> None:
        self.process = process
        self.url = url
        self.code = code

    def ask(self, query: str) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    def answers(self) -> bool:
        try:
            return "version" in self.ask("{ version }")["data"]
        except (urllib.error.URLError, ConnectionError):
            return False


@contextmanager
def webserver(folder: Path, *options: str, **environment: str) -> Iterator[Webserver]:
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with code_server(folder / "project", DEFINITIONS) as code:
        until(code.answers, 60)
        workspace = folder / "workspace.yaml"
        workspace.write_text(
            f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {code.port}, location_name: shop}}}}]\n"
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "slipway.webserver", "-w", str(workspace), "--port", str(port), *options],
            env={**os.environ, "DAGSTER_HOME": str(home), **environment},
            text=True,
        )
        prefix = options[options.index("--path-prefix") + 1] if "--path-prefix" in options else ""
        found = Webserver(process, f"http://127.0.0.1:{port}{prefix}", code)
        try:
            until(found.answers, 60)
            yield found
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("runtime", ["docker", "kubernetes"])
def test_a_request_in_flight_is_answered(tmp_path: Path, runtime: str) -> None:
    with webserver(tmp_path, SLIPWAY_RUNTIME=runtime) as found:
        results: list[dict[str, Any]] = []
        asking = threading.Thread(target=lambda: results.append(found.ask(SLOW)))
        asking.start()
        until((found.code.project / "ticking").exists, 60)
        told = time.monotonic()
        found.process.send_signal(signal.SIGTERM)
        until(lambda: not found.answers(), 30, "it still takes new requests")
        answered = time.monotonic() - told
        assert found.process.poll() is None
        (found.code.project / "go").touch()
        asking.join(30)
        assert results, "the request has no answer"
        assert results[0]["data"]["sensorDryRun"]["evaluationResult"] == {"skipReason": "in order"}
        assert found.process.wait(30) == 0
        if runtime == "kubernetes":
            assert draining.SECONDS <= answered < draining.SECONDS + 5
        else:
            assert answered < 4


def test_an_open_page_holds_nothing_up(tmp_path: Path) -> None:
    """A browser keeps a connection for subscriptions, and idle ones."""
    with webserver(tmp_path) as found:
        host, port = found.url.removeprefix("http://").split(":")
        with (
            socket.create_connection((host, int(port))) as page,
            socket.create_connection((host, int(port))) as idle,
        ):
            page.sendall(
                f"GET /graphql HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-ws\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            assert b"101" in page.recv(4096).splitlines()[0]
            idle.sendall(f"GET /server_info HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert b"200" in idle.recv(4096).splitlines()[0]
            found.process.send_signal(signal.SIGTERM)
            assert found.process.wait(15) == 0


def test_below_another_path_and_read_only(tmp_path: Path) -> None:
    with webserver(tmp_path, "--path-prefix", "/look", "--read-only") as found:
        answer = found.ask("{ permissions { permission value } }")["data"]["permissions"]
        allowed = {one["permission"] for one in answer if one["value"]}
        assert "launch_pipeline_execution" in {one["permission"] for one in answer} - allowed
