"""`slipway check`: everything that is wrong with a platform.yaml, at once."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from slipway.config import loader
from slipway.config.errors import PlatformFileError, Problem, UserError
from slipway.config.model import Platform


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(file: Path | None, as_json: bool) -> None:
    """Check a platform.yaml and print all of its mistakes.

    FILE is $SLIPWAY_PLATFORM or ./platform.yaml unless given. The exit code is 2 when there are mistakes.
    """
    path = file or Path(os.environ.get(loader.PLATFORM) or loader.DEFAULT_FILE)
    try:
        platform = loader.inspect(path)
    except PlatformFileError as error:
        if not as_json:
            raise
        _print_json(path, error.problems)
        sys.exit(2)
    except UserError as error:
        if not as_json:
            raise
        _print_json(path, [Problem(str(path), None, None, (), error.message, error.hint)])
        sys.exit(2)
    if as_json:
        _print_json(path, [])
    else:
        click.echo(f"{path} is valid: {summary(platform)}")


def summary(platform: Platform) -> str:
    """What a platform consists of, in a line."""
    counts = {
        "code location": len(platform.code_locations),
        "landing": len(platform.landing),
        "resource profile": len({"default", *platform.infrastructure.resource_profiles}),
    }
    return ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items())


def _print_json(path: Path, problems: list[Problem]) -> None:
    result = {"file": str(path), "valid": not problems, "errors": [problem.as_json() for problem in problems]}
    click.echo(json.dumps(result, indent=2))
