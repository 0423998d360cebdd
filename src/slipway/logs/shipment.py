"""Brings the log of one capture to S3: now and then while it is written, and whole at its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from dagster._core.storage.compute_log_manager import ComputeIOType

from slipway.logs import keys
from slipway.logs.capture import flush
from slipway.logs.store import LogStore, StoreUnavailable

FIRST_SECONDS = 1.0
"""When a log first shows; then the waits double until they are the upload interval."""

AGAIN_SECONDS = 0.5
"""Wait between attempts at the end of a capture."""


class Shipment:
    """A thread that sends what there is. It survives every failure of S3, and ends when told to."""

    def __init__(
        self, store: LogStore, log_key: Sequence[str], files: Mapping[ComputeIOType, Path], interval: float
    ) -> None:
        self._store = store
        self._log_key = log_key
        self._files = files
        self._interval = interval
        self._sent = dict.fromkeys(files, 0)
        self._unsent = [ComputeIOType.STDOUT, ComputeIOType.STDERR]
        self._closing = threading.Event()
        self._abandoned = threading.Event()
        self._progressed = time.monotonic()
        self._problem: StoreUnavailable | None = None
        self._thread = threading.Thread(target=self._run, name="compute-log-upload", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def finish(self, patience: float) -> StoreUnavailable | None:
        """Send the finished log; returns why that did not succeed, None when it did.

        However it is interrupted, it goes on until the log is sent, or nothing has moved for `patience` seconds.
        """
        self._progress()
        self._closing.set()
        interrupted: BaseException | None = None
        while self._thread.is_alive() and time.monotonic() - self._progressed < patience:
            try:
                self._thread.join(0.1)
            except BaseException as error:
                interrupted = error
        self._abandoned.set()
        if interrupted is not None:
            raise interrupted
        if not self._unsent:
            return None
        return self._problem or StoreUnavailable(
            f"{self._store.location(self._log_key, self._unsent[0])}: S3 does not answer"
        )

    def _run(self) -> None:
        wait = min(FIRST_SECONDS, self._interval)
        while not self._closing.wait(wait):
            wait = min(wait * 2, self._interval)
            flush()
            try:
                for io_type in self._files:
                    self._send_news(io_type)
            except StoreUnavailable as error:
                self._problem = error
            except OSError as error:
                self._problem = StoreUnavailable(str(error))
        self._send_final()

    def _send_news(self, io_type: ComputeIOType) -> None:
        size = self._files[io_type].stat().st_size
        while self._sent[io_type] < size and not self._closing.is_set():
            number = self._sent[io_type] // keys.SEGMENT
            start = number * keys.SEGMENT
            with self._files[io_type].open("rb") as file:
                file.seek(start)
                data = file.read(min(keys.SEGMENT, size - start))
            self._store.put_segment(self._log_key, io_type, number, data)
            self._sent[io_type] = start + len(data)

    def _send_final(self) -> None:
        while self._unsent and not self._abandoned.is_set():
            io_type = self._unsent[0]
            try:
                self._store.put_final(self._log_key, io_type, self._files[io_type], self._progress)
                self._unsent.pop(0)
                self._progress()
            except StoreUnavailable as error:
                self._problem = error
                if error.refused:
                    return
                self._abandoned.wait(AGAIN_SECONDS)
            except OSError as error:
                # The local file is gone: no wait brings it back.
                self._problem = StoreUnavailable(str(error))
                return
        if not self._unsent:
            self._drop_segments()

    def _drop_segments(self) -> None:
        try:
            for io_type, sent in self._sent.items():
                if sent:
                    self._store.drop_segments(self._log_key, io_type, -(-sent // keys.SEGMENT))
        except StoreUnavailable:
            # A reader takes the finished log, and the bucket's lifecycle rule the rest.
            return

    def _progress(self) -> None:
        self._progressed = time.monotonic()
