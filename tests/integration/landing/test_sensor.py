"""The sensor's ticks against a real ledger, lake and instance; the test is the daemon and executes the runs."""

import json
from collections.abc import Iterator

import pytest
from dagster import (
    AssetExecutionContext,
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    RetryPolicy,
    RunRequest,
    SkipReason,
    asset,
    build_sensor_context,
    define_asset_job,
    materialize,
)
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import OperationalError

from landing_project import Project
from slipway.daemon.retries import batch_tags
from slipway.database.tables import landing_object
from slipway.landing import LandingResource, LandingUnavailable, landing_sensor, ledger
from slipway.landing.consumer import serve
from slipway.landing.isolation import Split
from slipway.landing.outcome import runs_of
from slipway.landing.sensor import Limits
from slipway.memory.exhaustion import FROZEN_TAG, State, state_tags
from slipway.resources import LakeResource


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as found:
        yield found


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


def test_one_broken_file_among_a_thousand_is_quarantined_and_the_others_are_loaded(project):
    """The asset does not look: the platform finds the file by halving the batch, run by run."""
    project.land(**{f"f{number:03}": f"{number}" for number in range(999)}, broken="not a number")
    project.drive()
    states = project.states()
    assert states.pop("broken") == "quarantined"
    assert set(states.values()) == {"done"}
    assert len(states) == 999
    assert project.rows() == 999
    assert project.runs <= 22
    with project.database.connect() as connection:
        row = connection.execute(select(landing_object).where(landing_object.c.key == "broken")).one()
    assert "not a number" in row.error
    assert row.error.startswith("run "), "the run is named"
    project.land(broken="7")
    project.drive()
    assert project.states()["broken"] == "done", "a corrected file is taken"
    assert project.rows() == 1000


def test_an_error_that_quotes_a_file_with_zero_bytes_stops_no_tick(project):
    project.land(a="1", broken="\0\x1b\n")
    project.drive()
    assert project.states() == {"a": "done", "broken": "quarantined"}


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


def test_a_retry_that_comes_due_waits_for_the_batch_that_goes_on(project):
    """One batch at a time: jobs that delete and insert would get in each other's way."""
    project.land(a="1")
    project.fail = LandingUnavailable("S3 is away")
    (first,) = project.requests()
    project.execute(first)
    assert isinstance(project.tick(), SkipReason), "it waits for a later time"
    project.land(b="2")
    (second,) = project.requests()
    run = project.instance.create_run_for_job(project.job, status=DagsterRunStatus.STARTED, tags=second.tags)
    project.pass_time()
    assert isinstance(project.tick(), SkipReason)
    project.fail = None
    project.instance.report_run_failed(run)
    project.drive()
    assert project.states() == {"a": "done", "b": "done"}
    assert project.rows() == 2


def test_a_batch_claimed_by_hand_during_a_tick_gets_no_second_run(project, monkeypatch):
    project.land(a="1")

    def claim_meanwhile(*arguments):
        monkeypatch.undo()
        with project.database.begin() as connection:
            ledger.claim(connection, "inbox", max_files=9, max_bytes=9, run_id="by hand")
        return runs_of(*arguments)

    monkeypatch.setattr("slipway.landing.sensor.runs_of", claim_meanwhile)
    assert isinstance(project.tick(), SkipReason)


def test_a_run_that_repeats_only_other_steps_does_not_count_as_done(project):
    """Re-executed in the UI from the step after: it succeeds, and has loaded nothing."""
    project.land(a="1")
    project.fail = ValueError("broken")
    (request,) = project.requests()
    project.execute(request)
    project.instance.create_run_for_job(project.job, status=DagsterRunStatus.SUCCESS, tags=request.tags)
    project.fail = None
    project.drive()
    assert project.states() == {"a": "done"}
    assert project.rows() == 1


def test_a_step_that_is_tried_again_in_a_run_by_hand_keeps_its_batch(project, lake):
    """It would claim another one, and the first would count as done with the run's success."""
    project.land(a="1", b="2")
    project.lake = lake
    tries: list[int] = []

    @asset(retry_policy=RetryPolicy(max_retries=1))
    def orders(context: AssetExecutionContext, inbox: LandingResource, lake: LakeResource) -> None:
        batch = inbox.batch(context)
        tries.append(len(batch.files))
        if len(tries) == 1:
            raise ValueError("once")
        with lake.transaction(claim=batch) as connection:
            for file in batch.files:
                connection.execute("INSERT INTO raw.orders VALUES (?, 1)", [file.key])

    resources = {"inbox": LandingResource(landing="inbox"), "lake": lake}
    assert materialize([orders], resources=resources, instance=project.instance).success
    assert tries == [2, 2]
    assert isinstance(project.tick(), SkipReason)
    assert project.states() == {"a": "done", "b": "done"}
    assert project.rows() == 2


