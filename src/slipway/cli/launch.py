"""`slipway launch`: runs and backfills on the running platform."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml
from rich.console import Console
from rich.live import Live
from rich.text import Text

from slipway.config.errors import UserError
from slipway.launch.frozen import PROFILE_TAG
from slipway.ops.launching import following, partitions, submission, target
from slipway.ops.launching.following import Progress, TimedOut
from slipway.ops.launching.submission import Submitted
from slipway.ops.running import RunningPlatform, running

FAILED, TIMED_OUT, INTERRUPTED = 1, 124, 130


@click.command()
@click.option(
    "--assets",
    multiple=True,
    metavar="SELECTION",
    help="Keys with commas between them, or Dagster's selection syntax, such as 'group:marts' or '+fct_orders'.",
)
@click.option("--job", metavar="NAME", help="A job; with --assets, these assets of it.")
@click.option("--location", metavar="NAME", help="The code location, where several have such a job or asset.")
@click.option("--partition", metavar="KEY", help="One partition.")
@click.option("--partition-range", metavar="A...B", help="The partitions from A to B, both included.")
@click.option("--profile", metavar="NAME", help="Resource profile of the runs, before any other.")
@click.option("--tags", multiple=True, metavar="KEY=VALUE", help="A tag of the runs; may be repeated.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Run configuration, YAML or JSON.",
)
@click.option("--wait", is_flag=True, help="Follow it to its end; exit code 1 when it failed.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help=f"With --wait: stop waiting then, with exit code {TIMED_OUT}.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON; progress goes to standard error."
)
def command(
    assets: tuple[str, ...],
    job: str | None,
    location: str | None,
    partition: str | None,
    partition_range: str | None,
    profile: str | None,
    tags: tuple[str, ...],
    config_file: Path | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Launch assets or a job on the running platform, with its queue, profiles and limits.

    A partition range is one run where the assets' backfill policy says so, else a backfill.
    A job without --assets means all of its assets. Ctrl-C ends the waiting, never the run.
    """
    if not assets and job is None:
        raise click.UsageError("give --assets, --job or both")
    if timeout is not None and not wait:
        raise click.UsageError("--timeout goes with --wait")
    given = _tags(tags, profile)
    config = None if config_file is None else _config(config_file)
    with running(os.environ) as platform:
        what = target.find(platform, assets, job, location)
        submission.check_profile(platform, what, given)
        which = partitions.choose(platform, what, partition, partition_range)
        submitted = submission.submit(platform, what, which, given, config)
        # In JSON mode standard output is the machine's.
        console = Console(stderr=as_json)
        _say(console, f"submitted {submitted}: {what}{_at(submitted.page(platform))}")
        if submission.daemon_is_silent(platform, submitted):
            click.echo(
                "warning: no daemon has been heard of lately; until one runs, this stays queued", err=True
            )
        code, progress = _follow(platform, submitted, console, timeout) if wait else (0, None)
        if as_json:
            click.echo(json.dumps(_result(platform, submitted, progress), indent=2))
    sys.exit(code)


def _follow(
    platform: RunningPlatform, submitted: Submitted, console: Console, timeout: float | None
) -> tuple[int, Progress | None]:
    """Exit code and how it ended."""
    page = _at(submitted.page(platform))
    try:
        progress = _show(platform, submitted, console, timeout)
    except KeyboardInterrupt:
        _say(console, f"not waiting any longer; {submitted} goes on{page}")
        return INTERRUPTED, None
    except TimedOut:
        _say(console, f"not over after {timeout:g} s; {submitted} goes on{page}")
        return TIMED_OUT, None
    if progress.succeeded:
        return 0, progress
    for run_id, reason in following.failures(platform.instance, submitted):
        _say(console, f"{run_id}{_at(platform.page(f'runs/{run_id}'))}\n{reason}")
    return FAILED, progress


def _show(
    platform: RunningPlatform, submitted: Submitted, console: Console, timeout: float | None
) -> Progress:
    """Follow in place on a terminal, else as lines."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            return following.follow(
                platform.instance,
                submitted,
                lambda progress: live.update(Text(progress.line), refresh=True),
                timeout,
            )
    last = ""

    def say(progress: Progress) -> None:
        nonlocal last
        if progress.line != last:
            last = progress.line
            _say(console, last)

    return following.follow(platform.instance, submitted, say, timeout)


def _result(platform: RunningPlatform, submitted: Submitted, progress: Progress | None) -> dict[str, Any]:
    return {
        "run_id": submitted.run_id,
        "backfill_id": submitted.backfill_id,
        "url": submitted.page(platform),
        "over": progress is not None,
        "succeeded": None if progress is None else progress.succeeded,
        "runs": [
            {
                "run_id": run.run_id,
                "status": run.status.value,
                "partition": run.tags.get("dagster/partition"),
                "profile": run.tags.get(PROFILE_TAG),
                "profile_source": run.tags.get("slipway/profile_source"),
            }
            for run in following.runs(platform.instance, submitted)
        ],
        "failures": [
            {"run_id": run_id, "reason": reason}
            for run_id, reason in (
                following.failures(platform.instance, submitted) if progress is not None else []
            )
        ],
    }


def _tags(texts: tuple[str, ...], profile: str | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not (key and separator):
            raise UserError(f"--tags {text} is no tag", "write it as KEY=VALUE")
        found[key] = value
    if profile is not None:
        if found.get(PROFILE_TAG, profile) != profile:
            raise UserError(f"--profile {profile} and --tags {PROFILE_TAG}={found[PROFILE_TAG]} disagree")
        found[PROFILE_TAG] = profile
    return found


def _config(file: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file} cannot be read: {error}", "it must be YAML or JSON, in UTF-8") from error
    if not isinstance(found, dict):
        raise UserError(f"{file} is no run configuration", "it must be a mapping, with keys such as ops")
    return found


def _say(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)


def _at(page: str | None) -> str:
    return "" if page is None else f" ({page})"
