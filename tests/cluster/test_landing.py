"""A file put into the landing bucket of the cluster becomes rows of a mart."""

from __future__ import annotations

from installed import Installed
from waiting import until

STORES = b'{"id": "of-the-tests", "name": "Testing", "opened_at": "2018-09-01T00:00:00", "tax_rate": 0.06}\n'
ORDERS = b"""id,customer,ordered_at,store_id,subtotal,tax_paid,order_total
test-1,ann,2018-09-01T14:03:00,of-the-tests,1000,60,1060
test-2,ann,2018-09-01T15:03:00,of-the-tests,2000,120,2120
test-3,bob,2018-09-02T14:03:00,of-the-tests,500,30,530
"""


ROWS = """SELECT CAST(day AS VARCHAR) AS day, orders, total FROM ecommerce.marts.revenue_by_store_and_day
WHERE store = 'Testing' ORDER BY day"""


def test_landed_files_become_rows_of_the_mart_within_a_minute(installed: Installed) -> None:
    until(lambda: installed.landed() == {"done"}, 180, lambda: f"cluster-up has landed: {installed.landed()}")
    until(
        lambda: installed.succeeded("load_jaffle_shop"), 120, "what cluster-up has landed is not in the marts"
    )
    storage = installed.s3()
    storage.put_object(Bucket="data-landing", Key="stores/of-the-tests.jsonl", Body=STORES)
    storage.put_object(Bucket="data-landing", Key="orders/of-the-tests.csv", Body=ORDERS)
    # done is said with the raw table's commit, and the marts follow
    until(
        lambda: (
            installed.sql(ROWS)
            == [
                {"day": "2018-09-01", "orders": 2, "total": 31.8},
                {"day": "2018-09-02", "orders": 1, "total": 5.3},
            ]
        ),
        60,
        lambda: f"the mart has {installed.sql(ROWS)}",
    )
    assert installed.landed("orders/of-the-tests") == {"done"}
