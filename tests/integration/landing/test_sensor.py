"""The sensor's ticks against a real ledger, lake and instance; the test is the daemon and executes the runs."""

import json
import logging
import uuid
from collections.abc import Iterator

import pytest
from dagster import (
    AssetExecutionContext,
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    RunRequest,
    SkipReason,
    asset,
    build_sensor_context,
    define_asset_job,
)
from sqlalchemy import Engine, select, text

from slipway.aws import s3_client
from slipway.config.connections import s3_settings as settings_of
from slipway.daemon.retries import batch_tags
from slipway.database.tables import landing_object
from slipway.landing import LandingResource, LandingUnavailable, landing_sensor, ledger
from slipway.landing.intake import reconcile
from slipway.landing.sensor import Limits, tick
from slipway.memory.exhaustion import FROZEN_TAG, State, state_tags
from slipway.resources import LakeResource

log = logging.getLogger(__name__)
LIMITS = Limits(max_files=1000, max_bytes=10**9, batches=1)


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as found:
        yield found


class Project:
    """A project with one asset on a landing, and the parts of the platform that a test plays itself."""

    def __init__(
        self, platform, env, database: Engine, lake: LakeResource, instance: DagsterInstance
    ) -> None:
        self.platform, self.database, self.lake, self.instance = platform, database, lake, instance
        self.s3 = s3_client(settings_of(platform, "default", env))
        self.bucket = platform.landing["inbox"].bucket
        self.s3.create_bucket(Bucket=self.bucket)
        self.fail: BaseException | None = None
        self.runs = 0

        @asset
        def orders(context: AssetExecutionContext, inbox: LandingResource, lake: LakeResource) -> None:
            batch = inbox.batch(context)
            if self.fail:
                raise self.fail
            with lake.transaction(claim=batch) as connection:
                for file in batch.files:
                    connection.execute(
                        "INSERT INTO raw.orders SELECT ?, unnest(string_split(?, ','))::INTEGER",
                        [file.key, file.path.read_text()],
                    )

        self.job = Definitions(
            assets=[orders],
            jobs=[define_asset_job("load", selection=[orders])],
            resources={"inbox": LandingResource(landing="inbox"), "lake": lake},
        ).resolve_job_def("load")

    def land(self, **files: str) -> None:
        for key, body in files.items():
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body.encode())
        reconcile(self.database, self.s3, "inbox", self.platform.landing["inbox"], 60)

    def tick(self, limits: Limits = LIMITS) -> list[RunRequest] | SkipReason:
        return tick(self.database, self.instance, "inbox", limits, log)

    def requests(self, limits: Limits = LIMITS) -> list[RunRequest]:
        found = self.tick(limits)
        assert isinstance(found, list), found
        return found

    def open_batches(self) -> set[tuple[int, int]]:
        """Files and attempt of each batch that is neither done nor revoked."""
        with self.database.connect() as connection:
            return {(batch.files, batch.attempt) for batch in ledger.open_batches(connection, "inbox")}

    def execute(self, request: RunRequest, *, killed: bool = False) -> str:
        """What the daemon does with a request; the run's id. A killed run opens its batch and says no more."""
        self.runs += 1
        run_id = str(uuid.uuid4())
        if killed:
            run = self.instance.create_run_for_job(self.job, run_id=run_id, tags=dict(request.tags))
            with self.database.begin() as connection:
                ledger.open_for(connection, request.tags["slipway/batch"], run_id)
            self.instance.report_run_failed(run)
            return run_id
        self.job.execute_in_process(
            instance=self.instance, run_id=run_id, tags=dict(request.tags), raise_on_error=False
        )
        return run_id

    def pass_time(self) -> None:
        """Let every delay be over."""
        with self.database.begin() as connection:
            connection.execute(text("UPDATE slipway_ledger.landing_batch SET not_before = NULL"))

    def drive(self) -> None:
        """Tick and execute until nothing is left to do."""
        idle = 0
        while idle < 2:
            found = self.tick()
            if isinstance(found, SkipReason):
                self.pass_time()
                idle += 1
                continue
            idle = 0
            for request in found:
                self.execute(request)

    def states(self) -> dict[str, str]:
        with self.database.connect() as connection:
            rows = connection.execute(select(landing_object).order_by(landing_object.c.seq))
            return {row.key: row.state for row in rows}

    def rows(self) -> int:
        with self.lake.connect(read_only=True) as connection:
            return connection.execute("SELECT count(*) FROM raw.orders").fetchone()[0]


