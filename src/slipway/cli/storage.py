"""`slipway storage`: what to do when the storage is not the one that the catalogue describes."""

from __future__ import annotations

import os

import click

from slipway import config
from slipway.config.errors import UserError
from slipway.ops.bootstrap import reset as reset_storage


@click.group()
def command() -> None:
    """The storage behind the lake's catalogue and the ledger."""


@command.command()
@click.option("--yes", is_flag=True, help="Really do it.")
def reset(yes: bool) -> None:
    """Give up the lake's tables and the ledger, and begin anew on the storage that is there.

    Files in S3 stay, and all files that are in the landings are taken in again.
    """
    if not yes:
        raise UserError(
            "this drops the lake's catalogues of all locations, with every table in them, and empties the ledger",
            "stop the daemon, then repeat it with --yes; `slipway bootstrap` makes empty catalogues",
        )
    reset_storage(config.current(), os.environ, click.echo)
