"""The state folder of the process runtime: what is where in it, and who holds it."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from slipway.config.errors import UserError

LEFTOVER_SECONDS = 20
"""How long to wait for the watchdog of a killed `slipway` to end what that one left."""


@dataclass(frozen=True)
class State:
    """A state folder. `cache` holds what outlives a fresh start and is shared between state folders."""

    folder: Path
    cache: Path

    @property
    def home(self) -> Path:
        """DAGSTER_HOME: dagster.yaml, the same bytes as the top-level file."""
        return self.folder / "home"

    @property
    def logs(self) -> Path:
        """One log per service."""
        return self.folder / "logs"

    @property
    def postgres(self) -> Path:
        """The embedded Postgres."""
        return self.folder / "postgres"

    @property
    def s3(self) -> Path:
        """The embedded S3."""
        return self.folder / "s3"

    @property
    def environments(self) -> Path:
        """Python environments of the code locations."""
        return self.cache / "environments"

    @property
    def sample(self) -> Path:
        """Generated sample files."""
        return self.cache / "sample"

    def hold(self) -> IO[str]:
        """Take the folder for this process and its watchdog. The lock goes when the last of the two ends, however
        they end; nothing has to be removed.

        Raises:
            UserError: another `slipway` holds it; the message has its pid.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = (self.folder / "lock").open("a+")
        deadline = time.monotonic() + LEFTOVER_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip()
                if _lives(holder) or time.monotonic() > deadline:
                    lock.close()
                    raise UserError(
                        f"another `slipway` (process {holder}) runs on the state folder {self.folder}",
                        f"end that one first (kill {holder}), or give this one a folder of its own: SLIPWAY_STATE",
                    ) from None
                time.sleep(0.1)
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def clear(self) -> None:
        """Forget everything but the lock, the cache, and state folders inside this one, such as the demo's."""
        for path in self._clearable():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def check_clearable(self) -> None:
        """Look, before `hold`, whether `clear` would remove only what a `slipway` has written.

        Raises:
            UserError: the folder holds files, and no `slipway` has held it ever.
        """
        if not self.folder.is_dir() or (self.folder / "lock").exists():
            return
        if names := sorted(path.name for path in self._clearable()):
            shown = ", ".join(names[:3]) + (" and more" if len(names) > 3 else "")
            raise UserError(
                f"{self.folder} was never a state folder, and a fresh start would remove what it holds: {shown}",
                "give Slipway a folder of its own: SLIPWAY_STATE",
            )

    def _clearable(self) -> list[Path]:
        return [
            path
            for path in self.folder.iterdir()
            if path.name != "lock" and path != self.cache and not (path / "lock").exists()
        ]


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