@pytest.fixture
def project(platform, platform_env, database, lake, instance) -> Project:
    return Project(platform, platform_env, database, lake, instance)


def test_landed_files_become_one_run_and_rows(project):
    project.land(a="1,2", b="3")
    (request,) = project.requests()
    assert request.tags["slipway/landing"] == "inbox"
    assert request.tags["slipway/batch"] == request.run_key
    project.execute(request)
    assert isinstance(project.tick(), SkipReason)
    assert project.states() == {"a": "done", "b": "done"}
    assert project.rows() == 3
    assert project.instance.get_latest_materialization_event(AssetKey("orders")) is not None


def test_a_batch_without_a_run_is_asked_for_again(project):
    """The tick's answer was lost: the daemon or the code server died between claim and submission."""
    project.land(a="1")
    (first,) = project.requests()
    (again,) = project.requests()
    assert first.run_key == again.run_key


def test_one_batch_at_a_time_and_what_arrives_meanwhile_makes_the_next(project):
    project.land(a="1")
    (first,) = project.requests()
    project.land(b="2", c="3")
    project.instance.create_run_for_job(project.job, status=DagsterRunStatus.STARTED, tags=first.tags)
    assert isinstance(project.tick(), SkipReason)
    (second,) = project.requests(Limits(1000, 10**9, batches=2))
    assert second.tags["slipway/files"] == "2"


def test_one_broken_file_is_quarantined_and_the_rest_loaded(project):
    files = {f"f{number:02}": f"{number}" for number in range(20)}
    project.land(**files, broken="not a number")
    project.drive()
    states = project.states()
    assert states.pop("broken") == "quarantined"
    assert set(states.values()) == {"done"}
    assert project.rows() == 20
    with project.database.connect() as connection:
        error = connection.execute(
            select(landing_object.c.error).where(landing_object.c.key == "broken")
        ).scalar_one()
    assert "not a number" in error
    project.land(broken="7")
    project.drive()
    assert project.states()["broken"] == "done", "a corrected file is taken"
    assert project.rows() == 21


def test_a_fault_of_the_surroundings_quarantines_nothing(project):
    project.land(a="1", b="2")
    project.fail = LandingUnavailable("S3 is away")
    for _ in range(6):
        (request,) = project.requests()
        project.execute(request)
        assert isinstance(project.tick(), SkipReason), "it waits"
        project.pass_time()
    project.fail = None
    project.drive()
    assert project.states() == {"a": "done", "b": "done"}
    assert project.rows() == 2


@pytest.mark.parametrize("status", [DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED])
def test_a_run_that_never_began_costs_no_file_anything(project, status):
    project.land(a="1")
    for _ in range(4):
        (request,) = project.requests()
        project.instance.create_run_for_job(project.job, status=status, tags=request.tags)
        assert isinstance(project.tick(), SkipReason)
        project.pass_time()
    project.drive()
    assert project.states() == {"a": "done"}


def test_a_killed_worker_before_the_commit_loses_and_doubles_nothing(project):
    """The run opened its batch, and then there was silence until monitoring failed it."""
    project.land(a="1", b="2")
    (request,) = project.requests()
    run = project.instance.create_run_for_job(project.job, status=DagsterRunStatus.STARTED, tags=request.tags)
    with project.database.begin() as connection:
        ledger.open_for(connection, request.run_key, run.run_id)
    assert isinstance(project.tick(), SkipReason)
    project.instance.report_run_failed(run)
    assert isinstance(project.tick(), SkipReason), "taken back, and tried again after a while"
    project.drive()
    assert project.rows() == 2
    assert project.states() == {"a": "done", "b": "done"}


def test_a_killed_worker_after_the_commit_loses_and_doubles_nothing(project):
    project.land(a="1")
    (request,) = project.requests()
    project.execute(request)
    (record,) = project.instance.get_run_records()
    project.instance.report_run_failed(record.dagster_run)
    project.drive()
    assert project.runs == 1
    assert project.rows() == 1


