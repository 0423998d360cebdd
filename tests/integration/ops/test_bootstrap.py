"""Bootstrap on real services, and what it says when they are not what platform.yaml says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib import request
from urllib.parse import urlsplit

import dagster
import psycopg2
import pytest
from dagster import DagsterInstance
from sqlalchemy import text

import slipway
from doorway import Doorway
from platform_home import environment
from slipway import identity
from slipway.aws import s3_client, sqs_client
from slipway.config.connections import s3_settings as settings_of
from slipway.config.errors import UserError
from slipway.config.loader import parse
from slipway.database.engine import engine
from slipway.embedded.s3 import EmbeddedS3
from slipway.ops.bootstrap import bootstrap, reset


@pytest.fixture
def env(platform_env, tmp_path, monkeypatch) -> dict[str, str]:
    """The environment of a bootstrap, with an instance in the test's own database."""
    found = environment(tmp_path / "platform", "{}", platform_env)
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def run(platform, env, wait_seconds: float = 20) -> list[str]:
    lines: list[str] = []
    bootstrap(platform, env, lines.append, wait_seconds)
    return lines


def query(env, statement: str):
    with psycopg2.connect(env["SLIPWAY_POSTGRES_URL"]) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def test_everything_is_there_and_a_repetition_changes_nothing(platform, env):
    lines = run(platform, env)
    assert lines[-1] == "The platform is ready"
    s3 = s3_client(settings_of(platform, "default", env))
    logs = platform.observability.compute_logs
    rules = s3.get_bucket_lifecycle_configuration(Bucket=logs.bucket)["Rules"]
    assert [(rule["Filter"]["Prefix"], rule["Expiration"]["Days"]) for rule in rules] == [
        ("compute-logs/", 30)
    ]
    (queue,) = s3.get_bucket_notification_configuration(Bucket=platform.landing["inbox"].bucket)[
        "QueueConfigurations"
    ]
    assert queue["Events"] == ["s3:ObjectCreated:*"]
    assert query(env, "SELECT count(*) FROM lake_shop.ducklake_snapshot") == [(1,)]
    assert query(env, "SELECT count(*) FROM pg_trigger WHERE tgname = 'slipway_lake_commit'") == [(1,)]
    assert query(env, "SELECT count(*) FROM runs") == [(0,)]
    known = query(env, "SELECT id FROM slipway_ledger.storage_identity")
    identity.check(platform, env)

    run(platform, env)
    assert query(env, "SELECT id FROM slipway_ledger.storage_identity") == known
    assert query(env, "SELECT count(*) FROM lake_shop.ducklake_snapshot") == [(1,)]
    assert len(s3.get_bucket_lifecycle_configuration(Bucket=logs.bucket)["Rules"]) == 1
    assert (
        len(
            s3.get_bucket_notification_configuration(Bucket=platform.landing["inbox"].bucket)[
                "QueueConfigurations"
            ]
        )
        == 1
    )


def test_a_location_with_a_duckdb_file_gets_a_pool_of_one_and_no_lake(platform, env, tmp_path: Path):
    Path(env["SLIPWAY_PLATFORM"]).write_text("concurrency: {default_pool_limit: 5}")
    shop = platform.code_locations["shop"].model_copy(update={"duckdb_file": "shop.duckdb"})
    with_file = platform.model_copy(
        update={"code_locations": {"filed": shop, "shop": platform.code_locations["shop"]}}
    )
    with DagsterInstance.from_config(env["DAGSTER_HOME"]) as instance:
        # as a run that came before the platform knew, or somebody in the UI, may have left it
        instance.event_log_storage.set_concurrency_slots("duckdb_filed", 3)
        for _ in range(2):
            lines = run(with_file, env)
            limits = {limit.name: limit for limit in instance.event_log_storage.get_pool_limits()}
            assert (limits["duckdb_filed"].limit, limits["duckdb_filed"].from_default) == (1, False)
    assert "The DuckDB file of filed has its pool, with a limit of one" in lines
    schemas = query(env, "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'lake%'")
    assert schemas == [("lake_shop",)]


@pytest.mark.parametrize("attempt", range(5))
def test_three_at_once_make_one_platform(platform, env, attempt: int):
    """As a hook and the init containers of two pods are, each time on an empty database and an empty storage."""
    command = [sys.executable, "-c", "from slipway.cli import main; main()", "bootstrap"]
    env = {**env, "SLIPWAY_PLATFORM_JSON": platform.model_dump_json(by_alias=True, exclude_unset=True)}
    together = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=240)[0] for process in together]
    assert [process.returncode for process in together] == [0, 0, 0], outputs
    assert all(output.splitlines()[-1] == "The platform is ready" for output in outputs)
    assert query(env, "SELECT count(*) FROM slipway_ledger.storage_identity") == [(1,)]
    assert query(env, "SELECT count(*) FROM lake_shop.ducklake_snapshot") == [(1,)]
    identity.check(platform, env)


