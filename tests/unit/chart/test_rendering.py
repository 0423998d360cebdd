"""What is rendered of many platforms is valid, on every Kubernetes that is supported."""

import json
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml

import charts
from chart_platforms import MATRIX, everything, rendered
from charts import Object, Refused, lint, platform, render
from slipway.config import schema
from slipway.config.kubernetes import Kubernetes
from slipway.config.loader import examine

VERSIONS = ("1.30", "1.32", "1.34")


@pytest.fixture(scope="module")
def objects() -> list[Object]:
    """Every object that differs from all others, over the whole matrix."""
    found: dict[str, Object] = {}
    for name in MATRIX:
        for each in rendered(name).comparable().values():
            found[json.dumps(each, sort_keys=True)] = each
    return list(found.values())


@pytest.fixture(autouse=True, scope="module")
def read_once() -> Iterator[None]:
    """The library reads a schema from its file for each object."""
    original = kubernetes_validate.utils.schema_contents
    kubernetes_validate.utils.schema_contents = cache(original)
    yield
    kubernetes_validate.utils.schema_contents = original


@pytest.mark.parametrize("version", VERSIONS)
def test_the_cluster_would_take_every_object(objects: list[Object], version: str) -> None:
    assert len(objects) > 100
    for each in objects:
        kubernetes_validate.validate(each, version, strict=True)


def test_what_no_cluster_would_take_is_found() -> None:
    deployment = deepcopy(rendered("default").one("Deployment", "slipway-daemon"))
    deployment["spec"]["replica"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(deployment, VERSIONS[0], strict=True)


@pytest.mark.parametrize("name", MATRIX)
def test_no_list_has_a_name_twice(name: str) -> None:
    """The API server, to which helm applies on the server's side, refuses the second."""
    for _, template in rendered(name).templates():
        for container in charts.containers(template):
            names = [entry["name"] for entry in container.get("env", [])]
            assert sorted(names) == sorted(set(names))
            paths = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert sorted(paths) == sorted(set(paths))


@pytest.mark.parametrize("name", MATRIX)
def test_no_object_is_there_twice(name: str) -> None:
    assert len(rendered(name).comparable()) == len(rendered(name).objects)


@pytest.mark.parametrize("name", MATRIX)
def test_everything_that_a_pod_names_is_rendered_too(name: str) -> None:
    """What is not the user's own: service accounts, volumes, ConfigMaps, the bundled Secret."""
    chart = rendered(name)
    secret = "slipway-bundled" in chart.names("Secret")
    accounts = chart.names("ServiceAccount") | {"viewers"}
    for owner, template in chart.templates():
        assert template["spec"]["serviceAccountName"] in accounts, owner
        for volume in template["spec"]["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in chart.names("ConfigMap")
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert claim in chart.names("PersistentVolumeClaim")
        assert secret or "slipway-bundled" not in json.dumps(template)


@pytest.mark.parametrize("name", ["default", "everything", "external", "empty"])
def test_helm_has_no_complaint(name: str) -> None:
    assert lint(MATRIX[name]) == []


def test_the_values_of_the_tests_are_platforms() -> None:
    for name, values in MATRIX.items():
        _, findings = examine(values)
        assert findings == [], name


def test_everything_has_every_section_of_the_chart() -> None:
    given = everything()["kubernetes"]
    assert set(given) >= {field.alias for field in Kubernetes.model_fields.values()} - {
        "postgres",
        "podDisruptionBudgets",
        "test",
    }


# The ConfigMap


def test_the_pods_read_what_was_given() -> None:
    values = everything()
    config_map = rendered("everything").one("ConfigMap", "slipway-platform")
    read = json.loads(config_map["data"]["platform.yaml"])
    platform_read, findings = examine(read)
    assert platform_read is not None
    assert findings == []
    assert platform_read == examine(values)[0]


def test_code_servers_see_no_environment_and_nothing_of_the_cluster() -> None:
    text = rendered("everything").one("ConfigMap", "slipway-locations")["data"]["platform.yaml"]
    read = json.loads(text)
    assert "kubernetes" not in read
    assert "concurrency" not in read
    assert all("env" not in location for location in read["code_locations"].values())
    assert set(read["code_locations"]) == {"ecommerce", "veteran"}
    platform_read, findings = examine(read)
    assert platform_read is not None
    assert findings == []


def test_numbers_stay_numbers() -> None:
    values = platform(
        observability={"compute_logs": {"retention_days": 3650}},
        infrastructure={"resource_profiles": {"huge": {"limits": {"memory": 274877906944}}}},
    )
    text = render(values).one("ConfigMap", "slipway-platform")["data"]["platform.yaml"]
    assert '"retention_days":3650' in text
    assert '"memory":274877906944' in text


# Keys


def test_the_chart_has_the_schema_of_the_model() -> None:
    assert (charts.CHART / "values.schema.json").read_text("utf-8") == schema.render()
    assert (charts.CHART / "values.yaml").read_text("utf-8") == schema.values()


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("replicas", 2, "replicas"),
        ("ingress.enabled", True, "ingress"),
        ("image.tag", "1", "image"),
        ("nodeSelector.a", "b", "nodeSelector"),
        ("code_location.ecommerce.path", "x", "code_location"),
        ("code_locations.ecommerce.replica", 2, "replica"),
        ("kubernetes.webserver.replica", 2, "replica"),
        ("kubernetes.ingres.full.enabled", True, "ingres"),
        ("kubernetes.codeLocations.ecommerce.profile", "small", "profile"),
        ("observability.compute_logs.retention_day", 3, "retention_day"),
        ("infrastructure.resource_profiles.small.limit.cpu", 3, "limit"),
    ],
)
def test_a_key_that_is_none_is_named(path: str, value: Any, key: str) -> None:
    with pytest.raises(Refused, match=rf"additional properties '{key}' not allowed"):
        render(platform(**charts.at(path, value)))


def test_a_wrong_value_is_named_with_its_key() -> None:
    with pytest.raises(Refused, match=r"kubernetes/webserver/replicas.*got string, want integer"):
        render(platform(kubernetes={"webserver": {"replicas": "many"}}))


def test_chart_package_and_images_have_one_version() -> None:
    project = tomllib.loads((charts.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    chart = yaml.safe_load((charts.CHART / "Chart.yaml").read_text("utf-8"))
    values = yaml.safe_load((charts.CHART / "values.yaml").read_text("utf-8"))
    assert {chart["version"], chart["appVersion"], values["kubernetes"]["image"]["tag"]} == {
        project["version"]
    }


def test_kubernetes_versions_are_as_the_chart_says() -> None:
    declared = (charts.CHART / "Chart.yaml").read_text("utf-8")
    assert f'kubeVersion: ">={VERSIONS[0]}.0-0"' in declared


# Notes


def test_the_notes_lead_to_the_ui_a_landing_and_the_volumes() -> None:
    notes = render(platform(), release="shop", namespace="data").notes
    assert "kubectl -n data port-forward service/shop-slipway-webserver 3000:80" in notes
    assert "s3 cp FILE s3://data-landing/" in notes
    assert "helm test shop -n data" in notes
    assert "helm uninstall shop -n data" in notes
    assert "For trials: Postgres and S3 are" in notes


def test_the_notes_know_an_ingress_and_services_of_ones_own() -> None:
    notes = rendered("everything").notes
    assert "https://dagster.example.com/dagster" in notes
    assert "read-only: http://show.example.com/" in notes
    assert "--endpoint-url https://s3.example.com:9000 s3 cp FILE s3://data-landing/" in notes
    assert "For trials: S3 is" in notes
    assert "For trials" not in rendered("external").notes
