import time
from pathlib import Path

from dagster._core.storage.compute_log_manager import ComputeIOType

from slipway.config.connections import S3Settings
from slipway.logs.shipment import Shipment
from slipway.logs.store import LogStore

NOWHERE = S3Settings("http://127.0.0.1:1", None, "us-east-1", True, "key", "secret")


def test_a_local_log_that_is_gone_is_named_and_not_waited_for(tmp_path: Path) -> None:
    files = {io_type: tmp_path / f"gone.{io_type.value}" for io_type in ComputeIOType}
    shipment = Shipment(
        LogStore("logs", "prefix/", lambda: NOWHERE), ["run", "compute_logs", "step"], files, 30
    )
    shipment.start()
    began = time.monotonic()
    problem = shipment.finish(20)
    assert problem is not None
    assert "gone.stdout" in str(problem)
    assert time.monotonic() - began < 10