def test_a_killed_run_is_repeated_by_dagster_unless_its_job_says_otherwise(project):
    """It goes on with what is downstream of files that are committed already."""
    project.land(a="1")
    (request,) = project.requests()
    assert request.tags["dagster/max_retries"] == "1"
    assert request.tags["dagster/retry_on_asset_or_op_failure"] == "false"
    own = define_asset_job("own", selection="*", tags={"dagster/max_retries": "7"})
    sensor = landing_sensor("inbox", job=own)
    found = sensor.evaluate_tick(build_sensor_context(instance=project.instance))
    assert "dagster/max_retries" not in (found.run_requests or [])[0].tags


def test_what_arrived_while_the_sensor_was_off_is_taken_when_it_is_on(project):
    """A day's files, in batches, the oldest first; a renamed sensor goes on the same way, since state is the ledger's."""
    for day in range(3):
        project.land(**{f"d{day}f{number}": f"{number}" for number in range(3)})
    limits = Limits(max_files=4, max_bytes=10**9, batches=1)
    sizes = []
    while not isinstance(found := project.tick(limits), SkipReason):
        for request in found:
            sizes.append(request.tags["slipway/files"])
            project.execute(request)
    assert sizes == ["4", "4", "1"]
    assert project.rows() == 9


def test_a_landing_that_is_gone_from_the_platform_waits_until_it_is_back(project, monkeypatch):
    project.land(a="1")
    (request,) = project.requests()
    without = project.platform.model_copy(update={"landing": {}})
    with monkeypatch.context() as patch:
        patch.setenv("SLIPWAY_PLATFORM_JSON", without.model_dump_json(by_alias=True, exclude_unset=True))
        project.execute(request)
    assert isinstance(project.tick(), SkipReason)
    assert project.states() == {"a": "claimed"}
    project.pass_time()
    project.drive()
    assert project.states() == {"a": "done"}


def test_a_database_that_fails_over_while_a_batch_is_settled(project):
    """The commit happened, and the answer was lost; or it did not: either way the next tick goes on."""
    project.land(a="1")
    project.fail = ValueError("broken")
    (request,) = project.requests()
    project.execute(request)
    with project.database.connect() as connection:
        (batch,) = ledger.open_batches(connection, "inbox")
    with project.database.connect() as connection:
        ledger.settle(connection, batch.id, Split(), "never committed")
        with pytest.raises(OperationalError):
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert isinstance(project.tick(), SkipReason)
    with project.database.connect() as connection:
        assert [one.attempt for one in ledger.open_batches(connection, "inbox")] == [2]


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


# A landing and its sensors


def ticks(database: Engine, *consumers: str) -> list[str]:
    """Who serves the landing after each tick."""
    found = []
    for consumer in consumers:
        with database.begin() as connection:
            found.append(serve(connection, "inbox", consumer))
    return found


def let_pass(database: Engine, seconds: int) -> None:
    with database.begin() as connection:
        for column in ("seen_at", "rival_since", "rival_seen_at"):
            connection.execute(
                text(
                    f"UPDATE slipway_ledger.landing_consumer SET {column} = {column} - interval '{seconds} s'"
                )
            )


def test_a_second_sensor_on_a_landing_waits_while_the_first_ticks(project):
    database = project.database
    assert ticks(database, "a", "b", "a", "b") == ["a"] * 4
    for _ in range(10):
        let_pass(database, 20)
        assert ticks(database, "b", "a") == ["a", "a"]


def test_a_sensor_that_is_gone_or_turned_off_is_followed_by_the_other(project):
    database = project.database
    assert ticks(database, "old name", "new name") == ["old name"] * 2
    served = []
    for _ in range(5):
        let_pass(database, 20)
        served += ticks(database, "new name")
    assert served == ["old name", "old name", "new name", "new name", "new name"]
    assert ticks(database, "old name") == ["new name"]


def test_a_stop_of_the_daemon_does_not_give_the_landing_to_the_other_sensor(project):
    database = project.database
    ticks(database, "a", "b", "a", "b")
    let_pass(database, 3600)
    assert ticks(database, "b", "a", "b") == ["a"] * 3


def test_the_tick_of_a_second_sensor_says_why_it_waits(project):
    ticks(project.database, "shop:inbox_landing")
    project.land(a="1")
    sensor = landing_sensor("inbox", job=project.job, name="another")
    result = sensor.evaluate_tick(build_sensor_context(instance=project.instance))
    assert result.run_requests == []
    assert "The sensor shop:inbox_landing serves the landing inbox" in (result.skip_message or "")
    assert project.states() == {"a": "new"}
