"""A file put into the landing bucket of the cluster becomes rows of a mart."""

from __future__ import annotations

import time

from installed import Installed
from waiting import until

STORES = b'{"id": "of-the-tests", "name": "Testing", "opened_at": "2018-09-01T00:00:00", "tax_rate": 0.06}\n'
ORDERS = b"""id,customer,ordered_at,store_id,subtotal,tax_paid,order_total
test-1,ann,2018-09-01T14:03:00,of-the-tests,1000,60,1060
test-2,ann,2018-09-01T15:03:00,of-the-tests,2000,120,2120
test-3,bob,2018-09-02T14:03:00,of-the-tests,500,30,530
"""


def test_landed_files_become_rows_of_the_mart_within_a_minute(installed: Installed) -> None:
    until(lambda: installed.landed() == {"done"}, 180, lambda: f"cluster-up has landed: {installed.landed()}")
    before = set(installed.succeeded("load_jaffle_shop"))
    storage = installed.s3()
    storage.put_object(Bucket="data-landing", Key="stores/of-the-tests.jsonl", Body=STORES)
    storage.put_object(Bucket="data-landing", Key="orders/of-the-tests.csv", Body=ORDERS)
    began = time.monotonic()
    until(lambda: installed.landed("orders/of-the-tests") == {"done"}, 120, "the file is not done")
    until(lambda: set(installed.succeeded("load_jaffle_shop")) - before, 60, "no run has succeeded")
    seconds = time.monotonic() - began
    assert installed.sql(
        "SELECT CAST(day AS VARCHAR) AS day, orders, total FROM ecommerce.marts.revenue_by_store_and_day"
        " WHERE store = 'Testing' ORDER BY day"
    ) == [
        {"day": "2018-09-01", "orders": 2, "total": 31.8},
        {"day": "2018-09-02", "orders": 1, "total": 5.3},
    ]
    assert seconds < 60