def test_a_run_that_dagster_retries_itself_keeps_its_batch(project):
    project.land(a="1")
    (request,) = project.requests()
    project.instance.create_run_for_job(
        project.job, status=DagsterRunStatus.FAILURE, tags={**request.tags, "dagster/will_retry": "true"}
    )
    assert isinstance(project.tick(), SkipReason)
    project.execute(request)
    assert isinstance(project.tick(), SkipReason)
    assert project.states() == {"a": "done"}


def test_a_run_deleted_in_the_ui_is_asked_for_again(project):
    project.land(a="1")
    (request,) = project.requests()
    run = project.instance.create_run_for_job(
        project.job, status=DagsterRunStatus.NOT_STARTED, tags=request.tags
    )
    assert isinstance(project.tick(), SkipReason)
    project.instance.delete_run(run.run_id)
    (again,) = project.requests()
    assert again.run_key == request.run_key


def test_a_job_that_never_asks_for_its_files_does_not_count_as_done(project):
    project.land(a="1")
    (request,) = project.requests()
    project.instance.create_run_for_job(project.job, status=DagsterRunStatus.SUCCESS, tags=request.tags)
    assert isinstance(project.tick(), SkipReason)
    assert project.states() == {"a": "claimed"}
    with project.database.connect() as connection:
        error = connection.execute(
            text("SELECT error FROM slipway_ledger.landing_batch WHERE state = 'revoked'")
        ).scalar()
    assert "no asset calls LandingResource.batch" in error


def test_nothing_is_claimed_while_the_storage_is_the_wrong_one(project):
    project.land(a="1")
    with project.database.begin() as connection:
        ledger.halt(connection, "this is not the storage")
    found = project.tick()
    assert isinstance(found, SkipReason)
    assert "this is not the storage" in (found.skip_message or "")
    assert project.states() == {"a": "new"}


def test_without_a_platform_the_sensor_says_so(monkeypatch, instance):
    for name in ("SLIPWAY_PLATFORM", "SLIPWAY_PLATFORM_JSON"):
        monkeypatch.delenv(name, raising=False)

    @asset
    def anything() -> None: ...

    sensor = landing_sensor("inbox", job=define_asset_job("load", selection=[anything]))
    assert sensor.name == "inbox_landing"
    result = sensor.evaluate_tick(build_sensor_context(instance=instance))
    assert result.run_requests == []
    assert "No platform" in (result.skip_message or "")


def test_an_unknown_landing_is_named(project):
    sensor = landing_sensor("inbux", job=project.job)
    result = sensor.evaluate_tick(build_sensor_context(instance=project.instance))
    assert "no landing named inbux; it has: inbox" in (result.skip_message or "")


def fails_for_want_of_memory(project: Project, request: RunRequest, state: State) -> None:
    """What the launcher makes of a run whose worker the kernel has killed after it opened its batch."""
    run_id = project.execute(request, killed=True)
    frozen = {FROZEN_TAG: json.dumps({"run_id": run_id})}
    project.instance.add_run_tags(run_id, {**frozen, **state_tags(state)})


def test_a_batch_out_of_memory_is_narrowed_only_when_its_last_run_was(project):
    project.land(a="1", b="2")
    (request,) = project.requests()
    fails_for_want_of_memory(project, request, State.PENDING)
    assert isinstance(project.tick(), SkipReason)
    assert project.open_batches() == {(2, 1)}, "it waits for the retry"
    fails_for_want_of_memory(project, request, State.FINAL)
    project.tick()
    # Not the same files once more, as after any other kill: they would need as much memory.
    assert project.open_batches() == {(1, 1)}
    project.drive()
    assert project.states() == {"a": "done", "b": "done"}


def test_the_retry_of_a_run_by_hand_finds_the_files_that_it_claimed(project):
    project.land(a="1")
    run = project.instance.create_run_for_job(project.job)
    with project.database.begin() as connection:
        claimed = ledger.claim(connection, "inbox", max_files=10, max_bytes=10**9, run_id=run.run_id)
        tags = batch_tags(connection, run)
        assert tags == {"slipway/landing": "inbox", "slipway/batch": claimed.id}
        assert batch_tags(connection, run.with_tags(tags)) == {}
    project.job.execute_in_process(instance=project.instance, tags=tags)
    assert project.states() == {"a": "done"}
    assert project.rows() == 1
