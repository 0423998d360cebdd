"""`slipway profile`: the resource profiles, and which one a run gets."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import click

from slipway import config, profiles
from slipway.config import quantity
from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.launch import frozen, selection
from slipway.launch.adapter import Host
from slipway.launch.selection import Wishes
from slipway.ops import running
from slipway.ops.launching import target
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
    found = [_of(name) for name in sorted(profiles.known(platform))]
    users = explain.users(platform)
    if as_json:
        rows = [{**explain.as_json(one), "used_by": users.get(one.name, [])} for one in found]
        click.echo(json.dumps(rows, indent=2))
        return
    columns = ["profile", "cpu", "memory", "scratch", "duckdb memory", "threads", "used by"]
    table = [
        (
            one.name,
            *(
                f"{amount.request} … {amount.limit}" if amount.request else amount.limit
                for amount in explain.amounts(one)
            ),
            *(
                f"{setting.value}{' (given)' if setting.given else ''}"
                for setting in explain.settings(one)[:2]
            ),
            ", ".join(users.get(one.name, [])) or "-",
        )
        for one in found
    ]
    click.echo(as_table(Result(columns, table)), nl=False)
    click.echo("cpu and memory: request … limit. Jobs, assets and runs choose by the tag slipway/profile.")


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print an object.")
def show(name: str, as_json: bool) -> None:
    """Show all numbers of a profile, with the arithmetic of DuckDB's settings."""
    profile = _of(name)
    users = explain.users(config.current()).get(name, [])
    fitted, warnings, machine = _fit(profile)
    if as_json:
        _print(fitted, machine, warnings, {"used_by": users})
        return
    click.echo(f"profile {name}, used by: {', '.join(users) or 'nothing in platform.yaml'}")
    for line in _lines(fitted, machine, warnings):
        click.echo(line)


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
    platform = config.current()
    decided = selection.choose(platform, where, profile, wished)
    verdicts = explain.verdicts(selection.rules(platform, where, profile, wished))
    fitted, warnings, machine = _fit(decided)
    askers: dict[str, list[str]] = {}
    for key, asked in sorted(wished.assets.items()):
        askers.setdefault(asked, []).append(key.to_user_string())
    if as_json:
        rules = [{**vars(verdict), "asks": list(verdict.asks)} for verdict in verdicts]
        _print(
            fitted,
            machine,
            warnings,
            {"subject": subject, "rule": decided.source, "rules": rules, "assets": askers},
        )
        return
    click.echo(
        f"{subject} gets profile '{decided.name}', by rule '{decided.source}': {explain.RULES[decided.source]}"
    )
    click.echo("")
    table = [
        (
            verdict.rule,
            ", ".join(_asked(name, askers if verdict.rule == "asset" else {}) for name in verdict.asks)
            or "-",
            verdict.why,
        )
        for verdict in verdicts
    ]
    for line in as_table(Result(["rule", "asks for", "verdict"], table)).splitlines()[:-1]:
        click.echo(line)
    click.echo("")
    for line in _lines(fitted, machine, warnings):
        click.echo(line)


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
            where = (
                ""
                if origin is None
                else f" --location {origin.repository_origin.code_location_origin.location_name}"
            )
            raise UserError(
                f"run {run_id} is {run.status.value.lower().replace('_', ' ')} and was never launched,"
                " so nothing was chosen for it yet",
                f"what it would get: slipway profile explain{where} --job {run.job_name}",
            )
    profile = decided.profile
    now = _differs(platform, profile)
    if as_json:
        _print(
            profile,
            None,
            [],
            {"subject": f"run {run_id}", "rule": profile.source, "larger": decided.larger, "differs": now},
        )
        return
    click.echo(
        f"run {run_id} was given profile '{profile.name}' when it was launched,"
        f" by rule '{profile.source}': {explain.RULES[profile.source]}"
    )
    nearer = list(explain.RULES)[: list(explain.RULES).index(profile.source)]
    if nearer:
        click.echo(f"asked for nothing: {', '.join(nearer)}")
    click.echo("")
    for line in _lines(profile, None, []):
        click.echo(line)
    click.echo(f"next larger then: {decided.larger or 'none'}")
    if now:
        click.echo(f"platform.yaml says otherwise now: {now}. The run keeps what it was given.")


def _differs(platform: Platform, profile: ResolvedProfile) -> str:
    """What platform.yaml says of a frozen profile now, where that is something else."""
    names = profile.name.split("+")
    missing = [name for name in names if name not in profiles.known(platform)]
    if missing:
        return f"there is no profile '{missing[0]}' any more"
    current, _, _ = _fit(profiles.resolve(platform, "", asset_tags=names))
    before = {one.resource: one.limit for one in explain.amounts(profile)}
    after = {one.resource: one.limit for one in explain.amounts(current)}
    changed = [f"{name} {after[name]}" for name in before if before[name] != after[name]]
    return f"'{profile.name}' has {', '.join(changed)}" if changed else ""


def _of(name: str) -> ResolvedProfile:
    platform = config.current()
    if name not in profiles.known(platform):
        raise running.unknown("resource profile", name, profiles.known(platform), "platform.yaml")
    return profiles.resolve(platform, "", run_tag=name)


def _fit(profile: ResolvedProfile) -> tuple[ResolvedProfile, list[str], Host | None]:
    """The profile as this host would give it; one that it would refuse stays as it is, with the refusal."""
    machine = running.host()
    if machine is None:
        return profile, [], None
    try:
        fitted, warnings = frozen.fit(profile, machine)
    except UserError as error:
        return profile, [f"a run would be refused: {error.message}"], machine
    return fitted, warnings, machine


def _asked(name: str, askers: Mapping[str, list[str]]) -> str:
    return f"{name} ({', '.join(askers[name])})" if name in askers else name


def _lines(profile: ResolvedProfile, machine: Host | None, warnings: list[str]) -> Iterator[str]:
    """All numbers of a profile for people."""
    rows: list[tuple[Any, ...]] = [
        (one.resource, one.request or "-", one.limit or "-") for one in explain.amounts(profile)
    ]
    yield from as_table(Result(["resource", "request", "limit"], rows)).splitlines()[:-1]
    yield ""
    rows = [(one.name, one.value, one.why) for one in explain.settings(profile)]
    yield from as_table(Result(["DuckDB", "value", "why"], rows)).splitlines()[:-1]
    if profile.variables:
        yield ""
        yield from (f"env {name}={value}" for name, value in sorted(profile.variables.items()))
    if machine is not None:
        yield ""
        yield (
            f"this host has {quantity.format_cpu(machine.cpu)} cores and {quantity.readable(machine.memory)}"
            f"{'' if warnings else ': nothing is lowered'}"
        )
    yield from (f"warning: {warning}" for warning in warnings)


def _print(
    profile: ResolvedProfile, machine: Host | None, warnings: list[str], more: Mapping[str, Any]
) -> None:
    host = None if machine is None else {"cpu": quantity.format_cpu(machine.cpu), "memory": machine.memory}
    click.echo(
        json.dumps(
            {**more, "profile": explain.as_json(profile), "host": host, "warnings": warnings}, indent=2
        )
    )
