"""`slipway landing`: what became of the files that landed, and what to do about those that did not become rows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click
import psycopg2.errors
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from slipway import config
from slipway.config.connections import postgres_url
from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.database.engine import engine
from slipway.landing import inspect, ledger
from slipway.landing.inspect import STATES, Refused, Version
from slipway.ops import landing_report as report
from slipway.ops.bootstrap_postgres import wait_for_postgres
from slipway.ops.results import as_table, printable

PATIENCE_SECONDS = 30
"""How long a change waits for the daemon, which takes a landing in for seconds at a time."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
landing_option = click.option(
    "--landing", "landing", metavar="NAME", help="The landing, where a key is in several."
)


@click.group()
def command() -> None:
    """The landed files: what waits, what became of each, and another try.

    An object is named by its key, by s3://bucket/key or by its number. Keys are printed with whatever a terminal
    would not show as \\x.. or \\u....; numbers are easier to type.
    """


@command.command("list")
@click.argument("landing", required=False)
@click.option("--state", type=click.Choice(STATES), help="Only objects in this state.")
@click.option("--prefix", default="", help="Only objects whose keys begin so.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="At most so many, newest first.",
)
@as_json
def list_(landing: str | None, state: str | None, prefix: str, limit: int, as_json: bool) -> None:
    """All landings, with what waits and what runs; or the objects of one LANDING."""
    platform = config.current()
    if landing is None and (state or prefix):
        raise UserError(
            "objects of which landing?", f"name one: {', '.join(platform.landing) or 'there is none'}"
        )
    with ledger_of(platform) as connection:
        if landing is None:
            overview(platform, connection, as_json)
            return
        check_name(platform, connection, landing)
        found = inspect.objects(connection, landing, state=state, prefix=prefix, limit=limit + 1)
    more = len(found) > limit
    found = found[:limit]
    if as_json:
        click.echo(
            _json({"landing": landing, "objects": [asdict(version) for version in found], "more": more})
        )
        return
    click.echo(as_table(report.objects(found)), nl=False)
    if more:
        click.echo(
            f"there are more; --limit {2 * limit} shows them, `slipway landing show ID` one of them whole"
        )


def check_name(platform: Platform, connection: Connection, landing: str) -> None:
    """Raise UserError unless platform.yaml or the ledger knows a landing of this name."""
    if landing in platform.landing or inspect.knows(connection, landing):
        return
    known = {summary.landing for summary in inspect.summaries(connection)} | set(platform.landing)
    raise UserError(
        f"there is no landing named {landing}", f"there are: {', '.join(sorted(known)) or 'none'}"
    )


def overview(platform: Platform, connection: Connection, as_json: bool) -> None:
    """Print all landings, declared or only known to the ledger."""
    known = {summary.landing: summary for summary in inspect.summaries(connection)}
    summaries = [known.get(name, inspect.Summary(name)) for name in sorted({*known, *platform.landing})]
    halted = ledger.halted(connection)
    depths = dict(report.depths(platform, connection))
    if as_json:
        click.echo(
            _json(
                {
                    "halted": halted,
                    "landings": [
                        {
                            **asdict(one),
                            "states": {state: one.states.get(state, 0) for state in STATES},
                            "declared": one.landing in platform.landing,
                        }
                        for one in summaries
                    ],
                    "queues": depths,
                }
            )
        )
        return
    if halted:
        click.echo(f"everything stands still: {halted}\n")
    click.echo(as_table(report.overview(summaries)), nl=False)
    for one in summaries:
        if one.landing not in platform.landing:
            click.echo(f"{one.landing} is not in platform.yaml: its files wait until it is declared again")
    for storage, depth in depths.items():
        click.echo(f"queue of storage {storage}: {report.depth(depth)}")
    batches = [found for one in summaries for found in one.batches]
    if batches:
        click.echo("\nopen batches:")
        click.echo(as_table(report.batches(batches)), nl=False)


@command.command()
@click.argument("reference", metavar="KEY|ID")
@landing_option
@as_json
def show(reference: str, landing: str | None, as_json: bool) -> None:
    """Everything that is known of one object: its versions, and the batches and runs that had each."""
    with ledger_of(config.current()) as connection:
        versions = inspect.find(connection, reference, landing)
        if not versions:
            raise _unknown(reference, landing)
        told = [
            (version, inspect.history(connection, version.batch_id) if version.batch_id else [])
            for version in versions
        ]
    if as_json:
        click.echo(
            _json(
                [
                    {**asdict(version), "batches": [asdict(one) for one in batches]}
                    for version, batches in told
                ]
            )
        )
        return
    click.echo("\n".join(report.told(version, batches) for version, batches in told), nl=False)