def test_an_older_version_leaves_newer_tables_as_they_are_and_goes_on(platform, env):
    """As `helm rollback` does: the pods of the version before meet what the newer one made."""
    run(platform, env)
    with engine(env["SLIPWAY_POSTGRES_URL"]).begin() as connection:
        connection.execute(text("UPDATE slipway_ledger.alembic_version SET version_num = '9999'"))
        connection.execute(text("ALTER TABLE slipway_ledger.landing_batch ADD COLUMN from_the_future text"))
        connection.execute(text("UPDATE alembic_version SET version_num = 'fffffffffff0'"))
    lines = run(platform, env)
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert [line.split(";")[0].split(" (")[0] for line in warnings] == [
        f"warning: Dagster's tables are those of a newer Dagster than this {dagster.__version__}",
        f"warning: the ledger's tables are those of a newer Slipway than this {slipway.__version__}",
    ]
    assert "revision 9999" in warnings[1]
    assert lines[-1] == "The platform is ready"
    assert query(env, "SELECT version_num FROM slipway_ledger.alembic_version") == [("9999",)]
    assert query(env, "SELECT version_num FROM alembic_version") == [("fffffffffff0",)]
    with pytest.raises(UserError, match="reset the storage with the version that made them"):
        reset(platform, env, lambda line: None)


def test_a_user_who_may_do_too_little_is_told_what_to_grant(env, postgres_url):
    parts = urlsplit(postgres_url)
    database = parts.path[1:]
    user = f"little_{database[-12:]}"
    with psycopg2.connect(postgres_url) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'little'")
    try:
        little = parts._replace(netloc=f"{user}:little@{parts.hostname}:{parts.port}").geturl()
        with pytest.raises(UserError) as caught:
            run(parse("{}", "platform.yaml"), {**env, "SLIPWAY_POSTGRES_URL": little})
    finally:
        with psycopg2.connect(postgres_url) as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP ROLE {user}")
    assert f"lets {user} do too little: permission denied for" in caught.value.message
    assert f"GRANT CREATE ON DATABASE {database} TO {user}" in (caught.value.hint or "")
    assert "little@" not in str(caught.value)


def test_rules_and_notifications_of_others_are_left_alone(platform, env):
    settings = settings_of(platform, "default", env)
    s3, sqs = s3_client(settings), sqs_client(settings)
    logs, landing = platform.observability.compute_logs.bucket, platform.landing["inbox"].bucket
    for bucket in (logs, landing):
        s3.create_bucket(Bucket=bucket)
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket=logs, LifecycleConfiguration={"Rules": [theirs]})
    queue = sqs.create_queue(QueueName=f"theirs-{landing[:20]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    s3.put_bucket_notification_configuration(
        Bucket=landing,
        NotificationConfiguration={
            "QueueConfigurations": [{"Id": "theirs", "QueueArn": arn, "Events": ["s3:ObjectRemoved:*"]}]
        },
    )
    run(platform, env)
    run(platform, env)
    rules = s3.get_bucket_lifecycle_configuration(Bucket=logs)["Rules"]
    assert sorted(rule["ID"] for rule in rules) == ["slipway-compute-logs", "theirs"]
    found = s3.get_bucket_notification_configuration(Bucket=landing)["QueueConfigurations"]
    assert sorted(item["Id"] for item in found) == ["slipway-landing-0", "theirs"]


def test_another_retention_replaces_the_rule_and_no_other(platform, env):
    s3 = s3_client(settings_of(platform, "default", env))
    run(platform, env)
    logs = platform.observability.compute_logs
    ours = s3.get_bucket_lifecycle_configuration(Bucket=logs.bucket)["Rules"]
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(
        Bucket=logs.bucket, LifecycleConfiguration={"Rules": [*ours, theirs]}
    )
    changed = logs.model_copy(update={"retention_days": 7, "prefix": "other/logs/"})
    observability = platform.observability.model_copy(update={"compute_logs": changed})
    lines = run(platform.model_copy(update={"observability": observability}), env)
    assert f"Compute logs live 7 days in {logs.bucket}/other/logs/" in lines
    rules = s3.get_bucket_lifecycle_configuration(Bucket=logs.bucket)["Rules"]
    assert {rule["ID"]: (rule["Filter"]["Prefix"], rule["Expiration"]["Days"]) for rule in rules} == {
        "slipway-compute-logs": ("other/logs/", 7),
        "theirs": ("tmp/", 1),
    }


