"""Logs as local files, before S3 has them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dagster._core.storage.compute_log_manager import ComputeIOType

from slipway.logs import keys

LEFTOVER_SECONDS = 24 * 3600
"""Age at which a file that S3 never took, or whose process was killed, is removed."""


class LocalLogs:
    """A folder of logs, shared by the processes that write and read it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, log_key: Sequence[str], io_type: ComputeIOType) -> Path:
        """The file of a log. Raises ValueError when the log key is none."""
        return self.folder / keys.final("", log_key, io_type)

    def create(self, log_key: Sequence[str]) -> dict[ComputeIOType, Path]:
        """Empty files for a log, unless they are there. Raises OSError when the folder cannot be written."""
        files = {io_type: self.path(log_key, io_type) for io_type in ComputeIOType}
        for path in files.values():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return files

    def read(
        self, log_key: Sequence[str], io_type: ComputeIOType, offset: int, max_bytes: int | None
    ) -> bytes | None:
        """Bytes of a log from an offset on; None when there is no such file."""
        try:
            with self.path(log_key, io_type).open("rb") as file:
                file.seek(offset)
                return file.read(-1 if max_bytes is None else max_bytes)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names(self, log_key_prefix: Sequence[str], io_type: ComputeIOType) -> set[str]:
        """Last parts of the log keys right below a prefix."""
        folder = self.folder / keys.folder("", log_key_prefix)
        names = (keys.name(path.name, io_type) for path in folder.glob("*") if path.is_file())
        return {name for name in names if name is not None}

    def remove(self, log_key: Sequence[str]) -> None:
        """Remove a log's files, and folders that are empty then."""
        for io_type in ComputeIOType:
            path = self.path(log_key, io_type)
            path.unlink(missing_ok=True)
        self._remove_empty(path.parent)

    def remove_below(self, log_key_prefix: Sequence[str]) -> None:
        """Remove every log below a prefix."""
        shutil.rmtree(self.folder / keys.folder("", log_key_prefix), ignore_errors=True)

    def remove_leftovers(self) -> None:
        """Remove files that have not been written to for a day."""
        oldest = time.time() - LEFTOVER_SECONDS
        for path in list(self.folder.rglob("*")):
            with suppress(OSError):
                if path.is_file() and path.stat().st_mtime < oldest:
                    path.unlink()
                    self._remove_empty(path.parent)

    def _remove_empty(self, folder: Path) -> None:
        with suppress(OSError):
            while folder != self.folder:
                folder.rmdir()
                folder = folder.parent
