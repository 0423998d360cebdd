"""`slipway compose`: brings docker-compose.yml in line with platform.yaml."""

from __future__ import annotations

from pathlib import Path

import click

from slipway.config import loader
from slipway.config.errors import UserError
from slipway.ops import compose


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when the compose file is stale.")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=Path("docker-compose.yml"),
    show_default=True,
    help="The compose file.",
)
@click.option(
    "--platform",
    "platform_path",
    type=click.Path(path_type=Path),
    default=Path("platform.yaml"),
    show_default=True,
    help="The platform that the containers run.",
)
def command(check: bool, path: Path, platform_path: Path) -> None:
    """Write the generated parts of docker-compose.yml: code locations, and what else follows from platform.yaml."""
    platform = loader.inspect(platform_path)
    instance = _read(path.with_name("dagster.yaml")).encode()
    text = _read(path)
    rendered = compose.render(text, platform, instance)
    if rendered == text:
        return
    if check:
        raise UserError(f"{path} does not match {platform_path}", "run: slipway compose")
    path.write_text(rendered, "utf-8")
    click.echo(f"{path}: written")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}", "take it as Slipway brings it") from error