def test_a_bucket_whose_notifications_may_not_be_set_is_a_warning(platform, env, s3_server):
    """SNS or EventBridge may send its events, and the listing finds its files."""
    with Doorway(s3_server.endpoint).serving() as door:
        door.refuse = lambda method, path: method == "PUT" and "notification" in path
        lines = run(platform, {**env, "SLIPWAY_S3_ENDPOINT": door.endpoint})
    (warning,) = [line for line in lines if line.startswith("warning: ")]
    assert f"does not let us send the events of {platform.landing['inbox'].bucket} to our queue" in warning
    assert "AccessDenied" in warning
    assert "arn:aws:sqs:us-east-1:" in warning
    assert lines[-1] == "The platform is ready"


def test_an_emptied_storage_is_noticed_before_anything_is_made(platform, env):
    run(platform, env)
    s3 = s3_client(settings_of(platform, "default", env))
    for bucket in (platform.lake.bucket, platform.observability.compute_logs.bucket):
        for item in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=item["Key"])
        s3.delete_bucket(Bucket=bucket)
    with pytest.raises(identity.StorageLost) as caught:
        run(platform, env)
    assert "not the storage that the lake's catalogue and the ledger describe" in caught.value.message
    assert identity.object_key(platform) in caught.value.message
    assert "slipway storage reset --yes" in (caught.value.hint or "")
    with pytest.raises(s3.exceptions.ClientError):
        s3.head_bucket(Bucket=platform.observability.compute_logs.bucket)


def test_another_identity_is_another_storage(platform, env):
    run(platform, env)
    s3 = s3_client(settings_of(platform, "default", env))
    s3.put_object(
        Bucket=platform.lake.bucket, Key=identity.object_key(platform), Body=b'{"id": "somebody-else"}'
    )
    with pytest.raises(identity.StorageLost, match="somebody-else"):
        run(platform, env)


def test_a_new_database_does_not_take_over_the_storage_of_another(platform, env):
    s3 = s3_client(settings_of(platform, "default", env))
    s3.create_bucket(Bucket=platform.lake.bucket)
    s3.put_object(
        Bucket=platform.lake.bucket, Key=identity.object_key(platform), Body=b'{"id": "somebody-else"}'
    )
    with pytest.raises(UserError, match="belongs to another platform"):
        run(platform, env)
    reset(platform, env, lambda line: None)
    assert run(platform, env)[-1] == "The platform is ready"


def test_reset_is_the_way_out(platform, env):
    run(platform, env)
    with engine(env["SLIPWAY_POSTGRES_URL"]).begin() as connection:
        connection.execute(
            text(
                "INSERT INTO slipway_ledger.landing_object (landing, bucket, key, version, etag, size, state)"
                " VALUES ('inbox', 'b', 'k', 'v', 'e', 1, 'done')"
            )
        )
    s3 = s3_client(settings_of(platform, "default", env))
    s3.delete_object(Bucket=platform.lake.bucket, Key=identity.object_key(platform))
    before = query(env, "SELECT id FROM slipway_ledger.storage_identity")
    lines: list[str] = []
    reset(platform, env, lines.append)
    assert "Dropped the catalogue lake_shop" in lines
    assert query(env, "SELECT count(*) FROM slipway_ledger.landing_object") == [(0,)]
    assert query(env, "SELECT id FROM slipway_ledger.storage_identity") != before
    assert run(platform, env)[-1] == "The platform is ready"


def test_restored_objects_are_adopted(platform, env):
    run(platform, env)
    with engine(env["SLIPWAY_POSTGRES_URL"]).begin() as connection:
        connection.execute(
            text(
                "INSERT INTO slipway_ledger.landing_object (landing, bucket, key, version, etag, size, state)"
                " VALUES ('inbox', 'b', 'k', 'old-2:9', 'old-2', 9, 'done')"
            )
        )
    s3 = s3_client(settings_of(platform, "default", env))
    restored = {
        "objects": [
            {
                "bucket": "b",
                "key": "k",
                "old": {"etag": "old-2", "size": 9, "version_id": None},
                "new": {"etag": "new", "version_id": None},
            }
        ]
    }
    key = identity.restored_key(platform)
    s3.put_object(Bucket=platform.lake.bucket, Key=key, Body=json.dumps(restored).encode())
    assert "1 restored objects are known to the ledger by their new versions" in run(platform, env)
    assert query(env, "SELECT version, etag FROM slipway_ledger.landing_object") == [("new:9", "new")]
    with pytest.raises(s3.exceptions.ClientError):
        s3.head_object(Bucket=platform.lake.bucket, Key=key)


