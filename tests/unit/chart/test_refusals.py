"""What the schema lets pass and cannot work is refused, by its key and with the way out."""

from typing import Any

import pytest

from charts import Refused, Values, at, merged, platform, render

HOST = {"postgres": {"bundled": None, "host": "db"}}


def refusal(values: Values, **options: Any) -> str:
    with pytest.raises(Refused) as caught:
        render(values, **options)
    return str(caught.value)


CASES: dict[str, tuple[Values, str]] = {
    "a host and bundled": (
        at("postgres.host", "db"),
        "postgres.bundled: true, and postgres.host is 'db'; remove one of the two",
    ),
    "neither a host nor bundled": (
        at("postgres.bundled", False),
        "postgres.bundled: false, and there is no host; give postgres.host",
    ),
    "a port of the bundled Postgres": (
        at("postgres.port", 5433),
        "postgres.port: changes nothing on the bundled Postgres",
    ),
    "a password without a user": (
        merged(HOST, at("postgres.password", {"env": "P"})),
        "postgres.password: without a user; give postgres.user",
    ),
    "an endpoint of the bundled S3": (
        at("storage.default.endpoint", "http://s3"),
        "storage.default.endpoint: the bundled S3 brings its own",
    ),
    "half of the credentials": (
        at("storage.other.access_key_id", {"env": "K"}),
        "storage.other: access_key_id and secret_access_key go together",
    ),
    "a file for Postgres": (
        merged(HOST, at("postgres.user", {"file": "/u"})),
        "postgres.user: {file: /u} is a file that no pod has; refer to a key of a Secret instead",
    ),
    "a file for S3": (
        at("storage.other", {"access_key_id": {"file": "/k"}, "secret_access_key": {"env": "S"}}),
        "storage.other.access_key_id: {file: /k} is a file",
    ),
    "a file for a location": (
        at("code_locations.ecommerce.env.TOKEN", {"file": "/t"}),
        "code_locations.ecommerce.env.TOKEN: {file: /t} is a file",
    ),
    "a location's profile": (
        at("code_locations.ecommerce.profile", "smal"),
        "code_locations.ecommerce.profile: there is no resource profile 'smal'; there is: default, medium, small",
    ),
    "the default profile": (
        at("defaults.profile", "big"),
        "defaults.profile: there is no resource profile 'big'",
    ),
    "a profile's successor": (
        at("infrastructure.resource_profiles.medium.on_oom", "big"),
        "infrastructure.resource_profiles.medium.on_oom: there is no resource profile 'big'",
    ),
    "a landing's storage": (
        at("landing.jaffle_shop.storage_ref", "s4"),
        "landing.jaffle_shop.storage_ref: there is no storage 's4'; there is: default",
    ),
    "the lake's storage": (at("lake.storage_ref", "s4"), "lake.storage_ref: there is no storage 's4'"),
    "the logs' storage": (
        at("observability.compute_logs.storage_ref", "s4"),
        "observability.compute_logs.storage_ref: there is no storage 's4'",
    ),
    "overrides for no location": (
        at("kubernetes.codeLocations.ecomerce.replicas", 2),
        "kubernetes.codeLocations.ecomerce: there is no code location 'ecomerce'; there is: ecommerce, veteran",
    ),
    "a door without a host": (
        at("kubernetes.ingress.full", {"enabled": True, "allowUnauthenticated": True}),
        "kubernetes.ingress.full.host: enabled, and without a host",
    ),
    "a door that asks nobody": (
        at("kubernetes.ingress.full", {"enabled": True, "host": "a.example.com"}),
        "kubernetes.ingress.full.authentication: Dagster asks nobody who they are",
    ),
    "a door that asks and does not": (
        at(
            "kubernetes.ingress.full",
            {
                "enabled": True,
                "host": "a.example.com",
                "allowUnauthenticated": True,
                "authentication": {"annotations": {"a": "b"}},
            },
        ),
        "kubernetes.ingress.full.allowUnauthenticated: true, and there are authentication annotations",
    ),
    "a door to no pod": (
        at(
            "kubernetes.ingress.readOnly",
            {"enabled": True, "host": "a.example.com", "allowUnauthenticated": True},
        ),
        "kubernetes.ingress.readOnly.enabled: its webserver has no pod; set kubernetes.webserverReadOnly.replicas",
    ),
    "two doors in one place": (
        at(
            "kubernetes",
            {
                "webserverReadOnly": {"replicas": 1},
                "ingress": {
                    "full": {"enabled": True, "host": "a.example.com", "allowUnauthenticated": True},
                    "readOnly": {"enabled": True, "host": "a.example.com", "allowUnauthenticated": True},
                },
            },
        ),
        "kubernetes.ingress.readOnly: has host and path of kubernetes.ingress.full",
    ),
    "a variable of the platform's": (
        at("kubernetes.daemon.env", [{"name": "SLIPWAY_RUNTIME", "value": "docker"}]),
        "kubernetes.daemon.env: the platform sets SLIPWAY_RUNTIME itself",
    ),
    "a variable of the platform's in runs": (
        at("kubernetes.codeLocations.ecommerce.runs.env", [{"name": "DAGSTER_HOME", "value": "/x"}]),
        "kubernetes.codeLocations.ecommerce.runs.env: the platform sets DAGSTER_HOME itself",
    ),
    "a variable of the platform's in a location": (
        at("code_locations.ecommerce.env.SLIPWAY_RUNTIME", "docker"),
        "code_locations.ecommerce.env.SLIPWAY_RUNTIME: the platform sets this itself",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused(case: str) -> None:
    over, message = CASES[case]
    assert f"- {message}" in refusal(merged(platform(), over))


@pytest.mark.parametrize("path", ["lake", "postgres", "landing", "kubernetes", "kubernetes.daemon"])
def test_a_section_that_is_there_and_empty(path: str) -> None:
    """As a file has it whose keys are all commented out."""
    values = platform(kubernetes={})
    section, _, key = path.partition(".")
    if key:
        values[section][key] = None
    else:
        values[section] = None
    assert f"- {path}: has no value; give one, such as {{}}, or remove the key" in refusal(values)


def test_all_is_said_at_once() -> None:
    text = refusal(platform(postgres={"host": "db"}, defaults={"profile": "big"}, lake={"storage_ref": "s4"}))
    assert "this platform cannot be installed" in text
    assert text.count("\n  - ") == 3


def test_a_release_whose_name_is_too_long() -> None:
    name = "a" * 36
    render({}, release="a" * 35)
    assert f"the release's name '{name}' is too long" in refusal({}, release=name)


def test_a_location_whose_service_would_have_too_long_a_name() -> None:
    location = {"path": "p", "image": {"repository": "a", "tag": "1"}}
    render(platform(code_locations={"a" * 40: location}), release="slipway-data-eng")
    text = refusal(platform(code_locations={"a" * 40: location}), release="slipway-engineering")
    assert (
        f"code_locations.{'a' * 40}: its Service 'slipway-engineering-code-{'a' * 40}' would have 65" in text
    )


def test_locations_never_collide() -> None:
    """Names with `_` become names with `-`, which no name of a location has."""
    location = {"path": "p", "image": {"repository": "a", "tag": "1"}}
    rendered = render(platform(code_locations={"a_b": location, "a__b": location, "ab": location}))
    assert {"slipway-code-a-b", "slipway-code-a--b", "slipway-code-ab"} <= rendered.names("Service")
    with pytest.raises(Refused, match="a-b"):
        render(platform(code_locations={"a-b": location}))
