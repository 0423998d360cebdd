"""DuckDB connections: extensions from the installed wheels, settings from the run's profile."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from slipway.config.errors import UserError

EXTENSIONS = ("httpfs", "postgres_scanner", "ducklake")

SETTINGS = {
    "DUCKDB_MEMORY_LIMIT": "memory_limit",
    "DUCKDB_THREADS": "threads",
    "DUCKDB_MAX_TEMP_DIRECTORY_SIZE": "max_temp_directory_size",
    "DUCKDB_PRESERVE_INSERTION_ORDER": "preserve_insertion_order",
}
"""Environment variable to DuckDB setting. DuckDB itself reads no environment."""


SEALED = {
    "allow_unsigned_extensions": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""Nothing is downloaded, and nothing foreign is loaded."""


def open_connection(env: Mapping[str, str] = os.environ) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with the lake's extensions loaded and the profile's settings applied.

    Nothing is downloaded, now or later, and unsigned extensions are refused. The caller closes it.

    Raises:
        UserError: an extension's wheel is missing or of another DuckDB version, or a DUCKDB_* value is
            not one that DuckDB takes.
    """
    connection = duckdb.connect(config={**SEALED, "temp_directory": spill_folder(env)})
    try:
        load_extensions(connection)
        apply_settings(connection, env)
    except BaseException:
        connection.close()
        raise
    return connection


def open_file(
    path: Path, env: Mapping[str, str] = os.environ, *, read_only: bool = False
) -> duckdb.DuckDBPyConnection:
    """A DuckDB on a database file, with the profile's settings applied and no extension. The caller closes it.

    Connections of one process to one file share one DuckDB, so they must be opened alike.

    Raises:
        UserError: a DUCKDB_* value is not one that DuckDB takes.
        duckdb.Error: the file cannot be opened, as when another process has it open.
    """
    spill = _spill_folder_of(os.getpid(), env.get("DUCKDB_TEMP_DIRECTORY", ""))
    connection = duckdb.connect(path, read_only=read_only, config={**SEALED, "temp_directory": spill})
    try:
        apply_settings(connection, env)
    except BaseException:
        connection.close()
        raise
    return connection


def load_extensions(connection: duckdb.DuckDBPyConnection) -> None:
    """Load what the lake needs.

    Raises:
        UserError: an extension's wheel is missing or of another DuckDB version.
    """
    for extension in EXTENSIONS:
        connection.load_extension(str(extension_path(extension)))


def apply_settings(connection: duckdb.DuckDBPyConnection, env: Mapping[str, str]) -> None:
    """Apply the profile's settings and our own.

    Raises:
        UserError: a DUCKDB_* value is not one that DuckDB takes.
    """
    connection.execute("SET TimeZone = 'UTC'")
    # After two seconds the bar would be drawn into whatever reads standard output.
    connection.execute("SET enable_progress_bar = false")
    for variable, setting, value in settings(env):
        try:
            connection.execute(f"SET {setting} = {literal(value)}")
        except duckdb.Error as error:
            raise UserError(
                f"{variable}={value}: {str(error).splitlines()[0]}",
                "give it in the profile's env as DuckDB's documentation has it, or leave it out",
            ) from None


@functools.cache
def _spill_folder_of(_pid: int, parent: str) -> str:
    return spill_folder({"DUCKDB_TEMP_DIRECTORY": parent})


@contextmanager
def one_transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """A body that is one transaction: all of it is committed, or none when it raises.

    Raises:
        duckdb.TransactionException: the commit was refused, or a statement failed and the body went on.
    """
    connection.execute("BEGIN TRANSACTION")
    try:
        yield
        _check_alive(connection)
        connection.execute("COMMIT")
    except BaseException:
        # A refused commit has ended the transaction already; the first error is the one to report.
        with contextlib.suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        raise


def _check_alive(connection: duckdb.DuckDBPyConnection) -> None:
    """COMMIT of a transaction that an error has aborted is a ROLLBACK without a word; any other statement fails."""
    try:
        connection.execute("SELECT 1")
    except duckdb.TransactionException as error:
        raise duckdb.TransactionException(
            "a statement of this transaction failed and the body went on, but nothing of it can be committed: "
            f"let the error leave the body, or do without the transaction ({str(error).strip()})"
        ) from None


def spill_folder(env: Mapping[str, str]) -> str:
    """A new path below DUCKDB_TEMP_DIRECTORY, or the system's folder for temporary files, for one connection alone.

    DuckDB's spill files have fixed names: two processes that spill into one folder crash. It makes the folder
    when it spills, and removes it when it closes.
    """
    parent = Path(env.get("DUCKDB_TEMP_DIRECTORY", "").strip() or tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    return str(parent / f"duckdb-{uuid.uuid4().hex}")


def settings(env: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The settings that an environment asks for, as (variable, setting, value)."""
    for variable, setting in SETTINGS.items():
        if value := env.get(variable, "").strip():
            yield variable, setting, value


def extension_path(name: str) -> Path:
    """The file of an extension inside its installed wheel `duckdb_extension_<name>`.

    Raises:
        UserError: the wheel is not installed, or holds the extension of another DuckDB version.
    """
    package = f"duckdb_extension_{name}"
    spec = importlib.util.find_spec(package)
    wheel = package.replace("_", "-")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"the DuckDB extension {name} is not installed", f"install {wheel}=={duckdb.__version__}"
        )
    found = sorted(Path(spec.submodule_search_locations[0]).glob(f"extensions/*/{name}.duckdb_extension"))
    for path in found:
        if path.parent.name == f"v{duckdb.__version__}":
            return path
    raise UserError(
        f"{wheel} holds {', '.join(path.parent.name for path in found) or 'nothing'}, "
        f"but the installed DuckDB is v{duckdb.__version__}",
        f"lock both to one version: duckdb=={duckdb.__version__} and {wheel}=={duckdb.__version__}",
    )


def literal(text: str) -> str:
    """A text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
