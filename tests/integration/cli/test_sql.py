"""`slipway sql` on a bootstrapped platform, as its user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slipway.cli.sql import command
from slipway.config.errors import UserError
from slipway.config.loader import load
from slipway.ops.bootstrap import bootstrap
from slipway.resources import LakeResource


@pytest.fixture
def env(platform_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A platform of two locations, each with a table."""
    unique = uuid.uuid4().hex
    file = tmp_path / "platform.yaml"
    image = "{repository: slipway/x, tag: test}"
    file.write_text(
        f"lake: {{bucket: lake-{unique}}}\n"
        f"code_locations:\n"
        f"  shop: {{path: ., image: {image}}}\n"
        f"  crm: {{path: ., image: {image}}}\n"
        f"  filed: {{path: ., image: {image}, duckdb_file: filed.duckdb}}\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(
        "storage: {postgres: {postgres_url: {env: SLIPWAY_POSTGRES_URL}}}\ntelemetry: {enabled: false}\n"
    )
    env = {**platform_env, "DAGSTER_HOME": str(home), "SLIPWAY_PLATFORM": str(file)}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    bootstrap(load(file), env, lambda line: None, 20)
    for number, location in enumerate(("shop", "crm")):
        monkeypatch.setenv("SLIPWAY_LOCATION", location)
        with LakeResource().connect() as connection:
            connection.execute(f"CREATE TABLE t AS SELECT range + {number * 1000} AS x FROM range(100)")
    return env


def sql(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(command, arguments, input=typed)


def test_all_locations_are_attached_side_by_side(env):
    query = "SELECT (SELECT max(x) FROM shop.main.t) AS shop, (SELECT max(x) FROM crm.t) AS crm"
    program = [Path(sys.executable).parent / "slipway", "sql", query]
    done = subprocess.run(program, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    assert done.stdout == "shop   crm\n----  ----\n  99  1099\n(1 row)\n"
    assert json.loads(sql(query, "--json").stdout) == [{"shop": 99, "crm": 1099}]
    assert sql(query, "--csv").stdout == "shop,crm\n99,1099\n"

    attached = "SELECT database_name FROM duckdb_databases() WHERE type = 'ducklake' ORDER BY 1"
    assert sql(attached, "--csv").stdout == "database_name\ncrm\nshop\n"

    statement = "INSERT INTO shop.t VALUES (5000)"
    refused = sql(statement)
    assert isinstance(refused.exception, UserError)
    assert "read-only" in refused.exception.message
    assert sql("--write", statement).exit_code == 0
    assert sql("SELECT max(x) AS x FROM shop.t", "--csv").stdout == "x\n5000\n"

    done = sql("--csv", typed="SELECT count(*) AS n\nFROM crm.t;\nSELECT nosuch;\nSELECT 2 AS two;\n")
    assert done.stdout.strip() == "n\n100"
    assert isinstance(done.exception, UserError)
    assert "nosuch" in done.exception.message
    assert sql("--csv", typed="SELECT 1 AS one;\nSELECT 2 AS two").stdout == "one\n1\ntwo\n2\n"


def test_mistakes_are_said_and_no_credential_is(env, monkeypatch):
    assert "this is 2" in str(sql("SELECT 1; SELECT 2").exception)
    shown = sql("FROM duckdb_secrets()").stdout
    assert "slipway_lake" in shown
    assert f"secret={env['SLIPWAY_S3_SECRET_ACCESS_KEY']}" not in shown

    monkeypatch.setenv("SLIPWAY_POSTGRES_URL", "postgresql://nobody:topsecret@127.0.0.1:1/x")
    done = sql("SELECT 1")
    assert done.exit_code != 0
    assert "topsecret" not in f"{done.output}{done.exception!r}"
