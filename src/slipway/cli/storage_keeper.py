"""`slipway storage-keeper`: keeps the bundled S3 over restarts."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from threading import Event

import click

from slipway import config
from slipway.aws import s3_client
from slipway.config.connections import s3_settings
from slipway.config.errors import UserError
from slipway.ops import storage_keeper
from slipway.ops.health import KEEPER_STATUS


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("/var/lib/slipway/storage"),
    show_default=True,
    help="Where snapshots are kept.",
)
@click.option(
    "--status",
    type=click.Path(path_type=Path, dir_okay=False),
    default=KEEPER_STATUS,
    show_default=True,
    help="File that says how the storage is, once it is restored.",
)
def command(folder: Path, status: Path) -> None:
    """Restore the bundled S3 at start, save it at SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    platform = config.current()
    ref = storage_keeper.bundled_ref(platform)
    if ref is None:
        raise UserError(
            "platform.yaml uses no bundled S3", "run: slipway compose, which then leaves this service out"
        )
    client = s3_client(s3_settings(platform, ref))
    keeper = storage_keeper.Keeper(client, folder, storage_keeper.lake_in(platform, ref))
    sys.exit(storage_keeper.run(keeper, status, stop))
