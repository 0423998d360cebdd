"""The jaffle shop's year, landed, loaded, and compared with what plain DuckDB makes of the same objects."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dagster import DagsterInstance, JobDefinition, RunRequest, SensorDefinition, build_sensor_context
from sqlalchemy import text

from slipway.aws import s3_client
from slipway.config.connections import S3Settings
from slipway.config.loader import load
from slipway.database.engine import engine
from slipway.demo_data import land, make_sample
from slipway.landing import intake
from slipway.ops.bootstrap import bootstrap
from slipway.resources import LakeResource

ROOT = Path(__file__).parents[2]
FIRST_DAYS = 66
"""A correction of day 64 arrives on day 68: this cut loads the wrong file before the right one exists."""


@dataclass
class Shop:
    """A bootstrapped platform with the ecommerce location, driven by hand."""

    platform: Any
    postgres_url: str
    s3: Any
    bucket: str
    instance: DagsterInstance
    job: JobDefinition
    sensor: SensorDefinition

    def take_in(self) -> None:
        """What the daemon does: list the landing into the ledger."""
        landing = self.platform.landing["jaffle_shop"]
        while not intake.reconcile(engine(self.postgres_url), self.s3, "jaffle_shop", landing, 60).complete:
            pass

    def run_until_idle(self) -> int:
        """What sensor and launcher do: one run after another, until nothing waits; the number of runs."""
        runs = 0
        while requests := self.requests():
            for request in requests:
                result = self.job.execute_in_process(instance=self.instance, tags=dict(request.tags))
                assert result.success
                runs += 1
        return runs

    def requests(self) -> list[RunRequest]:
        with build_sensor_context(instance=self.instance) as context:
            return list(self.sensor.evaluate_tick(context).run_requests or [])

    def ledger(self) -> dict[str, int]:
        """How many objects are in which state."""
        return {state: int(count) for state, count in self.query("SELECT state, count(*) FROM {} GROUP BY 1")}

    def query(self, statement: str) -> list[Any]:
        with engine(self.postgres_url).connect() as connection:
            schema = connection.execute(
                text("SELECT table_schema FROM information_schema.tables WHERE table_name = 'landing_object'")
            ).scalar_one()
            return list(connection.execute(text(statement.format(f"{schema}.landing_object"))))


@pytest.fixture(scope="session")
def sample(pytestconfig: pytest.Config) -> Path:
    """The sample, kept from one test run to the next."""
    return make_sample(pytestconfig.cache.mkdir("slipway-sample"))


@pytest.fixture
def shop(
    platform_env: dict[str, str],
    postgres_url: str,
    s3_settings: S3Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shop]:
    unique = uuid.uuid4().hex
    file = tmp_path / "platform.yaml"
    file.write_text(f"""
lake: {{bucket: lake-{unique}, prefix: warehouse/}}
landing:
  jaffle_shop: {{bucket: landing-{unique}, mode: list}}
code_locations:
  ecommerce:
    path: {ROOT}/code_locations/ecommerce
    image: {{repository: slipway/ecommerce, tag: test}}
