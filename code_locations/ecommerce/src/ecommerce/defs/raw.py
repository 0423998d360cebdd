"""Raw tables: the rows of the landed files, each with the file that it came in."""

from collections.abc import Iterator

import duckdb
from dagster import AssetExecutionContext, AssetSpec, MaterializeResult, multi_asset
from slipway.landing import LandingResource
from slipway.resources import LakeResource

from ecommerce.entities import ENTITIES, Entity
from ecommerce.incoming import Incoming
from ecommerce.tables import describe, pool, texts


@multi_asset(
    specs=[
        AssetSpec(
            f"raw_{entity.name}",
            description=f"{entity.description} As the source sent them.",
            group_name="raw",
            kinds={"s3", "ducklake"},
            owners=["team:data-platform"],
        )
        for entity in ENTITIES.values()
    ],
    pool=pool("raw"),
)
def raw(
    context: AssetExecutionContext, lake: LakeResource, jaffle_shop: LandingResource
) -> Iterator[MaterializeResult]:
    """Loads the run's files in one transaction: all of them are in the lake afterwards, or none.

    A file that lands again replaces what its key brought before. A file that cannot be read is quarantined
    with its error, and the others are loaded.
    """
    batch = jaffle_shop.batch(context)
    with lake.transaction(claim=batch) as connection:
        incoming = Incoming(connection.cursor(), batch.quarantine)
        incoming.read(batch.files)
        connection.execute("CREATE SCHEMA IF NOT EXISTS raw")
        for entity in ENTITIES.values():
            replace(connection, entity, [file.key for file in incoming.files[entity.name]])
        results = [
            MaterializeResult(
                asset_key=f"raw_{entity.name}",
                metadata={
                    **describe(connection, f"raw.{entity.name}"),
                    "files": len(incoming.files[entity.name]),
                },
            )
            for entity in ENTITIES.values()
        ]
    yield from results


def replace(connection: duckdb.DuckDBPyConnection, entity: Entity, keys: list[str]) -> None:
    """Put an entity's incoming rows into its raw table, in the place of what the same files brought before."""
    columns = ", ".join(f'"{name}" {kind}' for name, kind in entity.columns.items())
    table = f"raw.{entity.name}"
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {table} ({columns}, _key VARCHAR, _version VARCHAR, _loaded_at TIMESTAMPTZ)"
    )
    connection.execute(f"DELETE FROM {table} WHERE _key IN (SELECT unnest({texts(keys)}))")
    connection.execute(f"INSERT INTO {table} SELECT *, now() FROM memory.main.{entity.name}")
