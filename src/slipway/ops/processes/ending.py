"""When the platform of this process is to end: a signal, or the end of the process that started it."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

PAUSE_SECONDS = 0.05


class Ended(Exception):
    """The platform is to end; not an error."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        """Exit code of a program that this interrupted."""


class Ending:
    """Notes the wish to end, which `pause` raises: between steps, never in the middle of one."""

    def __init__(self, *, with_parent: bool) -> None:
        """Handle the signals that end a program from now on.

        Args:
            with_parent: end as well when the parent process does, as something that belongs to a terminal does.
        """
        self._signal: signal.Signals | None = None
        self._parent = os.getppid() if with_parent else None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # `nohup` ignores SIGHUP, and that stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)
            elif number is signal.SIGINT:
                # A script's background. What is started here would inherit it, and Dagster has SIGTERM do as SIGINT does.
                signal.signal(number, _ignore)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signal = signal.Signals(number)

    def pause(self) -> None:
        """Sleep for a moment. Raises Ended when it is time to end."""
        self.check()
        time.sleep(PAUSE_SECONDS)
        self.check()

    def check(self) -> None:
        """Raises Ended when it is time to end."""
        if self._signal is not None:
            raise Ended(128 + int(self._signal), self._signal.name)
        if self._parent is not None and os.getppid() != self._parent:
            raise Ended(128 + int(signal.SIGHUP), "the process that started this one ended")


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Unlike SIG_IGN, a handler is not inherited."""
