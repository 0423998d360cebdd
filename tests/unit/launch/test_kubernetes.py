"""What the adapter knows without asking the cluster: references in place of values, and nothing of the daemon's own."""

import pytest

from slipway.config.errors import UserError
from slipway.config.loader import parse
from slipway.config.model import EnvReference, FileReference, SecretReference
from slipway.launch.adapter import SecretKey
from slipway.launch.kubernetes import KubernetesAdapter
from slipway.launch.runtimes import adapter

ENV = {
    "SLIPWAY_RUNTIME": "kubernetes",
    "SLIPWAY_PROJECT": "prod-slipway",
    "SLIPWAY_INSTANCE": "prod",
    "SLIPWAY_NAMESPACE": "data",
}
SECRETS = {
    "SLIPWAY_BUNDLED_SECRET": "prod-slipway-bundled",
    "SLIPWAY_POSTGRES_URL": "postgresql://user:password@host/db",
    "SLIPWAY_S3_ENDPOINT": "http://s3",
    "SLIPWAY_S3_SECRET_ACCESS_KEY": "hush",
    "AWS_ROLE_ARN": "arn:of-the-daemon",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token",
}
EMPTY = parse("{}", "platform.yaml")


def test_the_runtime_has_its_adapter():
    assert isinstance(adapter(ENV, print), KubernetesAdapter)


def test_a_variable_that_is_missing_is_named():
    with pytest.raises(UserError, match="SLIPWAY_INSTANCE and SLIPWAY_NAMESPACE must be set"):
        KubernetesAdapter({"SLIPWAY_PROJECT": "p"})


def test_no_value_of_a_secret_reaches_a_run_nor_the_daemons_identity():
    surroundings = KubernetesAdapter({**ENV, **SECRETS}).surroundings("r", "one")
    assert surroundings.bundled == {
        "SLIPWAY_POSTGRES_URL": SecretKey("prod-slipway-bundled", "SLIPWAY_POSTGRES_URL"),
        "SLIPWAY_S3_ENDPOINT": "http://s3",
        "SLIPWAY_S3_SECRET_ACCESS_KEY": SecretKey("prod-slipway-bundled", "SLIPWAY_S3_SECRET_ACCESS_KEY"),
    }
    assert surroundings.aws == {}
    assert surroundings.base == {"HOME": "/tmp"}


@pytest.mark.parametrize(
    ("env", "platform", "secret"),
    [
        (ENV, EMPTY, "prod-slipway-environment"),
        ({**ENV, "SLIPWAY_ENVIRONMENT_SECRET": "told"}, EMPTY, "told"),
        (
            {**ENV, "SLIPWAY_ENVIRONMENT_SECRET": "told"},
            parse("kubernetes: {environmentSecret: newer}", "platform.yaml"),
            "newer",
        ),
    ],
)
def test_references_stay_references(env, platform, secret):
    resolve = KubernetesAdapter(env).resolver(platform)
    assert resolve(EnvReference(env="TOKEN")) == SecretKey(secret, "TOKEN")
    assert resolve(SecretReference(secret={"name": "s", "key": "k"})) == SecretKey("s", "k")
    with pytest.raises(UserError, match="file /run/x cannot be given to a pod"):
        resolve(FileReference(file="/run/x"))


def test_the_image_that_platform_yaml_names_is_from_the_one_registry():
    platform = parse(
        """
kubernetes: {imageRegistry: mirror.example.com}
code_locations: {one: {path: one, image: {repository: ghcr.io/team/one, tag: "2"}}}
""",
        "platform.yaml",
    )
    assert KubernetesAdapter(ENV).image(platform, "one") == "mirror.example.com/team/one:2"


def test_there_is_no_host_and_only_the_daemon_stops_runs():
    found = KubernetesAdapter(ENV)
    assert found.host() is None
    assert not found.stops_anywhere()
