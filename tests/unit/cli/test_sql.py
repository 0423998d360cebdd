import io
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from slipway.cli import land, sql
from slipway.config.errors import UserError
from slipway.ops.results import as_csv

NOBODY = "127.0.0.1:1"
ENV = {
    "SLIPWAY_PLATFORM_JSON": '{"landing": {"shop": {"bucket": "data-landing"}}}',
    "SLIPWAY_POSTGRES_URL": f"postgresql://slipway:hidden@{NOBODY}/slipway",
    "SLIPWAY_S3_ENDPOINT": f"http://{NOBODY}",
    "SLIPWAY_S3_ACCESS_KEY_ID": "a",
    "SLIPWAY_S3_SECRET_ACCESS_KEY": "hidden",
}


@pytest.mark.parametrize(
    "text", ["SELECT 1 AS one;\nSELECT\n2 AS two;\n", "SELECT 1 AS one;\nSELECT\n2 AS two"]
)
def test_what_is_piped_in_needs_no_last_semicolon(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    with duckdb.connect() as connection:
        sql.prompt(connection, as_csv)
    assert capsys.readouterr().out.split() == ["one", "1", "two", "2"]


def test_a_postgres_that_does_not_answer() -> None:
    result = CliRunner().invoke(sql.command, ["SELECT 1"], env=ENV)
    assert isinstance(result.exception, UserError)
    assert result.exception.message.startswith(f"Postgres at {NOBODY} does not answer: ")


def test_a_storage_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = tmp_path / "sample" / "000" / "orders"
    sample.mkdir(parents=True)
    (sample / "a.csv").write_text("id\n1\n")
    monkeypatch.setattr("slipway.demo_data.landing.make_sample", lambda *_: tmp_path / "sample")
    result = CliRunner().invoke(land.command, [], env=ENV)
    assert isinstance(result.exception, UserError)
    assert result.exception.message.startswith("nothing can be put into s3://data-landing: ")
