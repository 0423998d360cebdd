"""What processes are told by their environment, and where it comes from."""

import hashlib
from typing import Any

import pytest

from chart_platforms import EXTERNAL, MATRIX, rendered
from charts import Object, Rendered, containers, environment, merged, platform, render
from slipway.config.loader import examine
from slipway.ops.images import needed

EVERYBODY = {
    "SLIPWAY_RUNTIME": "kubernetes",
    "SLIPWAY_PROJECT": "shop-slipway",
    "SLIPWAY_INSTANCE": "shop",
    "SLIPWAY_PLATFORM": "/etc/slipway/platform.yaml",
}
ADDRESSES = {
    "SLIPWAY_S3_ENDPOINT": "http://shop-slipway-localstack:4566",
    "SLIPWAY_S3_PUBLIC_ENDPOINT": "http://127.0.0.1:4566",
}
LAUNCHER = {
    "SLIPWAY_CONFIG_MAP": "shop-slipway-platform",
    "SLIPWAY_ENVIRONMENT_SECRET": "shop-slipway-environment",
    "SLIPWAY_BUNDLED_SECRET": "shop-slipway-bundled",
}
BUNDLED = ("SLIPWAY_POSTGRES_URL", "SLIPWAY_S3_ACCESS_KEY_ID", "SLIPWAY_S3_SECRET_ACCESS_KEY")


def reference(entry: Object) -> tuple[str, str]:
    """Name and key of the Secret that a variable comes from."""
    secret = entry["valueFrom"]["secretKeyRef"]
    return secret["name"], secret["key"]


def plain(container: Object) -> dict[str, str]:
    return {name: entry["value"] for name, entry in environment(container).items() if "value" in entry}


def main(chart: Rendered, owner: str) -> Object:
    kind, name = owner.split()
    found: Object = chart.pod(kind, name)["spec"]["containers"][0]
    return found


@pytest.fixture(scope="module")
def shop() -> Rendered:
    return render(platform(kubernetes={"webserverReadOnly": {"replicas": 1}}), release="shop")


@pytest.mark.parametrize(
    "owner",
    [
        "Deployment shop-slipway-webserver",
        "Deployment shop-slipway-webserver-read-only",
        "Deployment shop-slipway-daemon",
    ],
)
def test_services_know_the_platform_and_what_runs_refer_to(shop: Rendered, owner: str) -> None:
    for container in containers(dict(shop.templates())[owner]):
        assert plain(container) == {**EVERYBODY, **ADDRESSES, **LAUNCHER}
        variables = environment(container)
        assert variables["SLIPWAY_NAMESPACE"]["valueFrom"] == {
            "fieldRef": {"fieldPath": "metadata.namespace"}
        }
        for name in BUNDLED:
            assert reference(variables[name]) == ("shop-slipway-bundled", name)


def test_a_code_server_knows_its_location(shop: Rendered) -> None:
    assert plain(main(shop, "Deployment shop-slipway-code-ecommerce")) == {
        **EVERYBODY,
        **ADDRESSES,
        "SLIPWAY_LOCATION": "ecommerce",
        "DAGSTER_CURRENT_IMAGE": "slipway/ecommerce:0.1.0",
    }


def test_a_release_named_slipway_is_not_named_twice() -> None:
    chart = render(platform(), release="slipway-prod")
    assert plain(main(chart, "Deployment slipway-prod-daemon"))["SLIPWAY_PROJECT"] == "slipway-prod"


def test_the_bootstrap_job_needs_no_object_of_the_release(shop: Rendered) -> None:
    job = main(shop, "Job shop-slipway-bootstrap")
    assert "SLIPWAY_PLATFORM" not in environment(job)
    assert (
        environment(job)["SLIPWAY_PLATFORM_JSON"]["value"]
        == (shop.one("ConfigMap", "shop-slipway-platform")["data"]["platform.yaml"])
    )
    volumes = dict(shop.templates())["Job shop-slipway-bootstrap"]["spec"]["volumes"]
    assert [volume["name"] for volume in volumes] == ["tmp"]


def test_the_keeper_reaches_the_s3_beside_it(shop: Rendered) -> None:
    keeper = main(shop, "StatefulSet shop-slipway-localstack")
    assert plain(keeper)["SLIPWAY_S3_ENDPOINT"] == "http://127.0.0.1:4566"


# References