@command.command()
@click.argument("references", metavar="KEY|ID...", nargs=-1)
@landing_option
@click.option("--all", "everything", is_flag=True, help="All that the landing holds back.")
@as_json
def retry(references: Sequence[str], landing: str | None, everything: bool, as_json: bool) -> None:
    """Let quarantined files wait again, and files whose batch waits for a later time go now."""
    platform = config.current()
    if everything == bool(references):
        raise UserError("which files?", "name them, or give --all and --landing NAME")
    if everything and landing is None:
        raise UserError(
            "all files of which landing?", f"name it: --landing {' or '.join(platform.landing) or 'NAME'}"
        )
    with changing(platform) as connection:
        if not everything:
            done = _refusing(lambda: inspect.retry(connection, _chosen(connection, references, landing)))
            _report(connection, done, as_json)
            return
        assert landing is not None
        check_name(platform, connection, landing)
        again, overtaken, due = inspect.retry_all(connection, landing)
    if as_json:
        click.echo(_json({"waiting_again": again, "overtaken": overtaken, "batches_due": due}))
        return
    click.echo(f"{again} quarantined files wait again, {due} batches are due now")
    if overtaken:
        click.echo(f"{overtaken} stay quarantined: a newer version of their key has arrived")


@command.command()
@click.argument("references", metavar="KEY|ID...", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why, for whoever looks at it later.")
@landing_option
@as_json
def quarantine(references: Sequence[str], reason: str, landing: str | None, as_json: bool) -> None:
    """Set files aside that no run has read yet. A file put again under the same key is taken as a new one."""
    if not reason.strip():
        raise UserError("the reason is empty", "say why: --reason 'TEXT'")
    with changing(config.current()) as connection:
        done = _refusing(
            lambda: inspect.quarantine(connection, _chosen(connection, references, landing), reason)
        )
        _report(connection, done, as_json)


def _chosen(connection: Connection, references: Sequence[str], landing: str | None) -> list[Version]:
    """The newest version of each key, or the very version of each number. Raises UserError for what is unclear."""
    chosen: dict[int, Version] = {}
    for reference in references:
        versions = inspect.find(connection, reference, landing)
        if not versions:
            raise _unknown(reference, landing)
        places = sorted({(version.landing, version.bucket) for version in versions})
        if len(places) > 1:
            raise UserError(
                f"{printable(reference)} is in several landings: {', '.join(f'{name} (s3://{bucket})' for name, bucket in places)}",
                "name one with --landing, or the object by its number",
            )
        chosen[versions[0].id] = versions[0]
    return list(chosen.values())


def _refusing(change: Any) -> dict[int, str]:
    try:
        found: dict[int, str] = change()
    except Refused as refused:
        reasons = [printable(reason) for reason in refused.reasons]
        count = "" if len(reasons) == 1 else f"{len(reasons)} of them cannot be: "
        raise UserError(
            f"{count}{'; '.join(reasons)}", "nothing was changed; `slipway landing show` tells more"
        ) from None
    return found


def _report(connection: Connection, done: Mapping[int, str], as_json: bool) -> None:
    changed = [version for number in done for version in inspect.find_ids(connection, [number])]
    if as_json:
        click.echo(_json([{"done": done[version.id], **asdict(version)} for version in changed]))
        return
    for version in changed:
        click.echo(f"{version.landing}: {printable(version.key)} ({version.id}): {done[version.id]}")


def _unknown(reference: str, landing: str | None) -> UserError:
    where = f"the landing {landing}" if landing else "any landing"
    return UserError(
        f"the ledger knows no object {printable(reference)} in {where}",
        "`slipway landing list NAME --prefix …` finds it; what has just arrived may take a moment",
    )


@contextmanager
def ledger_of(platform: Platform) -> Iterator[Connection]:
    """A transaction on the ledger, committed when the body ends well.

    Raises UserError when Postgres does not answer, or has no ledger.
    """
    url = postgres_url(platform, os.environ)
    wait_for_postgres(platform, url, 0)
    with engine(url).begin() as connection:
        if connection.execute(text("SELECT to_regclass('slipway_ledger.landing_consumer')")).scalar() is None:
            raise UserError("the database has no ledger of this version", "run `slipway bootstrap`")
        yield connection


@contextmanager
def changing(platform: Platform) -> Iterator[Connection]:
    """The same for a change, which waits for the daemon's intake, but not for ever."""
    try:
        with ledger_of(platform) as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE_SECONDS}s'"))
            yield connection
    except OperationalError as error:
        if not isinstance(error.orig, psycopg2.errors.LockNotAvailable):
            raise
        raise UserError(
            f"the daemon has been taking this landing in for {PATIENCE_SECONDS} s; nothing was changed",
            "try again",
        ) from None


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, default=lambda moment: moment.isoformat())
