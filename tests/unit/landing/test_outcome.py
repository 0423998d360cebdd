import pytest
from botocore.exceptions import ConnectionClosedError
from dagster import DagsterInstance, job, op

from slipway.config.errors import UserError
from slipway.identity import StorageUnreachable
from slipway.landing import outcome
from slipway.landing.download import LandingDenied, LandingUnavailable
from slipway.landing.isolation import Fault
from slipway.resources import LakeUnavailable


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (StorageUnreachable("S3 says 503"), Fault.SURROUNDINGS),
        (UserError("the lake of shop has no catalogue yet"), Fault.SURROUNDINGS),
        (ConnectionClosedError(endpoint_url="http://s3"), Fault.SURROUNDINGS),
        (LakeUnavailable("server closed the connection"), Fault.SURROUNDINGS),
        (LandingDenied("AccessDenied"), Fault.SURROUNDINGS),
        (LandingUnavailable("Read timeout"), Fault.SURROUNDINGS),
        (ValueError("line 3 is no order"), Fault.STEP),
    ],
)
def test_whose_fault_a_failed_step_is(error: Exception, fault: Fault) -> None:
    @op
    def read() -> None:
        raise error

    @job
    def take_in() -> None:
        read()

    with DagsterInstance.ephemeral() as instance:
        run = take_in.execute_in_process(instance=instance, raise_on_error=False)
        record = instance.get_run_record_by_id(run.run_id)
        assert record is not None
        found = outcome.failure(instance, record, opened=True)
    assert found.fault is fault
