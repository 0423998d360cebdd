"""A project with one asset on a landing, and the parts of the platform that a test plays itself."""

import logging
import uuid

from dagster import (
    AssetExecutionContext,
    DagsterInstance,
    Definitions,
    RunRequest,
    SkipReason,
    asset,
    define_asset_job,
)
from sqlalchemy import Engine, select, text

from slipway.aws import s3_client
from slipway.config.connections import s3_settings as settings_of
from slipway.database.tables import landing_object
from slipway.landing import LandingResource, ledger
from slipway.landing.intake import reconcile
from slipway.landing.sensor import Limits, tick
from slipway.resources import LakeResource

log = logging.getLogger(__name__)
LIMITS = Limits(max_files=1000, max_bytes=10**9, batches=1)


class Project:
    """Its landing is `inbox`; the test is the daemon, and executes the runs."""

    def __init__(
        self, platform, env, database: Engine, lake: LakeResource, instance: DagsterInstance
    ) -> None:
        self.platform, self.database, self.lake, self.instance = platform, database, lake, instance
        self.s3_direct = s3_client(settings_of(platform, "default", env))
        self.s3 = s3_client(settings_of(platform, platform.landing["inbox"].storage_ref, env))
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
