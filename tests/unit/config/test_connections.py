from pathlib import Path
from urllib.parse import urlsplit

import psycopg2.extensions
import pytest
from sqlalchemy.engine import make_url

from slipway.config import connections
from slipway.config.errors import UserError
from slipway.config.loader import parse
from slipway.config.model import EnvReference, FileReference, KubernetesSecretKey, SecretReference

BUNDLED = {
    "SLIPWAY_POSTGRES_URL": "postgresql://u:p@localhost:1/slipway",
    "SLIPWAY_S3_ENDPOINT": "http://localhost:2",
    "SLIPWAY_S3_PUBLIC_ENDPOINT": "http://127.0.0.1:3",
    "SLIPWAY_S3_ACCESS_KEY_ID": "key",
    "SLIPWAY_S3_SECRET_ACCESS_KEY": "secret",
}


def test_variable() -> None:
    assert connections.resolve(EnvReference(env="A"), {"A": " kept "}) == " kept "


@pytest.mark.parametrize(("env", "state"), [({}, "not set"), ({"A": ""}, "empty")])
def test_variable_without_value(env: dict[str, str], state: str) -> None:
    with pytest.raises(UserError, match=f"environment variable A is {state}"):
        connections.resolve(EnvReference(env="A"), env)


def test_file_without_white_space(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("  s3cret\n\n")
    assert connections.resolve(FileReference(file=str(file)), {}) == "s3cret"


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file"), (b" \n", "is empty"), (b"\xff\xfe", "not UTF-8 text")]
)
def test_file_without_value(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        connections.resolve(FileReference(file=str(file)), {})
    assert str(file) in caught.value.message


def test_kubernetes_secret_outside_kubernetes() -> None:
    with pytest.raises(
        UserError, match="key password of the Kubernetes Secret pg cannot be read outside"
    ) as caught:
        connections.resolve(SecretReference(secret=KubernetesSecretKey(name="pg", key="password")), BUNDLED)
    assert caught.value.hint is not None
    assert "{env: NAME}" in caught.value.hint


def test_kubernetes_secret_on_kubernetes() -> None:
    reference = SecretReference(secret=KubernetesSecretKey(name="pg", key="tls.password"))
    variable = connections.secret_variable("pg", "tls.password")
    assert connections.resolve(reference, {variable: " kept "}) == " kept "
    with pytest.raises(
        UserError, match=r"key tls\.password of the Kubernetes Secret pg is not given to this pod"
    ) as caught:
        connections.resolve(reference, {"SLIPWAY_RUNTIME": "kubernetes"})
    assert variable in caught.value.message
    with pytest.raises(UserError, match=r"key tls\.password of the Kubernetes Secret pg is empty"):
        connections.resolve(reference, {"SLIPWAY_RUNTIME": "kubernetes", variable: ""})


def test_the_variable_of_a_secret_is_what_the_chart_makes_of_it() -> None:
    # printf "%s/%s" name key | sha256sum | trunc 16 | upper
    assert connections.secret_variable("s3", "id") == "SLIPWAY_SECRET_1069D6E47FEC922B"
    names = {
        connections.secret_variable(*pair) for pair in (("a", "b"), ("b", "a"), ("a.b", "c"), ("a", "b.c"))
    }
    assert len(names) == 4


def test_on_kubernetes_the_hints_are_those_of_a_cluster() -> None:
    env = {"SLIPWAY_RUNTIME": "kubernetes", "SLIPWAY_ENVIRONMENT_SECRET": "slipway-environment"}
    with pytest.raises(UserError) as caught:
        connections.resolve(EnvReference(env="A"), env)
    assert (
        caught.value.hint
        == "give the Secret slipway-environment a key A, or change the reference in platform.yaml"
    )
    with pytest.raises(UserError, match="No such file") as caught:
        connections.resolve(FileReference(file="/run/secrets/a"), env)
    assert caught.value.hint is not None
    assert "{secret: {name: NAME, key: KEY}}" in caught.value.hint


def test_bundled_services_are_where_the_runtime_says() -> None:
    platform = parse("", "platform.yaml")
    assert connections.postgres_url(platform, BUNDLED) == BUNDLED["SLIPWAY_POSTGRES_URL"]
    settings = connections.s3_settings(platform, "default", BUNDLED)
    assert settings == connections.S3Settings(
        endpoint="http://localhost:2",
        public_endpoint="http://127.0.0.1:3",
        region="us-east-1",
        path_style=True,
        access_key_id="key",
        secret_access_key="secret",
    )


@pytest.mark.parametrize("missing", [name for name in BUNDLED if name != "SLIPWAY_S3_PUBLIC_ENDPOINT"])
def test_bundled_services_without_a_runtime(missing: str) -> None:
    platform = parse("", "platform.yaml")
    env = {name: value for name, value in BUNDLED.items() if name != missing}
    with pytest.raises(UserError, match=f"is bundled, and {missing} does not say where"):
        (connections.postgres_url(platform, env), connections.s3_settings(platform, "default", env))


def test_public_endpoint_defaults_to_the_inner_one() -> None:
    env = {name: value for name, value in BUNDLED.items() if name != "SLIPWAY_S3_PUBLIC_ENDPOINT"}
    assert connections.s3_settings(parse("", "x"), "default", env).public_endpoint == "http://localhost:2"


PASSWORD = "p@ss:/w#rd ?%äö"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host: db", {"host": "db", "port": "5432", "dbname": "slipway"}),
        ("host: db, port: 6432, database: my db", {"host": "db", "port": "6432", "dbname": "my db"}),
        (
            "host: db, sslmode: verify-full",
            {"host": "db", "port": "5432", "dbname": "slipway", "sslmode": "verify-full"},
        ),
        ("host: db, user: {env: U}", {"host": "db", "port": "5432", "dbname": "slipway", "user": "o'brien"}),
        (
            "host: db, user: {env: U}, password: {env: P}",
            {"host": "db", "port": "5432", "dbname": "slipway", "user": "o'brien", "password": PASSWORD},
        ),
        ('host: "2001:db8::1"', {"host": "2001:db8::1", "port": "5432", "dbname": "slipway"}),
    ],
)
def test_own_postgres(text: str, expected: dict[str, str]) -> None:
    platform = parse(f"postgres: {{{text}}}", "platform.yaml")
    url = connections.postgres_url(platform, {**BUNDLED, "U": "o'brien", "P": PASSWORD})
    assert psycopg2.extensions.parse_dsn(url) == expected
    assert make_url(url).password == expected.get("password")
    assert urlsplit(url).scheme == "postgresql"


