"""How a run worker takes its own limits, where no container holds it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable
from pathlib import Path


def join(procs: Iterable[Path]) -> None:
    """Enter the cgroups whose `cgroup.procs` files these are; children will be in them too."""
    for file in procs:
        file.write_text(str(os.getpid()))


def limit_data(size: int) -> None:
    """Limit this process's, and each child's own, private writable memory to so many bytes.

    Beyond it an allocation fails: Python raises MemoryError, DuckDB OutOfMemoryException. RLIMIT_AS would
    count what is only reserved or mapped: DuckDB failed under one of 1 GiB on work that needs 830 MiB.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))
