"""`slipway sql`: DuckDB on the lake."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
import duckdb

from slipway import config, identity
from slipway.config.connections import postgres_url
from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.ops.bootstrap_postgres import wait_for_postgres
from slipway.ops.results import Result, as_csv, as_json, as_table
from slipway.resources.duckdb import open_connection
from slipway.resources.lake import attach

PROMPT, CONTINUATION = "slipway> ", "    ...> "


@click.command()
@click.argument("statement", required=False)
@click.option("--json", "render", flag_value="json", help="Print an array of objects.")
@click.option("--csv", "render", flag_value="csv", help="Print CSV with a header.")
@click.option("--write", is_flag=True, help="Attach the lakes for writing too. Mind what runs beside you.")
def command(statement: str | None, render: str | None, write: bool) -> None:
    """Run one SQL statement, or a prompt, with the lake of each location attached under the location's name.

    For example: slipway sql "FROM ecommerce.marts.revenue_by_store_and_day LIMIT 5"
    """
    renderer = {"json": as_json, "csv": as_csv}.get(render or "", as_table)
    with lakes(config.current(), write=write) as connection:
        if statement is not None:
            click.echo(renderer(run(connection, statement)), nl=False)
        else:
            prompt(connection, renderer)


@contextmanager
def lakes(platform: Platform, *, write: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection with the lake of every location that has one; a DuckDB file is open to runs alone.

    Raises:
        UserError: Postgres does not answer, a lake cannot be attached, or the storage is not the one that the
            catalogues describe.
    """
    wait_for_postgres(platform, postgres_url(platform), 0)
    identity.check(platform, os.environ)
    connection = open_connection()
    try:
        for location in (name for name, code in platform.code_locations.items() if not code.duckdb_file):
            attach(connection, platform, location, read_only=not write)
        yield connection
    finally:
        connection.close()


def run(connection: duckdb.DuckDBPyConnection, statement: str) -> Result:
    """The result of one statement.

    Raises:
        UserError: it is none or several, or DuckDB refuses it.
    """
    try:
        statements = connection.extract_statements(statement)
        if len(statements) != 1:
            raise UserError(
                f"one statement, please: this is {len(statements)}", "for several, use the prompt"
            )
        result = connection.execute(statements[0])
        return Result([column[0] for column in result.description or []], result.fetchall())
    except duckdb.Error as error:
        raise UserError(str(error).strip()) from None


def prompt(connection: duckdb.DuckDBPyConnection, render: Callable[[Result], str]) -> None:
    """Read statements, each up to its semicolon, and print their results, until the end of input.

    Where the input is no terminal, the last one needs no semicolon and the first that fails is the end.

    Raises:
        UserError: a statement failed, and nobody is there to type another.
    """
    first, next_line = (PROMPT, CONTINUATION) if sys.stdin.isatty() else ("", "")
    if first:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - makes input() editable, with history

    ended = False
    while not ended:
        lines: list[str] = []
        try:
            lines.append(input(first))
            while lines != [""] and not lines[-1].rstrip().endswith(";"):
                lines.append(input(next_line))
        except KeyboardInterrupt:
            click.echo()
            continue
        except EOFError:
            ended = True
            if first:
                click.echo()
                return
        text = "\n".join(lines)
        if not text.strip(" ;\n"):
            continue
        try:
            click.echo(render(run(connection, text)), nl=False)
        except UserError as error:
            if not first:
                raise
            error.show(sys.stderr)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
