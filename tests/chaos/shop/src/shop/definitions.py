"""Loads CSV and Parquet files. `orders` holds the last version of each key, `loads` every version that was loaded."""

import gzip
import os
import signal
from pathlib import Path

from dagster import AssetExecutionContext, Definitions, asset, define_asset_job, in_process_executor

from slipway.landing import LandedFile, LandingResource, landing_sensor
from slipway.resources import LakeResource

COLUMNS = {"key": "VARCHAR", "version": "INTEGER", "line": "INTEGER"}


def die_here(point: str) -> None:
    """Die as by the kernel's hand when a trap is set at this point; it is sprung once."""
    try:
        (Path(os.environ["CHAOS_TRAPS"]) / point).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def read(file: LandedFile) -> str:
    """The query that reads a file, strictly."""
    path = str(file.path).replace("'", "''")
    if file.key.endswith(".parquet"):
        return f"SELECT key, version, line FROM read_parquet('{path}')"
    with gzip.open(file.path) if file.key.endswith(".gz") else file.path.open("rb") as content:
        header = content.readline().decode(errors="replace").strip()
        # A gzip that ends too soon is noticed at its end only.
        while content.read(1 << 20):
            pass
    if header != ",".join(COLUMNS):
        raise ValueError(f"the header is {header[:100]!r}, expected {','.join(COLUMNS)!r}")
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in COLUMNS.items())
    return (
        f"FROM read_csv('{path}', header = true, auto_detect = false, delim = ',', columns = {{{columns}}})"
    )


@asset
def orders(context: AssetExecutionContext, inbox: LandingResource, lake: LakeResource) -> None:
    """The rows of the landed files."""
    batch = inbox.batch(context)
    die_here("after-claim")
    with lake.transaction(claim=batch) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS orders (file VARCHAR, key VARCHAR, version INTEGER, line INTEGER);"
            "CREATE TABLE IF NOT EXISTS loads (file VARCHAR, ledger_version VARCHAR, rows INTEGER)"
        )
        # Outside of the transaction, which an error in it would abort.
        reader = connection.cursor()
        reader.execute(
            "CREATE TABLE memory.main.incoming (file VARCHAR, key VARCHAR, version INTEGER, line INTEGER);"
            "CREATE TABLE memory.main.loaded (file VARCHAR, ledger_version VARCHAR, rows INTEGER)"
        )
        for file in batch.files:
            if file.path.read_bytes().startswith(b"poison"):
                raise ValueError(f"{file.key} is poison, and this asset does not see it coming")
            try:
                reader.execute(
                    f"INSERT INTO memory.main.incoming SELECT ?, * FROM ({read(file)})", [file.key]
                )
            except Exception as error:
                batch.quarantine(file, error)
                continue
            reader.execute(
                "INSERT INTO memory.main.loaded SELECT $1, $2, count(*) FROM memory.main.incoming WHERE file = $1",
                [file.key, file.version],
            )
        connection.execute("DELETE FROM orders WHERE file IN (SELECT file FROM memory.main.loaded)")
        connection.execute("INSERT INTO orders FROM memory.main.incoming")
        connection.execute("INSERT INTO loads FROM memory.main.loaded")
        die_here("before-commit")
    die_here("after-commit")


@asset(deps=[orders])
def total(context: AssetExecutionContext, lake: LakeResource) -> None:
    """What is downstream of the files: it must not stay behind them."""
    with lake.transaction() as connection:
        connection.execute("CREATE OR REPLACE TABLE total AS SELECT count(*) AS files FROM loads")


load = define_asset_job("load", selection=[orders, total], executor_def=in_process_executor)

defs = Definitions(
    assets=[orders, total],
    jobs=[load],
    sensors=[landing_sensor("inbox", job=load, max_files=250)],
    resources={"inbox": LandingResource(landing="inbox"), "lake": LakeResource()},
)
