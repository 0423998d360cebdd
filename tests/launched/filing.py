"""Jobs that write the location's DuckDB file, and keep it open on request."""

import time
from pathlib import Path

import dagster as dg

from slipway.resources import DuckDBFileResource, duckdb_file_pool


class Visit(dg.Config):
    until: str = ""
    """The file is kept open until there is a file of this name."""


def _visit(context: dg.OpExecutionContext, config: Visit, file: DuckDBFileResource) -> None:
    with file.connect() as connection:
        opened = time.time()
        connection.execute(
            "CREATE TABLE IF NOT EXISTS visits (run VARCHAR PRIMARY KEY, opened DOUBLE, closed DOUBLE)"
        )
        context.log.info("has the file")
        while config.until and not Path(config.until).exists():
            time.sleep(0.05)
        connection.execute(
            "INSERT OR REPLACE INTO visits VALUES (?, ?, ?)", [context.run_id, opened, time.time()]
        )
        visits = connection.execute("SELECT run FROM visits ORDER BY opened").fetchall()
    context.log.info(f"visits: {[run for (run,) in visits]}")


@dg.op(pool=duckdb_file_pool("launched"))
def visit(context: dg.OpExecutionContext, config: Visit, file: DuckDBFileResource) -> None:
    _visit(context, config, file)


@dg.op
def visit_without_pool(context: dg.OpExecutionContext, config: Visit, file: DuckDBFileResource) -> None:
    _visit(context, config, file)


@dg.job(executor_def=dg.in_process_executor, resource_defs={"file": DuckDBFileResource()})
def visiting() -> None:
    visit()


@dg.job(executor_def=dg.in_process_executor, resource_defs={"file": DuckDBFileResource()})
def visiting_without_pool() -> None:
    visit_without_pool()
