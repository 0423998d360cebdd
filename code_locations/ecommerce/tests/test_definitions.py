from dagster import DagsterInstance
from slipway.resources import LakeResource

from ecommerce.definitions import defs


def test_sample_becomes_marts_whose_checks_pass(lake: LakeResource) -> None:
    job = defs().resolve_job_def("load_jaffle_shop")
    with DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance)
    assert result.success
    checks = {str(check.asset_check_key): check for check in result.get_asset_check_evaluations()}
    assert len(checks) == 11
    assert [name for name, check in checks.items() if not check.passed] == []

    (raw_orders,) = (
        event
        for event in result.asset_materializations_for_node("raw")
        if event.asset_key.path == ["raw_orders"]
    )
    assert raw_orders.metadata["dagster/table_name"].value == "ecommerce.raw.orders"
    assert raw_orders.metadata["files"].value == 2
    assert "| id | customer | ordered_at |" in str(raw_orders.metadata["preview"].value)
    with lake.connect(read_only=True) as connection:
        assert raw_orders.metadata["dagster/row_count"].value == count(connection, "raw.orders")
        days = connection.execute(
            "SELECT CAST(day AS VARCHAR), store, orders FROM marts.revenue_by_store_and_day"
        ).fetchall()
        assert [(day, store) for day, store, _ in days] == [
            ("2018-09-01", "Philadelphia"),
            ("2018-09-02", "Philadelphia"),
        ]
        assert sum(orders for _, _, orders in days) == count(connection, "raw.orders")


def test_every_asset_has_group_kind_owner_and_description() -> None:
    for node in defs().resolve_asset_graph().asset_nodes:
        assert node.group_name in ("raw", "staging", "marts", "daily", "reports")
        assert node.kinds
        assert node.owners
        assert node.description


def test_whatever_rewrites_a_table_does_so_alone() -> None:
    nodes = [node for node in defs().resolve_asset_graph().asset_nodes if node.group_name != "raw"]
    pools = {node.key.to_user_string(): node.pools for node in nodes}
    assert all(len(names) == 1 for names in pools.values())
    # the reports may share one DuckDB file
    assert pools.pop("region_shares") == pools["regional_sales"]
    assert len(set().union(*pools.values())) == len(pools)


def count(connection: object, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # type: ignore[attr-defined]
