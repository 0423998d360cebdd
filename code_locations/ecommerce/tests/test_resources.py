"""Resources are injected: in a test, another takes the place of the landing, and the sensor needs no run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, SkipReason, build_sensor_context, materialize
from slipway.landing import Batch, LandedFile, LandingResource
from slipway.resources import LakeResource

from ecommerce.definitions import defs
from ecommerce.defs.io_managers import io_manager
from ecommerce.defs.raw import raw


class TwoFiles(LandingResource):
    """Stands in for the landing: a file of one order, and one that is no CSV."""

    folder: str

    def batch(self, context: Any) -> Batch:
        header = "id,customer,ordered_at,store_id,subtotal,tax_paid,order_total\n"
        contents = {
            "orders/a.csv": header + "o1,c1,2024-02-29T10:00:00,s1,100,6,106\n",
            "orders/b.csv": "<html>",
        }
        files = []
        for number, (key, text) in enumerate(contents.items()):
            path = Path(self.folder) / f"{number}.csv"
            path.write_text(text)
            files.append(LandedFile("bucket", key, "v1", "etag", len(text), path, number))
        return Batch(tuple(files))


def test_a_landing_can_be_swapped_for_files_of_the_tests(lake: LakeResource, tmp_path: Path) -> None:
    result = materialize(
        [raw],
        resources={
            "lake": lake,
            "jaffle_shop": TwoFiles(landing="jaffle_shop", folder=str(tmp_path)),
            "io_manager": io_manager({}),
        },
    )
    assert result.success
    with lake.connect(read_only=True) as connection:
        assert connection.execute("SELECT id, order_total, _key FROM raw.orders").fetchall() == [
            ("o1", 106, "orders/a.csv")
        ]


def test_without_a_platform_the_sensor_says_why_it_does_nothing(instance: DagsterInstance) -> None:
    sensor = defs().get_repository_def().get_sensor_def("jaffle_shop_landing")
    assert sensor.job_name == "load_jaffle_shop"
    with build_sensor_context(instance=instance) as context:
        tick = sensor(context)
    assert isinstance(tick, SkipReason)
    assert "no landing is watched" in str(tick.skip_message)


def test_a_resource_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="jaffle_shop"):
        materialize([raw], resources={"lake": LakeResource(local_folder=str(tmp_path))})
