"""What the chart looks up in the cluster, against an API server that has just that."""

import base64
from typing import Any

import pytest

from api_server import serving
from chart_platforms import EXTERNAL
from charts import Object, Refused, at, can_look_up, install, merged, platform, render

look_up = pytest.mark.skipif(
    not can_look_up(), reason="helm-python-sdk is not here, and helm needs a whole cluster"
)


def known(kind: str, name: str, version: str = "v1", **fields: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "data"}, **fields}


def secret(name: str, **values: str) -> Object:
    return known(
        "Secret", name, data={key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    )


def ready(name: str, replicas: int = 1) -> Object:
    return known("StatefulSet", name, "apps/v1", status={"readyReplicas": replicas} if replicas else {})


SOMETHING = secret("something")
EVERY = secret("slipway-environment", PG_USER="u", KEY="k", SECRET="s")
PG = secret("pg", password="p")


# The bundled services' credentials


@look_up
def test_credentials_are_made_once() -> None:
    first = render(platform()).one("Secret", "slipway-bundled")["stringData"]
    with serving(secret("slipway-bundled", **first)) as cluster:
        assert render(platform(), cluster=cluster).one("Secret", "slipway-bundled")["stringData"] == first
    assert render(platform()).one("Secret", "slipway-bundled")["stringData"] != first


@look_up
def test_what_is_missing_of_them_is_made_and_the_rest_kept() -> None:
    with serving(secret("slipway-bundled", SLIPWAY_POSTGRES_PASSWORD="kept/4ever")) as cluster:
        values = render(platform(), cluster=cluster).one("Secret", "slipway-bundled")["stringData"]
    assert values["SLIPWAY_POSTGRES_PASSWORD"] == "kept/4ever"
    assert values["SLIPWAY_POSTGRES_URL"] == "postgresql://slipway:kept%2F4ever@slipway-postgres:5432/slipway"
    assert len(values["SLIPWAY_S3_SECRET_ACCESS_KEY"]) == 40


# When the bootstrap runs


BEFORE, AFTER = "pre-install,pre-upgrade", "post-install,post-upgrade"


@look_up
@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([SOMETHING], AFTER),
        ([ready("slipway-postgres"), ready("slipway-localstack")], BEFORE),
        ([ready("slipway-postgres")], AFTER),
        ([ready("slipway-postgres", 0), ready("slipway-localstack")], AFTER),
        ([ready("other-postgres"), ready("other-localstack")], AFTER),
    ],
)
def test_it_runs_first_when_the_bundled_services_are_there(objects: list[Object], expected: str) -> None:
    with serving(*objects) as cluster:
        job = render(platform(), cluster=cluster).one("Job", "slipway-bootstrap")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == expected


def test_it_runs_first_when_all_services_are_one_s_own() -> None:
    rendered = render(merged(platform(), EXTERNAL))
    for kind, name in (
        ("Job", "slipway-bootstrap"),
        ("ServiceAccount", "slipway-bootstrap"),
        ("NetworkPolicy", "slipway-allow-bootstrap"),
    ):
        assert rendered.one(kind, name)["metadata"]["annotations"]["helm.sh/hook"] == BEFORE
    assert rendered.one("Job", "slipway-bootstrap")["metadata"]["annotations"]["helm.sh/hook-weight"] == "0"
    assert (
        rendered.one("ServiceAccount", "slipway-bootstrap")["metadata"]["annotations"]["helm.sh/hook-weight"]
        == "-10"
    )


# Secrets that are referred to


@look_up
def test_secrets_that_are_there() -> None:
    with serving(EVERY, PG) as cluster:
        assert render(merged(platform(), EXTERNAL), cluster=cluster).objects


@look_up
def test_secrets_that_are_not() -> None:
    values = merged(
        platform(code_locations={"veteran": {"env": {"T": {"secret": {"name": "api", "key": "t"}}}}}),
        EXTERNAL,
    )
    values = merged(values, at("kubernetes.imagePullSecrets", [{"name": "registry"}]))
    with (
        serving(secret("slipway-environment", PG_USER="u", KEY="k")) as cluster,
        pytest.raises(Refused) as caught,
    ):
        render(values, cluster=cluster)
    text = str(caught.value)
    for message in (
        "postgres.password: refers to 'password' of the Secret 'pg', which is not there; make it: "
        "kubectl -n data create secret generic pg --from-literal=password=…",
        "storage.default.secret_access_key: the Secret 'slipway-environment' has no key 'SECRET'; it has: KEY, PG_USER",
        "code_locations.veteran.env.T: refers to 't' of the Secret 'api', which is not there",
        "kubernetes.imagePullSecrets: the Secret 'registry' is not there",
    ):
        assert f"- {message}" in text
    assert text.count("\n  - ") == 4


@look_up
def test_where_no_cluster_can_be_asked_nothing_is_missing() -> None:
    assert render(merged(platform(), EXTERNAL)).objects
    with serving() as cluster:
        assert render(merged(platform(), EXTERNAL), cluster=cluster).objects


# Its version


def refusal(version: str) -> str:
    """This API server knows too little for an installation: every one ends with an error."""
    with serving(version=version) as cluster, pytest.raises(Refused) as caught:
        install("slipway", cluster)
    return str(caught.value)


def test_an_older_kubernetes_is_refused() -> None:
    assert "chart requires kubeVersion: >=1.30.0-0 which is incompatible with Kubernetes v1.29.9" in refusal(
        "v1.29.9"
    )


@pytest.mark.parametrize("version", ["v1.30.0", "v1.33.5-gke.1080000", "v1.34.1+k3s1", "v1.31.2-eks-1552ad0"])
def test_those_of_clouds_are_not(version: str) -> None:
    assert "kubeVersion" not in refusal(version)
