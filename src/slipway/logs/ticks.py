"""What sensors, schedules and backfills log: small, many, and written by long-lived processes."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dagster._core.storage.compute_log_manager import ComputeIOType

from slipway.logs.store import LogStore, StoreUnavailable

KEPT = 200
"""Logs that wait in memory while S3 is away; after that, the oldest go."""

REST_SECONDS = 30.0
"""After a failure, ticks are not delayed by another attempt for so long."""

log = logging.getLogger(__name__)


class TickLogs:
    """Sends a tick's log when the tick ends. An S3 that is away delays one tick, not every one."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._waiting: deque[tuple[Sequence[str], ComputeIOType, bytes]] = deque(maxlen=KEPT)
        self._sending = threading.Lock()
        self._rest_until = 0.0

    @contextmanager
    def stream(self, log_key: Sequence[str], io_type: ComputeIOType) -> Iterator[io.StringIO]:
        """A stream to write to; a tick that logs nothing costs nothing."""
        stream = io.StringIO()
        try:
            yield stream
        finally:
            if text := stream.getvalue():
                self._waiting.append((log_key, io_type, text.encode()))
                self._send()

    def _send(self) -> None:
        if time.monotonic() < self._rest_until or not self._sending.acquire(blocking=False):
            return
        try:
            while self._waiting:
                waiting = self._waiting.popleft()
                try:
                    self._store.add(*waiting)
                except StoreUnavailable as error:
                    if len(self._waiting) < KEPT:
                        self._waiting.appendleft(waiting)
                    self._rest_until = time.monotonic() + REST_SECONDS
                    log.warning("logs of sensors and schedules wait for S3: %s", error)
                    return
        finally:
            self._sending.release()
