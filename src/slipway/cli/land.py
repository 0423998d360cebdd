"""`slipway land`: sample files into a landing."""

from __future__ import annotations

import os
from pathlib import Path

import click
from botocore.exceptions import BotoCoreError, ClientError

from slipway import config
from slipway.aws import s3_client
from slipway.config.connections import s3_settings
from slipway.config.errors import UserError
from slipway.config.model import Landing, Platform
from slipway.demo_data import land_sample

REPORT_EVERY = 100


@click.command()
@click.option("--days", type=click.IntRange(min=1), help="Only what arrives on the first so many days.")
@click.option(
    "--landing", "name", help="Name of the landing in platform.yaml; needed when there are several."
)
def command(days: int | None, name: str | None) -> None:
    """Put the files of a simulated sandwich shop into a landing: a year of them, or the first days."""
    platform = config.current()
    landing = choose(platform, name)
    client = s3_client(s3_settings(platform, landing.storage_ref), public=True)
    folder = Path(os.environ.get("SLIPWAY_STATE") or ".slipway") / "cache" / "sample"
    click.echo("making the sample files (once, some ten seconds)")
    try:
        count = land_sample(
            client, landing.bucket, landing.prefix, folder=folder, days=days, progress=_report
        )
    except (BotoCoreError, ClientError) as error:
        raise UserError(
            f"nothing can be put into s3://{landing.bucket}: {error}",
            f"check the landing's bucket and storage.{landing.storage_ref} in platform.yaml, and whether that S3 runs",
        ) from error
    click.echo(f"{count} files are in s3://{landing.bucket}/{landing.prefix}")


def choose(platform: Platform, name: str | None) -> Landing:
    """The landing by its name, or the only one.

    Raises:
        UserError: there is none of that name, or more than one to choose from.
    """
    names = ", ".join(platform.landing) or "none"
    if name is None and len(platform.landing) == 1:
        return next(iter(platform.landing.values()))
    if name is None:
        raise UserError(f"which landing? platform.yaml has: {names}", "name one: --landing NAME")
    if name not in platform.landing:
        raise UserError(f"platform.yaml has no landing named {name}", f"it has: {names}")
    return platform.landing[name]


def _report(what: str, done: int, total: int) -> None:
    if what == "land" and (done % REPORT_EVERY == 0 or done == total):
        click.echo(f"landed {done} of {total}")
