"""An HTTP server in front of another one, which passes requests on, refuses them as S3 does, or never answers."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Predicate = Callable[[str, str], bool]
"""Of a request's method and path, the latter decoded."""


class Doorway:
    """The door of a store: `refuse` and `swallow` say which requests do not get through."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.refuse: Predicate = lambda method, path: False
        self.code = "AccessDenied"
        self.swallow: Predicate = lambda method, path: False
        self.closing = threading.Event()
        self.seen: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def open(self) -> None:
        """Let everything through again."""
        self.refuse = self.swallow = lambda method, path: False

    @contextmanager
    def serving(self) -> Iterator[Doorway]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self._server.shutdown()
            self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None: ...

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = self.command, unquote(self.path)
                door.seen.append(request)
                if door.swallow(*request):
                    door.closing.wait()
                    self.close_connection = True
                elif door.refuse(*request):
                    xml = f"<Error><Code>{door.code}</Code><Message>Access Denied</Message></Error>"
                    self._answer(403, {"Content-Type": "application/xml"}, xml.encode())
                else:
                    self._pass_on(body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

            def _pass_on(self, body: bytes) -> None:
                inner = http.client.HTTPConnection(door.target.hostname or "", door.target.port, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
                inner.request(self.command, self.path, body, headers)
                answer = inner.getresponse()
                content = answer.read()
                dropped = ("connection", "transfer-encoding", "content-length", "date", "server")
                kept = {name: value for name, value in answer.getheaders() if name.lower() not in dropped}
                length = answer.getheader("Content-Length") if self.command == "HEAD" else None
                self._answer(answer.status, kept, content, length)
                inner.close()

            def _answer(
                self, status: int, headers: dict[str, str], content: bytes, length: str | None = None
            ) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", length or str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

        return Handler
