"""The command line: one module per verb, each with a click command called `command`."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import click

from slipway import __version__
from slipway.config.errors import UserError


class Verbs(click.Group):
    """Finds the verbs in this package and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every verb, by the name its user types."""
        return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb, or None, which click reports with the nearest name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="slipway")
def cli() -> None:
    """Run a Dagster platform from one platform.yaml."""


def main() -> None:
    """Entry point: a user's mistake ends in two lines and exit code 2, a bug in a traceback."""
    try:
        cli()
    except UserError as error:
        error.show(sys.stderr)
        sys.exit(2)
