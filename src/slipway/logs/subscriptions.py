"""Keeps the logs that the UI shows up to date."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from dagster._core.storage.compute_log_manager import CapturedLogSubscription

POLL_SECONDS = 2.0

log = logging.getLogger(__name__)


class Subscriptions:
    """A thread that looks for news for as long as anyone is subscribed."""

    def __init__(self, is_complete: Callable[[Sequence[str]], bool]) -> None:
        self._is_complete = is_complete
        self._open: list[CapturedLogSubscription] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, subscription: CapturedLogSubscription) -> None:
        """Serve a subscription until its log is complete or it is removed."""
        with self._lock:
            self._open.append(subscription)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="compute-log-news", daemon=True)
                self._thread.start()

    def remove(self, subscription: CapturedLogSubscription) -> None:
        """Serve a subscription no longer."""
        with self._lock:
            if subscription in self._open:
                self._open.remove(subscription)

    def stop(self) -> None:
        """Serve nobody any longer."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            with self._lock:
                current = list(self._open)
                if not current:
                    self._thread = None
                    return
            for subscription in current:
                try:
                    self._serve(subscription)
                except Exception:
                    # One log that cannot be read must not end the news of all others.
                    log.exception("cannot look for news of the log %s", subscription.log_key)

    def _serve(self, subscription: CapturedLogSubscription) -> None:
        # In this order: what was written before the end is fetched, and none is missed.
        complete = self._is_complete(subscription.log_key)
        subscription.fetch()
        if complete:
            subscription.complete()
            self.remove(subscription)