""")
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(
        "storage: {postgres: {postgres_url: {env: SLIPWAY_POSTGRES_URL}}}\ntelemetry: {enabled: false}\n"
    )
    env = {
        **platform_env,
        "DAGSTER_HOME": str(home),
        "SLIPWAY_PLATFORM": str(file),
        "SLIPWAY_LOCATION": "ecommerce",
        "SLIPWAY_SCRATCH": str(tmp_path),
        "DUCKDB_MEMORY_LIMIT": "512MiB",
        "DUCKDB_THREADS": "1",
        "DUCKDB_TEMP_DIRECTORY": str(tmp_path / "duckdb"),
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(ROOT / "code_locations/ecommerce/src"))
    from ecommerce.definitions import defs

    platform = load(file)
    bootstrap(platform, env, lambda line: None, 20)
    repository = defs().get_repository_def()
    with DagsterInstance.ephemeral() as instance:
        yield Shop(
            platform,
            postgres_url,
            s3_client(s3_settings),
            f"landing-{unique}",
            instance,
            repository.get_job("load_jaffle_shop"),
            repository.get_sensor_def("jaffle_shop_landing"),
        )


def test_every_figure_of_the_marts_is_what_plain_duckdb_computes(
    shop: Shop, sample: Path, tmp_path: Path
) -> None:
    first = land(shop.s3, shop.bucket, "", sample, days=FIRST_DAYS)
    shop.take_in()
    assert shop.run_until_idle() == 1
    with LakeResource().connect(read_only=True) as lake:
        assert lake.execute("SELECT max(day) FROM marts.revenue_by_store_and_day").fetchone() is not None

    everything = land(shop.s3, shop.bucket, "", sample)
    assert everything > first
    shop.take_in()
    assert shop.run_until_idle() >= 2

    objects = download(shop, tmp_path / "objects")
    states = shop.ledger()
    assert states.pop("quarantined") == 1
    assert set(states) <= {"done", "superseded"}
    ((broken, error),) = shop.query("SELECT key, error FROM {} WHERE state = 'quarantined'")
    assert broken == "tweets/2018-09-05.jsonl"
    assert "Malformed JSON" in error

    (objects / broken).unlink()
    expected = truth(objects)
    assert len(expected["fct_orders"]) > 60_000
    with LakeResource().connect(read_only=True) as lake:
        for table, rows in expected.items():
            found = lake.execute(f"SELECT * FROM marts.{table} ORDER BY ALL").fetchall()
            assert len(found) == len(rows), table
            assert found == rows, table


def test_a_correction_replaces_what_its_file_brought(shop: Shop) -> None:
    header = "id,customer,ordered_at,store_id,subtotal,tax_paid,order_total\n"

    def put(day: str, *orders: tuple[str, int]) -> None:
        lines = "".join(f"{name},c,{day}T10:00:00,s,{amount},0,{amount}\n" for name, amount in orders)
        shop.s3.put_object(Bucket=shop.bucket, Key=f"orders/{day}.csv", Body=(header + lines).encode())

    def load() -> None:
        shop.take_in()
        assert shop.run_until_idle() == 1

    put("2020-01-01", ("a", 100), ("b", 200))
    put("2020-01-02", ("c", 400))
    load()
    put("2020-01-01", ("a", 150))
    load()
    with LakeResource().connect(read_only=True) as lake:
        orders = lake.execute("SELECT order_id, order_total FROM marts.fct_orders ORDER BY 1").fetchall()
    assert [(name, float(total)) for name, total in orders] == [("a", 1.5), ("c", 4.0)]
    assert shop.ledger() == {"done": 3}


def download(shop: Shop, folder: Path) -> Path:
    """The landing's objects as files: of each key what is there now."""
    for page in shop.s3.get_paginator("list_objects_v2").paginate(Bucket=shop.bucket):
        for item in page["Contents"]:
            path = folder / item["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(shop.s3.get_object(Bucket=shop.bucket, Key=item["Key"])["Body"].read())
    return folder


def truth(objects: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The marts by other means: DuckDB over the files as they are, each row once, with nothing of the location's."""
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        for entity in ("customers", "items", "orders", "products", "stores", "supplies", "tweets"):
            parts = []
            for pattern, reader in (
                ("*.csv*", "read_csv"),
                ("*.jsonl*", "read_json_auto"),
                ("*.parquet", "read_parquet"),
            ):
                if list((objects / entity).glob(pattern)):
                    parts.append(f"SELECT * FROM {reader}('{objects}/{entity}/{pattern}')")
            db.execute(
                f"CREATE TABLE {entity} AS SELECT DISTINCT * FROM ({' UNION ALL BY NAME '.join(parts)})"
            )
        db.execute("""
            CREATE VIEW sold AS
            SELECT CAST(i.id AS VARCHAR) AS item, i.order_id, p.*,
                   (SELECT sum(s.cost) FROM supplies s WHERE s.sku = p.sku) AS cost
            FROM items i JOIN products p ON p.sku = i.sku;
            CREATE VIEW facts AS
            SELECT CAST(o.id AS VARCHAR) AS order_id, ordered_at, CAST(ordered_at AS DATE) AS order_date,
                   CAST(o.store_id AS VARCHAR) AS store_id, s.name AS store_name,
                   CAST(customer AS VARCHAR) AS customer_id,
                   (SELECT count(*) FROM sold WHERE order_id = o.id) AS items,
                   (SELECT count(*) FROM sold WHERE order_id = o.id AND type = 'jaffle') AS food_items,
                   (SELECT count(*) FROM sold WHERE order_id = o.id AND type = 'beverage') AS drink_items,
                   CAST(subtotal / 100 AS DECIMAL(12, 2)) AS subtotal,
                   CAST(tax_paid / 100 AS DECIMAL(12, 2)) AS tax_paid,
                   CAST(order_total / 100 AS DECIMAL(12, 2)) AS order_total,
                   CAST(coalesce((SELECT sum(price) FROM sold WHERE order_id = o.id), 0) / 100
                        AS DECIMAL(12, 2)) AS items_price,
                   CAST(coalesce((SELECT sum(cost) FROM sold WHERE order_id = o.id), 0) / 100
                        AS DECIMAL(12, 2)) AS supply_cost,
                   rank() OVER (PARTITION BY customer ORDER BY ordered_at, CAST(o.id AS VARCHAR)) AS n
            FROM orders o JOIN stores s ON s.id = o.store_id;
        """)
        queries = {
            "fct_orders": "SELECT * FROM facts",
            "revenue_by_store_and_day": """
                SELECT order_date, store_name, count(*), sum(items), sum(subtotal), sum(tax_paid), sum(order_total)
                FROM facts GROUP BY 1, 2
            """,
            "dim_customers": """
                SELECT CAST(c.id AS VARCHAR), c.name, count(f.order_id), min(f.order_date), max(f.order_date),
                       coalesce(sum(f.order_total), 0), (SELECT count(*) FROM tweets t WHERE t.user_id = c.id)
                FROM customers c LEFT JOIN facts f ON f.customer_id = CAST(c.id AS VARCHAR) GROUP BY c.id, c.name
            """,
            "product_sales": """
                SELECT p.sku, p.name, p.type, count(s.item),
                       CAST(coalesce(sum(s.price), 0) / 100 AS DECIMAL(12, 2))
                FROM products p LEFT JOIN sold s ON s.sku = p.sku GROUP BY ALL
            """,
        }
        return {name: db.execute(f"{query} ORDER BY ALL").fetchall() for name, query in queries.items()}
