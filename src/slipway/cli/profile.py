"""`slipway profile`: the resource profiles, and which one a run gets."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from slipway import config, profiles
from slipway.config.errors import UserError
from slipway.launch import frozen, selection
from slipway.launch.selection import Wishes
from slipway.ops import profile_report, running
from slipway.ops.launching import target
from slipway.ops.profile_report import Numbers
from slipway.ops.results import Result, as_table
from slipway.profiles import ResolvedProfile, explain


@click.group()
def command() -> None:
    """Show resource profiles, and explain which one a run gets."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects.")
def list_profiles(as_json: bool) -> None:
    """List all profiles with their numbers, and who names them in platform.yaml."""
    platform = config.current()
    users = explain.users(platform)
    found = [_named(name) for name in sorted(profiles.known(platform))]
    if as_json:
        _print([{**explain.as_json(one), "used_by": users.get(one.name, [])} for one in found])
        return
    rows = []
    for one in found:
        amounts = [
            f"{amount.request} … {amount.limit}" if amount.request else amount.limit
            for amount in explain.amounts(one)
        ]
        memory, threads = (
            f"{setting.value}{' (given)' if setting.given else ''}" for setting in explain.settings(one)[:2]
        )
        rows.append(
            (
                one.name,
                *amounts,
                memory,
                threads,
                one.on_oom or "-",
                ", ".join(users.get(one.name, [])) or "-",
            )
        )
    columns = ["profile", "cpu", "memory", "scratch", "duckdb memory", "threads", "on_oom", "used by"]
    click.echo(as_table(Result(columns, rows)), nl=False)
    click.echo("cpu and memory: request … limit. Jobs, assets and runs choose by the tag slipway/profile.")


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print an object.")
def show(name: str, as_json: bool) -> None:
    """Show all numbers of a profile on this host, with the arithmetic of DuckDB's settings."""
    numbers = profile_report.fit(_named(name), running.host())
    users = explain.users(config.current()).get(name, [])
    if as_json:
        _print({"used_by": users, **numbers.as_json()})
        return
    click.echo(f"profile {name}, used by: {', '.join(users) or 'nothing in platform.yaml'}")
    click.echo("\n".join(numbers.lines()))


@command.command("explain")
@click.option("--location", metavar="NAME", help="A code location.")
@click.option("--job", metavar="NAME", help="A job; all of its assets count unless --asset names some.")
@click.option(
    "--asset", "assets", multiple=True, metavar="SELECTION", help="Selected assets; as in `slipway launch`."
)
@click.option("--profile", metavar="NAME", help="As if the run asked for this profile.")
@click.option("--run", "run_id", metavar="ID", help="A run that was launched: what it was given then.")
@click.option("--json", "as_json", is_flag=True, help="Print an object.")
def explain_command(
    location: str | None,
    job: str | None,
    assets: tuple[str, ...],
    profile: str | None,
    run_id: str | None,
    as_json: bool,
) -> None:
    """Say which profile a location, job, asset or run gets, and which rule decides.

    Jobs and assets are asked of the running platform, a location alone of platform.yaml.
    """
    if run_id is not None:
        if location or job or assets or profile:
            raise click.UsageError("--run stands alone")
        _explain_run(run_id, as_json)
        return
    if not (location or job or assets):
        raise click.UsageError("give --location, --job, --asset or --run")
    subject, where, wished = _subject(location, job, assets)
    choice = profile_report.choose(config.current(), where, profile, wished)
    numbers = profile_report.fit(choice.profile, running.host())
    if as_json:
        _print({"subject": subject, **choice.as_json(), **numbers.as_json()})
        return
    click.echo(f"{subject}: profile '{choice.profile.name}', {_by(choice.profile)}\n")
    click.echo("\n".join([*choice.lines(), "", *numbers.lines()]))


def _subject(location: str | None, job: str | None, assets: tuple[str, ...]) -> tuple[str, str, Wishes]:
    """What is explained, its code location, and what its job and assets ask for."""
    if job is None and not assets:
        name = str(location)
        running.check_location(config.current(), name)
        return f"a run of {name} whose job and assets ask for nothing", name, Wishes()
    with running.running(os.environ) as platform:
        found = target.find(platform, assets, job, location)
        return str(found), found.location, selection.wishes_of(found.repository, found.job, found.keys)


def _explain_run(run_id: str, as_json: bool) -> None:
    with running.instance(os.environ) as (platform, instance):
        run = instance.get_run_by_id(run_id)
    if run is None:
        raise UserError(f"there is no run '{run_id}'", "the UI and `dagster run list` have the whole ids")
    decided = frozen.read(run.tags, run_id)
    if decided is None:
        origin = run.remote_job_origin
        place = None if origin is None else origin.repository_origin.code_location_origin.location_name
        job = "" if run.job_name.startswith("__") else f" --job {run.job_name}"
        selected = "".join(f" --asset {key.to_user_string()}" for key in sorted(run.asset_selection or ()))
        raise UserError(
            f"run {run_id} ({run.status.value}) was not launched by Slipway, or not yet: nothing was chosen for it",
            f"what it would get: slipway profile explain{f' --location {place}' if place else ''}{job}{selected}",
        )
    given = decided.profile
    now = profile_report.differences(platform, given, running.host())
    numbers = Numbers(given)
    if as_json:
        more = {"rule": given.source, "next_larger": decided.larger, "differs_now": now}
        _print({"subject": f"run {run_id}", **more, **numbers.as_json()})
        return
    click.echo(f"run {run_id}: profile '{given.name}', {_by(given)}")
    nearer = list(explain.RULES)[: list(explain.RULES).index(given.source)]
    if nearer:
        click.echo(f"asked for nothing: {', '.join(nearer)}")
    click.echo("\n".join(["", *numbers.lines(), "", f"next larger, then: {decided.larger or 'none'}"]))
    if now:
        click.echo(f"platform.yaml says otherwise now: {now}. The run keeps what it was given.")


def _by(profile: ResolvedProfile) -> str:
    return f"by rule '{profile.source}' ({explain.RULES[profile.source]})"


def _named(name: str) -> ResolvedProfile:
    platform = config.current()
    if name not in profiles.known(platform):
        raise running.unknown("resource profile", name, profiles.known(platform), "platform.yaml")
    return profiles.resolve(platform, "", run_tag=name)


def _print(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))