def test_shared_references_go_to_everybody_and_a_location_s_to_its_own() -> None:
    chart = rendered("everything")
    key = hashlib.sha256(b"postgres/password").hexdigest()[:16].upper()
    shared = {
        "POSTGRES_USER": ("environment", "POSTGRES_USER"),
        f"SLIPWAY_SECRET_{key}": ("postgres", "password"),
        "S3_ACCESS_KEY_ID": ("environment", "S3_ACCESS_KEY_ID"),
    }
    own = {"TOKEN": ("environment", "API_TOKEN"), "KEY": ("api", "key")}
    for owner, template in chart.templates():
        for container in containers(template):
            if (
                container["image"].split("/")[-1].startswith(("localstack", "postgres"))
                or container["name"] == "claim"
            ):
                continue
            found = {
                name: reference(entry)
                for name, entry in environment(container).items()
                if "secretKeyRef" in entry.get("valueFrom", {})
            }
            assert found.items() >= shared.items(), owner
            assert (found.items() >= own.items()) is (owner == "Deployment slipway-code-ecommerce"), owner
            assert own.keys() <= found.keys() or not own.keys() & found.keys(), owner


def test_a_location_s_plain_variables_are_there() -> None:
    assert plain(main(rendered("everything"), "Deployment slipway-code-ecommerce"))["LEVEL"] == "debug"


def test_without_bundled_services_there_is_no_secret_of_the_chart_s() -> None:
    chart = render(merged(platform(), EXTERNAL))
    assert chart.of("Secret") == []
    assert chart.of("StatefulSet") == []
    daemon = environment(main(chart, "Deployment slipway-daemon"))
    assert not set(daemon) & {*BUNDLED, *ADDRESSES, "SLIPWAY_BUNDLED_SECRET"}


def test_half_a_trial_has_half_a_secret() -> None:
    only_s3 = rendered("bundled S3, external Postgres").one("Secret", "slipway-bundled")["stringData"]
    assert only_s3.keys() == {"SLIPWAY_S3_ACCESS_KEY_ID", "SLIPWAY_S3_SECRET_ACCESS_KEY"}
    only_postgres = rendered("external S3, bundled Postgres").one("Secret", "slipway-bundled")["stringData"]
    assert only_postgres.keys() == {"SLIPWAY_POSTGRES_URL", "SLIPWAY_POSTGRES_PASSWORD"}


def test_further_environment_is_there_and_the_nearest_counts() -> None:
    chart = rendered("everything")
    assert plain(main(chart, "Deployment slipway-webserver"))["HTTPS_PROXY"] == "http://proxy:3128"
    assert plain(main(chart, "Deployment slipway-code-veteran"))["HTTPS_PROXY"] == "http://proxy:3128"
    assert plain(main(chart, "Deployment slipway-code-ecommerce"))["HTTPS_PROXY"] == "http://other:3128"
    webserver = environment(main(chart, "Deployment slipway-webserver"))
    assert webserver["NODE"]["valueFrom"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}


# Images


@pytest.mark.parametrize(
    ("registry", "repository", "expected"),
    [
        ("", "slipway/ecommerce", "slipway/ecommerce:1"),
        ("registry.example.com", "slipway/ecommerce", "registry.example.com/slipway/ecommerce:1"),
        ("registry.example.com", "ecommerce", "registry.example.com/ecommerce:1"),
        (
            "registry.example.com/mirror",
            "ghcr.io/acme/ecommerce",
            "registry.example.com/mirror/acme/ecommerce:1",
        ),
        (
            "registry.example.com:5000",
            "localhost/acme/ecommerce",
            "registry.example.com:5000/acme/ecommerce:1",
        ),
        ("registry.example.com", "internal:5000/ecommerce", "registry.example.com/ecommerce:1"),
    ],
)
def test_one_value_changes_the_registry(registry: str, repository: str, expected: str) -> None:
    image = {"repository": repository, "tag": "1"}
    values: dict[str, Any] = platform(
        code_locations={"ecommerce": {"image": image}}, kubernetes={"imageRegistry": registry}
    )
    server = main(render(values), "Deployment slipway-code-ecommerce")
    assert server["image"] == expected
    assert plain(server)["DAGSTER_CURRENT_IMAGE"] == expected


def test_every_image_is_from_the_registry() -> None:
    for owner, template in rendered("everything").templates():
        for container in containers(template):
            assert container["image"].startswith("mirror.example.com:5000/cache/"), owner
            assert container["imagePullPolicy"] == "Always"
        assert template["spec"]["imagePullSecrets"] == [{"name": "registry"}]


@pytest.mark.parametrize("name", MATRIX)
def test_slipway_images_lists_what_is_rendered(name: str) -> None:
    values, findings = examine(MATRIX[name])
    assert values is not None, findings
    chart = {one["image"] for _, template in rendered(name).templates() for one in containers(template)}
    assert chart == {one.image for one in needed(values)}


@pytest.mark.parametrize("name", ["default", "everything"])
def test_code_servers_read_what_is_for_them_and_the_others_all(name: str) -> None:
    for owner, template in rendered(name).templates():
        maps = [
            volume["configMap"]["name"] for volume in template["spec"]["volumes"] if "configMap" in volume
        ]
        if "slipway-code-" in owner:
            assert maps == ["slipway-locations"], owner
        else:
            assert maps in ([], ["slipway-platform"]), owner
