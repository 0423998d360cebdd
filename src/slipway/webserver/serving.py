"""An HTTP server that ends in order: it answers as before while others still send to it, and then what it was asked."""

from __future__ import annotations

import threading
from types import FrameType
from typing import Any

import uvicorn

FINISH_SECONDS = 40
"""How long requests that are being answered may take to end, once no new ones are taken."""


class DrainingServer(uvicorn.Server):
    """Uvicorn's server, with some time between a signal and the end of taking connections."""

    def __init__(self, config: uvicorn.Config, drain_seconds: float) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; a second signal does not wait any longer."""
        if self._drain_seconds == 0 or self._draining:
            super().handle_exit(sig, frame)
            return
        self._draining = True
        timer = threading.Timer(self._drain_seconds, super().handle_exit, (sig, frame))
        timer.daemon = True
        timer.start()


def serve(app: Any, host: str, port: int, drain_seconds: float) -> None:
    """Serve an ASGI application until a signal; uvicorn then raises it again."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=FINISH_SECONDS,
    )
    DrainingServer(config, drain_seconds).run()
