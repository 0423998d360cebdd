"""The environment of a run: its location's own, the platform in portable form, and nothing of others."""

import json
from functools import partial

import pytest

from slipway import config
from slipway.config import connections
from slipway.config.errors import UserError
from slipway.config.loader import parse
from slipway.launch.adapter import SecretKey, Surroundings
from slipway.launch.environment import (
    BUNDLED,
    RUN_METADATA,
    ambient_aws,
    location_environment,
    portable_platform,
    run_environment,
)
from slipway.profiles import resolve
from slipway.storage import run_metadata

TEXT = """
infrastructure:
  resource_profiles:
    small:
      requests: {cpu: 250m, memory: 512Mi}
      limits: {cpu: "1", memory: 1Gi, ephemeral-storage: 2Gi}
      env: {OMP_NUM_THREADS: "1", SHARED: profile}
postgres:
  host: db.example.com
  user: {env: PGUSER}
  password: {file: PASSWORD_FILE}
storage:
  default:
    endpoint: https://s3.example.com
    region: eu-central-1
    access_key_id: {env: AWS_ACCESS_KEY_ID}
    secret_access_key: {env: AWS_SECRET_ACCESS_KEY}
code_locations:
  one:
    path: one
    image: {repository: one, tag: "1"}
    profile: small
    env: {PLAIN: value, TOKEN: {env: ONE_TOKEN}, SHARED: location}
  two:
    path: two
    image: {repository: two, tag: "1"}
    env: {OTHER: {env: TWO_TOKEN}}
"""
ENV = {
    "SLIPWAY_RUNTIME": "docker",
    "PGUSER": "slipway",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_PROFILE": "me",
    "ONE_TOKEN": "token of one",
    "TWO_TOKEN": "token of two",
    "UNRELATED": "secret of the daemon",
}


@pytest.fixture
def platform(tmp_path):
    (tmp_path / "password").write_text("p@ss\n")
    return parse(TEXT.replace("PASSWORD_FILE", str(tmp_path / "password")), "platform.yaml")


def environment(platform, env=ENV, location="one"):
    surroundings = Surroundings(
        runtime="docker",
        scratch="/tmp",
        duckdb_folder="/files",
        base={"HOME": "/tmp"},
        bundled={name: env[name] for name in BUNDLED if name in env},
        aws={name: value for name, value in env.items() if name.startswith("AWS_")},
    )
    profile = resolve(platform, location)
    return run_environment(platform, location, profile, here(env), surroundings)


def here(env):
    return partial(connections.resolve, env=env)


def test_a_location_gets_its_own_values_and_no_other_gets_them(platform):
    env = environment(platform)
    assert (env["PLAIN"], env["TOKEN"]) == ("value", "token of one")
    everything = json.dumps(env)
    assert "token of two" not in everything
    assert "TWO_TOKEN" not in everything
    assert "secret of the daemon" not in everything


def test_the_profile_wins_over_the_location_and_slipway_over_both(platform):
    env = environment(platform)
    assert env["SHARED"] == "profile"
    assert env["OMP_NUM_THREADS"] == "1"
    assert env["SLIPWAY_LOCATION"] == "one"
    assert (env["SLIPWAY_SCRATCH"], env["TMPDIR"], env["DUCKDB_TEMP_DIRECTORY"]) == (
        "/tmp",
        "/tmp",
        "/tmp/duckdb",
    )
    assert env["DUCKDB_THREADS"] == "1"
    assert env["AWS_DEFAULT_REGION"] == "eu-central-1"


def test_the_platform_means_the_same_inside_the_run(platform):
    env = environment(platform)
    inside = config.current(env)
    assert inside.storage["default"].endpoint == "https://s3.example.com"
    assert config.connections.resolve(inside.postgres.password, env) == "p@ss"
    assert config.connections.resolve(inside.postgres.user, env) == "slipway"
    assert config.connections.resolve(inside.storage["default"].access_key_id, env) == "key"
    assert inside.code_locations["one"].profile == "small"
    assert inside.infrastructure == platform.infrastructure


def test_referenced_credentials_do_not_become_ambient(platform):
    assert "AWS_ACCESS_KEY_ID" not in environment(platform)
    assert "AWS_PROFILE" not in environment(platform)


def test_ambient_credentials_reach_a_run_where_a_storage_has_none(platform):
    ambient = parse("storage: {default: {region: eu-west-1}}", "platform.yaml")
    assert ambient_aws(ambient, ENV)["AWS_PROFILE"] == "me"
    assert ambient_aws(parse("storage: {default: {bundled: true}}", "platform.yaml"), ENV) == {}
    assert ambient_aws(parse("{}", "platform.yaml"), ENV) == {}


def test_a_reference_without_a_value_is_named_by_its_key(platform):
    env = {name: value for name, value in ENV.items() if name != "ONE_TOKEN"}
    with pytest.raises(UserError, match=r"code_locations\.one\.env\.TOKEN: .*ONE_TOKEN"):
        location_environment(platform, "one", here(env))
    with pytest.raises(UserError, match=r"postgres\.user: .*PGUSER"):
        portable_platform(platform, here({}))


def test_another_locations_missing_value_is_not_this_ones_concern(platform):
    env = {name: value for name, value in ENV.items() if name != "TWO_TOKEN"}
    assert environment(platform, env)["TOKEN"] == "token of one"


def test_bundled_addresses_are_passed_on(platform):
    assert (
        environment(platform, {**ENV, "SLIPWAY_S3_ENDPOINT": "http://s3"})["SLIPWAY_S3_ENDPOINT"]
        == "http://s3"
    )


def test_the_duckdb_file_is_known_to_runs_of_its_location_alone(tmp_path):
    (tmp_path / "password").write_text("p@ss")
    text = TEXT.replace("PASSWORD_FILE", str(tmp_path / "password"))
    platform = parse(
        text.replace("    path: one\n", "    path: one\n    duckdb_file: shop.db\n"), "platform.yaml"
    )
    assert environment(platform)["SLIPWAY_DUCKDB_FILE"] == "/files/shop.db"
    assert "SLIPWAY_DUCKDB_FILE" not in environment(platform, {**ENV, "SLIPWAY_DUCKDB_FILE": "x"}, "two")


def test_materialisations_are_told_the_profile_in_words(platform):
    told = json.loads(environment(platform)["SLIPWAY_RUN_METADATA"])
    assert told["slipway/profile"] == "small"
    assert told["slipway/memory"] == "1Gi"
    assert "slipway/frozen" not in told
    assert run_metadata.VARIABLE == RUN_METADATA


def test_what_only_the_services_read_does_not_go_into_runs(platform):
    """The Slipway in a location's image may be older than these keys."""
    text = """
concurrency: {max_concurrent_runs: 9}
kubernetes: {imageRegistry: mirror.example.com}
defaults: {profile: default, start_timeout: 60}
"""
    inline, _ = portable_platform(parse(text, "platform.yaml"), here({}))
    assert json.loads(inline) == {"defaults": {"profile": "default"}, "code_locations": {}}


def test_a_value_that_the_launcher_does_not_know_stays_a_reference(platform):
    inline, values = portable_platform(platform, lambda reference: SecretKey("s", str(reference)))
    assert json.loads(inline)["postgres"]["user"] == {"env": "SLIPWAY_SECRET_POSTGRES_USER"}
    assert values["SLIPWAY_SECRET_POSTGRES_USER"] == SecretKey("s", "env='PGUSER'")
    found = location_environment(platform, "one", lambda reference: SecretKey("s", reference.env))
    assert (found["PLAIN"], found["TOKEN"]) == ("value", SecretKey("s", "ONE_TOKEN"))
