"""Code servers as processes, and a Service in front of them: a proxy that takes another one for every connection."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient

PLATFORM = """
code_locations:
  shop: {path: ., image: {repository: r, tag: t}, env: {KEY: {file: secret}}}
"""


class CodeServer:
    """A code server of the location `shop`."""

    def __init__(self, project: Path, port: int, process: subprocess.Popen[str]) -> None:
        self.project = project
        self.port = port
        self.process = process
        self.client = DagsterGrpcClient(host="127.0.0.1", port=port)

    def answers(self) -> bool:
        try:
            self.client.get_server_id(timeout=5)
        except DagsterUserCodeUnreachableError:
            return False
        return True


@contextmanager
def code_server(project: Path, definitions: str, **environment: str) -> Iterator[CodeServer]:
    """Start one in a folder that is made for it; `answers` tells when it is up."""
    (project / "shop").mkdir(parents=True)
    (project / "shop" / "__init__.py").touch()
    (project / "shop" / "definitions.py").write_text(definitions)
    (project / "platform.yaml").write_text(PLATFORM)
    (project / "secret").write_text(" a secret \n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "slipway.code_server", "--host", "127.0.0.1", "--port", str(port)],
        cwd=project,
        env={
            **os.environ,
            "SLIPWAY_LOCATION": "shop",
            "SLIPWAY_PLATFORM": "platform.yaml",
            **environment,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield CodeServer(project, port, process)
    finally:
        process.kill()
        process.wait()


class Service:
    """What Kubernetes' Service is to its clients: one address, and for each connection any of the pods."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = list(ports)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client:
            try:
                server = socket.create_connection(("127.0.0.1", random.choice(self.ports)))
            except OSError:
                return
            with server:
                back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                back.start()
                _copy(client, server)
                back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
