"""The Dagster resource through which assets read and write the lake."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import duckdb
from dagster import ConfigurableResource
from pydantic import Field

from slipway import config, identity
from slipway.config.presence import on_platform
from slipway.resources.duckdb import identifier, literal, one_transaction, open_connection
from slipway.resources.lake import attach, attach_local, check_has_lake
from slipway.resources.scratch import naming_the_scratch

LOST = re.compile(
    r"server closed the connection|terminating connection|could not connect to server|connection to server"
    r"|no connection to the server|ssl connection has been closed|could not establish connection"
    r"|transaction conflict|another transaction has"
    # All that is left of a commit whose connection is gone.
    r"|failed to commit: failed to execute query \"rollback\":\s*$",
    re.IGNORECASE,
)
"""What DuckDB's errors say when Postgres or S3 is away, or another run was faster: nothing about the data."""


class LakeUnavailable(duckdb.OperationalError):
    """The lake's Postgres or S3 was away, or another transaction was in the way: the same work may succeed later."""


class Claim(Protocol):
    """What a transaction commits on behalf of: a batch of landed files that this run owns."""

    @property
    def claim_token(self) -> str | None:
        """The claim's token; None when nothing is claimed."""

    def finish(self) -> None:
        """Mark the claim's files done where the commit has not; fails when the claim was taken back."""


class LakeResource(ConfigurableResource):  # type: ignore[type-arg]
    """The lake of the code location that uses it.

    On a platform, that is the location's DuckLake: catalogue in Postgres, data in S3, any number of
    processes at once. Without one (neither SLIPWAY_PLATFORM nor SLIPWAY_PLATFORM_JSON is set, as under
    plain `dagster dev`) it is a DuckLake in a local folder.
    """

    reads: list[str] = Field(default=[], description="Other locations whose lakes are attached, read-only.")
    local_name: str = Field(
        default="lake", description="Name of the lake where no platform names the location."
    )
    local_folder: str = Field(default=".lake", description="Folder of the lake where there is no platform.")

    @contextmanager
    def connect(self, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """A DuckDB connection in which the location's lake is the current database.

        It is closed at the end, also when the body raises. Settings are those of the run's profile.

        Raises:
            UserError: the location has a DuckDB file instead; or the lake cannot be attached, or the bucket is
                not the one that its catalogue describes.
            LakeUnavailable: Postgres or S3 went away meanwhile.
        """
        connection = open_connection(os.environ)
        try:
            location = os.environ.get("SLIPWAY_LOCATION") or self.local_name
            if on_platform(os.environ):
                platform = config.current(os.environ)
                for needed in (location, *self.reads):
                    check_has_lake(platform, needed)
                identity.check(platform, os.environ)
                attach(connection, platform, location, os.environ, read_only=read_only)
                for other in self.reads:
                    attach(connection, platform, other, os.environ, read_only=True)
            else:
                folder = Path(self.local_folder)
                attach_local(connection, folder, location, read_only=read_only)
                for other in self.reads:
                    attach_local(connection, folder, other, read_only=True)
            connection.execute(f"USE {identifier(location)}")
            with naming_the_scratch(os.environ):
                yield connection
        except duckdb.Error as error:
            if not LOST.search(str(error)):
                raise
            raise LakeUnavailable(f"the lake could not be used to the end: {error}") from error
        finally:
            connection.close()

    @contextmanager
    def transaction(self, claim: Claim | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection whose body is one transaction: all of it is committed, or none when it raises.

        With a claim, the commit carries the claim's token; the platform marks the claim's files done in the
        same transaction, or refuses the commit when the claim is no longer this run's.

        Raises:
            duckdb.TransactionException: the commit was refused, or a statement failed and the body went on; the
                message says which.
            LakeUnavailable: Postgres or S3 went away meanwhile, or another transaction was faster. Whether a lost
                commit has happened, only the lake knows; a claim makes that certain.
        """
        with self.connect() as connection, one_transaction(connection):
            yield connection
            if claim is not None and claim.claim_token:
                _sign(connection, claim.claim_token)
        if claim is not None:
            claim.finish()


def _sign(connection: duckdb.DuckDBPyConnection, token: str) -> None:
    row = connection.execute("SELECT current_database()").fetchone()
    assert row is not None
    extra = json.dumps({"slipway_claim": token})
    connection.execute(
        f"CALL {identifier(row[0])}.set_commit_message('slipway', {literal(f'landing batch {token}')}, "
        f"extra_info => {literal(extra)})"
    )
