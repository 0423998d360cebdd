"""What the smoke test says of services that are not as they should be."""

from __future__ import annotations

import json
import urllib.error
from pathlib import Path

import pytest

from code_servers import code_server
from platform_home import environment
from slipway.config.errors import UserError
from slipway.config.loader import parse
from slipway.ops import workspace
from slipway.ops.bootstrap import bootstrap
from slipway.ops.smoke import checks
from slipway.ops.smoke.checks import Failed
from waiting import until

BROKEN = 'raise RuntimeError("the roof is off")\n'


def failure(platform, env, name: str) -> Failed:
    [check] = [one for one in checks.all_checks(platform, env) if one.name == name]
    with pytest.raises(Failed) as caught:
        check.run()
    return caught.value


@pytest.fixture
def env(platform_env, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (tmp_path / "state").mkdir()
    found = environment(tmp_path / "platform", "{}", platform_env)
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return {**found, "SLIPWAY_UI_URL": "http://127.0.0.1:1"}


def test_a_platform_that_was_never_made(platform, env):
    assert "there is no bucket" in failure(platform, env, "S3").message
    assert "daemon_heartbeats" in failure(platform, env, "daemon").message
    bootstrap(platform, env, lambda line: None)
    for name in ("Postgres", "S3"):
        [check] = [one for one in checks.all_checks(platform, env) if one.name == name]
        assert check.run().startswith("answers")
    daemon = failure(platform, env, "daemon")
    assert (
        "no fresh heartbeat of QUEUED_RUN_COORDINATOR, SCHEDULER, SENSOR, SLIPWAY_LANDING" in daemon.message
    )
    assert daemon.hint.endswith("/state/logs/daemon.log")


def test_postgres_is_gone(platform, env):
    gone = {**env, "SLIPWAY_POSTGRES_URL": "postgresql://slipway:hidden@127.0.0.1:1/slipway"}
    found = failure(platform, gone, "Postgres")
    assert "127.0.0.1:1 does not answer" in found.message
    assert "hidden" not in f"{found.message}{found.hint}"
    assert "SLIPWAY_POSTGRES_URL" in found.hint


def test_the_webserver_is_gone(platform, env):
    found = failure(platform, env, "webserver")
    assert "at http://127.0.0.1:1 it does not answer" in found.message
    assert isinstance(found.__cause__, urllib.error.URLError)


def test_a_code_location_that_does_not_load_says_why(platform, env, tmp_path):
    file = workspace.address_file(Path(env["SLIPWAY_STATE"]))
    with code_server(tmp_path / "project", BROKEN) as server:
        until(server.answers, 60)
        file.write_text(json.dumps({"shop": server.port}))
        found = failure(platform, env, "code location shop")
        assert "does not load: RuntimeError: the roof is off" in found.message
    found = failure(platform, env, "code location shop")
    assert f"its code server at 127.0.0.1:{server.port} does not answer" in found.message
    assert found.hint.endswith("/state/logs/code-shop.log")


KUBERNETES = {"SLIPWAY_RUNTIME": "kubernetes", "SLIPWAY_PROJECT": "acme-slipway", "SLIPWAY_NAMESPACE": "data"}


@pytest.mark.parametrize(
    ("section", "url"),
    [
        ("", "http://acme-slipway-webserver:80"),
        ("kubernetes: {webserver: {service: {port: 8080}}}", "http://acme-slipway-webserver:8080"),
        (
            "kubernetes: {ingress: {full: {enabled: true, host: a.example, path: /dagster/, allowUnauthenticated: true}}}",
            "http://acme-slipway-webserver:80/dagster",
        ),
        ("kubernetes: {webserver: {replicas: 0}}", None),
    ],
)
def test_in_a_pod_the_webserver_is_its_service(section: str, url: str | None):
    assert checks.webserver_url(parse(section, "platform.yaml"), KUBERNETES) == url


def test_outside_of_all_runtimes_the_webserver_is_unknown(platform):
    with pytest.raises(UserError, match="SLIPWAY_UI_URL"):
        checks.webserver_url(platform, {})
