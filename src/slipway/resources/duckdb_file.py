"""The Dagster resource for the DuckDB file that a location may have instead of a lake.

One process at a time has the file open, readers count too. Assets take turns by a pool of one; for what does not,
opening waits.
"""

from __future__ import annotations

import logging
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from dagster import ConfigurableResource, DagsterInvariantViolationError, OpExecutionContext
from pydantic import Field

from slipway import config, identity
from slipway.config.duckdb_file import VARIABLE, pool
from slipway.config.errors import UserError
from slipway.config.presence import on_platform
from slipway.resources.duckdb import load_extensions, one_transaction, open_file
from slipway.resources.lake import attach, check_has_lake
from slipway.resources.resource import Claim
from slipway.resources.scratch import naming_the_scratch

WAIT_SECONDS = 300.0
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0

log = logging.getLogger(__name__)

_warned: set[tuple[str, str]] = set()


def duckdb_file_pool(location: str | None = None) -> str:
    """The pool for everything that opens the DuckDB file: `@asset(pool=duckdb_file_pool())`.

    Args:
        location: name of the code location; the one that this process belongs to unless given.
    """
    return pool(location or os.environ.get("SLIPWAY_LOCATION") or "local")


class DuckDBFileResource(ConfigurableResource):  # type: ignore[type-arg]
    """The DuckDB file of the code location that uses it, declared as `duckdb_file` in platform.yaml.

    Only the location's runs have it. Without a platform (plain `dagster dev`) it is a local file.
    """

    reads: list[str] = Field(
        default=[], description="Locations whose lakes are attached under their names, read-only."
    )
    wait_seconds: float = Field(
        default=WAIT_SECONDS, ge=0, description="How long to wait while another process has the file open."
    )
    local_file: str = Field(
        default=".duckdb/warehouse.duckdb", description="Path of the file where there is no platform."
    )

    @property
    def path(self) -> Path:
        """Where the file is.

        Raises:
            UserError: this process is not a run of a location that declares one.
        """
        if given := os.environ.get(VARIABLE):
            return Path(given)
        if on_platform(os.environ):
            raise _no_file(os.environ.get("SLIPWAY_LOCATION"))
        path = Path(self.local_file).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def connect(self, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to the file, closed at the end, also when the body raises. Hold it as short as you can.

        Settings are those of the run's profile. While another process has the file open, this waits.

        Raises:
            UserError: the wait was in vain, or the file cannot be opened; or a lake in `reads` cannot be attached.
        """
        path = self.path
        _warn_without_pool()
        connection = _patiently(
            lambda: open_file(path, os.environ, read_only=read_only), path, self.wait_seconds
        )
        try:
            if self.reads:
                self._attach_lakes(connection)
            with naming_the_scratch(os.environ):
                yield connection
        finally:
            connection.close()

    @contextmanager
    def transaction(self, claim: Claim | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection whose body is one transaction: all of it is committed, or none when it raises.

        A claim's files are marked done after the commit, not with it: a run that is killed in between loads them
        again, so write them in a way that can be repeated (INSERT OR REPLACE, or delete and insert).

        Raises:
            duckdb.TransactionException: a statement failed and the body went on.
        """
        with self.connect() as connection, one_transaction(connection):
            yield connection
        if claim is not None:
            claim.finish()

    def _attach_lakes(self, connection: duckdb.DuckDBPyConnection) -> None:
        if not on_platform(os.environ):
            raise UserError(
                f"the lakes of {', '.join(self.reads)} are on a platform, and there is none here",
                "leave `reads` empty without a platform",
            )
        platform = config.current(os.environ)
        for location in self.reads:
            check_has_lake(platform, location)
        identity.check(platform, os.environ)
        load_extensions(connection)
        for location in self.reads:
            attach(connection, platform, location, os.environ, read_only=True)


def _no_file(location: str | None) -> UserError:
    if location is None:
        return UserError("this process belongs to no code location", "open the DuckDB file in a run")
    code = config.current(os.environ).code_locations.get(location)
    if code is None or code.duckdb_file is None:
        return UserError(
            f"code location '{location}' declares no DuckDB file",
            f"give it one in platform.yaml (code_locations.{location}.duckdb_file: warehouse.duckdb), or use LakeResource",
        )
    return UserError(
        f"only runs of code location '{location}' have its DuckDB file, and this process is none",
        "open it in an asset, op or asset check, not in a sensor, a schedule or at import",
    )


def _patiently(
    opening: Callable[[], duckdb.DuckDBPyConnection], path: Path, seconds: float
) -> duckdb.DuckDBPyConnection:
    """Open the file, again and again while another process has it, with growing pauses."""
    started = time.monotonic()
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            connection = opening()
        except duckdb.Error as error:
            if not _is_locked(error):
                raise _unopened(path, error) from None
            waited = time.monotonic() - started
            if waited >= seconds:
                raise _in_use(path, error, waited) from None
            if pause == FIRST_PAUSE_SECONDS:
                _logger().info(f"Waiting for {path}: {_holder(error)} has it open")
            # Two that wait for one file do not knock at the same moments.
            time.sleep(min(pause * random.uniform(0.5, 1.0), seconds - waited))  # noqa: S311 - no secret
            pause = min(pause * 1.6, LONGEST_PAUSE_SECONDS)
        else:
            return connection


def _is_locked(error: duckdb.Error) -> bool:
    return isinstance(error, duckdb.IOException) and "Could not set lock" in str(error)


def _holder(error: duckdb.Error) -> str:
    found = re.search(r"lock is held in (.+?) \(PID ([1-9]\d*)\)", str(error))
    return f"process {found[2]} ({found[1]})" if found else "a process of another container"


def _in_use(path: Path, error: duckdb.Error, waited: float) -> UserError:
    return UserError(
        f"{path} is in use: after {waited:.0f} s of waiting, {_holder(error)} has it open",
        f'everything that opens it belongs into one pool, @asset(pool="{duckdb_file_pool()}"), and holds its '
        "connection only while it reads or writes",
    )


def _unopened(path: Path, error: duckdb.Error) -> UserError:
    said = str(error).strip().splitlines()[0]
    if "different configuration" in said:
        return UserError(
            f"{path}: this process has it open already, and not with the same `read_only`",
            "use the open connection, or open both alike",
        )
    if "database does not exist" in said:
        return UserError(f"there is no {path} yet", "a connection that is not read_only makes it")
    if "Permission denied" in said:
        return UserError(
            f"{path} belongs to another user: {said}",
            "in containers the volume takes its owner from the location's image when it is new: build the image again, "
            "and remove the volume if it is empty",
        )
    return UserError(f"{path} cannot be opened: {said}")


def _step() -> OpExecutionContext | None:
    try:
        return OpExecutionContext.get()
    except DagsterInvariantViolationError:
        return None


def _logger() -> logging.Logger:
    step = _step()
    return log if step is None else step.log


def _warn_without_pool() -> None:
    """Tell, once for each step, that it takes no turns."""
    step = _step()
    if step is None or VARIABLE not in os.environ or step.op_def.pool == duckdb_file_pool():
        return
    key = (step.run_id, str(step.op_handle))
    if key not in _warned:
        _warned.add(key)
        step.log.warning(
            f"{step.op_def.name} opens the location's DuckDB file outside of its pool, and may wait for other runs with "
            f'the resources of this one held: give it pool="{duckdb_file_pool()}"'
        )