# What is said when something is not there


def external(env, **changes: str) -> tuple[str, dict[str, str]]:
    """platform.yaml for the same services, named as external ones."""
    values = {
        "endpoint": env["SLIPWAY_S3_ENDPOINT"],
        "bucket": "not-there",
        **changes,
    }
    text = f"""
storage:
  default:
    endpoint: {values["endpoint"]}
    path_style: true
    access_key_id: {{env: SLIPWAY_S3_ACCESS_KEY_ID}}
    secret_access_key: {{env: SLIPWAY_S3_SECRET_ACCESS_KEY}}
observability: {{compute_logs: {{enabled: false}}}}
lake: {{bucket: {values.get("lake", "no-lake-here")}}}
landing:
  inbox: {{bucket: {values["bucket"]}, mode: list}}
"""
    return text, env


def test_missing_buckets_on_external_storage_are_named(env):
    text, env = external(env)
    with pytest.raises(UserError) as caught:
        run(parse(text, "platform.yaml"), env)
    assert "not-there (landing.inbox.bucket)" in caught.value.message
    assert "no-lake-here (lake.bucket)" in caught.value.message


def test_a_storage_that_is_not_there(env):
    text, env = external(env, endpoint="http://127.0.0.1:1")
    with pytest.raises(UserError) as caught:
        run(parse(text, "platform.yaml"), env, wait_seconds=0)
    assert "http://127.0.0.1:1 does not answer" in caught.value.message
    assert "storage.default.endpoint" in (caught.value.hint or "")


def test_wrong_credentials_are_not_waited_for(env, tmp_path):
    """Against an S3 that checks them."""
    with EmbeddedS3(tmp_path / "strict") as strict:
        request.urlopen(
            request.Request(
                f"{strict.endpoint}/moto-api/reset-auth",
                data=b"0",
                headers={"Content-Type": "text/plain"},
                method="POST",
            )
        )
        text, _ = external(env, endpoint=strict.endpoint)
        with pytest.raises(UserError) as caught:
            run(parse(text, "platform.yaml"), env, wait_seconds=600)
    assert (
        "S3 refuses the credentials of storage.default for the bucket no-lake-here (lake.bucket)"
        in caught.value.message
    )
    assert "InvalidAccessKeyId" in caught.value.message
    assert "storage.default.access_key_id" in (caught.value.hint or "")
    assert env["SLIPWAY_S3_SECRET_ACCESS_KEY"] not in str(caught.value)


def test_postgres_that_is_not_there(platform, env):
    env = {**env, "SLIPWAY_POSTGRES_URL": "postgresql://slipway:hidden@127.0.0.1:1/slipway"}
    with pytest.raises(UserError) as caught:
        run(platform, env, wait_seconds=0)
    assert "Postgres at 127.0.0.1:1 does not answer" in caught.value.message
    assert "hidden" not in str(caught.value)


def test_a_wrong_password_is_not_waited_for(env, postgres_url):
    parts = urlsplit(postgres_url)
    text = f"""
postgres:
  host: {parts.hostname}
  port: {parts.port}
  database: {parts.path[1:]}
  user: {{env: TEST_USER}}
  password: {{env: TEST_PASSWORD}}
"""
    env = {**env, "TEST_USER": str(parts.username), "TEST_PASSWORD": "wrong-one"}
    with pytest.raises(UserError) as caught:
        run(parse(text, "platform.yaml"), env, wait_seconds=600)
    assert "password authentication failed" in caught.value.message
    assert "postgres.user and postgres.password in platform.yaml" in (caught.value.hint or "")
    assert "wrong-one" not in str(caught.value)


def test_the_command_says_it_in_two_lines(platform, env):
    env = {
        **env,
        "SLIPWAY_PLATFORM_JSON": platform.model_dump_json(by_alias=True, exclude_unset=True),
        "SLIPWAY_POSTGRES_URL": "postgresql://slipway@127.0.0.1:1/slipway",
    }
    done = subprocess.run(
        [sys.executable, "-c", "from slipway.cli import main; main()", "bootstrap", "--wait", "0"],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "help"]
    assert os.linesep not in done.stdout.strip()
