"""Sends what a process and its children print into files and, as it comes, on to where it went before."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

MIRROR_SECONDS = 0.25
DRAIN_SECONDS = 2.0
"""How long the end of a capture waits for whoever reads this process's output."""


@contextmanager
def captured(stdout: Path, stderr: Path) -> Iterator[None]:
    """Capture both streams of this process, at the level of file descriptors, for the body of a `with`.

    What is captured still reaches the container's or terminal's own output, with a short delay: a thread copies it.
    """
    wanted = [(sys.stdout, stdout), (sys.stderr, stderr)]
    found = [(stream, fd, path) for stream, path in wanted if (fd := _descriptor(stream)) is not None]
    flush()
    mirrors = [_Mirror(path, os.dup(fd)) for _, fd, path in found]
    closing = threading.Event()
    thread = threading.Thread(target=_copy, args=(mirrors, closing), name="compute-log-mirror", daemon=True)
    thread.start()
    try:
        with ExitStack() as stack:
            for stream, fd, path in found:
                stack.enter_context(_redirected(stream, fd, path))
            yield
    finally:
        closing.set()
        thread.join(DRAIN_SECONDS)


def flush() -> None:
    """Bring what Python still holds back into the files."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):
            stream.flush()


class _Mirror:
    """Copies what a file gains to a descriptor, which it closes in the end."""

    def __init__(self, path: Path, target: int) -> None:
        self._source = path.open("rb")
        self._source.seek(0, os.SEEK_END)
        self._target = target
        self._taken = True

    def copy(self) -> None:
        """Copy what is new; once nobody takes it any more, nothing."""
        while self._taken and (data := self._source.read(1 << 16)):
            try:
                while data:
                    data = data[os.write(self._target, data) :]
            except OSError:
                self._taken = False

    def close(self) -> None:
        self._source.close()
        os.close(self._target)


def _copy(mirrors: Sequence[_Mirror], closing: threading.Event) -> None:
    is_last = False
    while not is_last:
        is_last = closing.wait(MIRROR_SECONDS)
        for mirror in mirrors:
            mirror.copy()
    for mirror in mirrors:
        mirror.close()


@contextmanager
def _redirected(stream: TextIO, descriptor: int, path: Path) -> Iterator[None]:
    """Point a stream's descriptor at the end of a file."""
    before = os.dup(descriptor)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.dup2(file, descriptor)
        # A process that is killed loses what it has not written.
        with _line_buffered(stream):
            yield
    finally:
        os.dup2(before, descriptor)
        os.close(file)
        os.close(before)


@contextmanager
def _line_buffered(stream: TextIO) -> Iterator[None]:
    """Have each line written at once; at the end, whatever is left."""
    wrapper = stream if isinstance(stream, io.TextIOWrapper) else None
    before = wrapper is not None and wrapper.line_buffering
    if wrapper is not None:
        wrapper.reconfigure(line_buffering=True)
    try:
        yield
    finally:
        with suppress(ValueError, OSError):
            stream.flush()
            if wrapper is not None:
                wrapper.reconfigure(line_buffering=before)


def _descriptor(stream: TextIO) -> int | None:
    """A stream's descriptor; what a test puts in its place may have none."""
    try:
        return stream.fileno()
    except (AttributeError, ValueError, OSError):
        return None
