"""`slipway smoke-test`: whether a platform works, asked from within; it is what `helm test` runs."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

import click

from slipway import config
from slipway.ops.smoke.testing import smoke_test


@click.command()
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="How long all of it may take.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON; progress goes to standard error."
)
def command(timeout: float, as_json: bool) -> None:
    """Ask Postgres, S3, code servers, webserver and daemon whether they answer; then land a file and see its table.

    What it lands, platform.yaml says in kubernetes.test; without that, nothing. The exit code is 1 when something fails.
    """
    results = smoke_test(config.current(), os.environ, lambda line: click.echo(line, err=as_json), timeout)
    passed = all(result.passed for result in results)
    if as_json:
        click.echo(json.dumps({"passed": passed, "checks": [asdict(one) for one in results]}, indent=2))
    sys.exit(0 if passed else 1)