def test_a_missing_credential_names_its_key_and_shows_no_value() -> None:
    platform = parse("postgres: {host: db, user: {env: U}, password: {env: P}}", "platform.yaml")
    with pytest.raises(UserError, match=r"postgres\.password: environment variable P is not set"):
        connections.postgres_url(platform, {"U": "u"})


def test_own_storage() -> None:
    platform = parse(
        """
        storage:
          mine:
            endpoint: https://s3.example.com
            region: eu-west-1
            path_style: true
            access_key_id: {env: K}
            secret_access_key: {env: S}
          aws: {}
        """,
        "platform.yaml",
    )
    mine = connections.s3_settings(platform, "mine", {**BUNDLED, "K": "k", "S": "s3cret"})
    assert (mine.endpoint, mine.public_endpoint) == ("https://s3.example.com", "https://s3.example.com")
    assert (mine.region, mine.path_style, mine.access_key_id, mine.secret_access_key) == (
        "eu-west-1",
        True,
        "k",
        "s3cret",
    )
    assert "s3cret" not in repr(mine)
    assert connections.s3_settings(platform, "aws", BUNDLED) == connections.S3Settings(
        None, None, "us-east-1", False, None, None
    )


def test_unknown_storage_names_the_known() -> None:
    platform = parse("storage: {mine: {}}", "platform.yaml")
    with pytest.raises(UserError, match=r"no storage 'other' in platform\.yaml; it has: default, mine"):
        connections.s3_settings(platform, "other", BUNDLED)
