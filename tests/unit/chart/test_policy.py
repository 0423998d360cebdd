"""What holds for every object of every platform."""

import json
from collections.abc import Iterator

import pytest

from chart_platforms import MATRIX, rendered
from charts import Object, containers, merged, platform, render

KINDS = {
    "ConfigMap",
    "Deployment",
    "Ingress",
    "Job",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
    "StatefulSet",
}
COMPONENTS = {
    "platform",
    "webserver",
    "webserver-read-only",
    "daemon",
    "bootstrap",
    "code-server",
    "run",
    "postgres",
    "localstack",
    "test",
}


def templates() -> Iterator[tuple[str, Object]]:
    for name in MATRIX:
        for owner, template in rendered(name).templates():
            yield f"{name}: {owner}", template


def test_there_is_something_to_look_at() -> None:
    assert len(list(templates())) > 150
    assert {each["kind"] for name in MATRIX for each in rendered(name).objects} == KINDS


def test_pods_pass_restricted() -> None:
    for owner, template in templates():
        pod = template["spec"]
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, owner
        assert context["runAsUser"] > 0, owner
        assert context["fsGroup"] == context["runAsUser"], owner
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, owner
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), owner
        for volume in pod["volumes"]:
            assert volume.keys() - {"name"} <= {"configMap", "emptyDir", "persistentVolumeClaim"}, owner
        for container in containers(template):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, owner
            assert security["readOnlyRootFilesystem"] is True, owner
            assert security["capabilities"] == {"drop": ["ALL"]}, owner
            assert "hostPort" not in json.dumps(container.get("ports", [])), owner


def test_every_container_has_requests_and_limits() -> None:
    for owner, template in templates():
        for container in containers(template):
            for part in ("requests", "limits"):
                assert container["resources"][part].keys() >= {"cpu", "memory"}, owner


def test_every_scratch_has_a_size() -> None:
    for owner, template in templates():
        for volume in template["spec"]["volumes"]:
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], owner


def test_servers_have_all_probes() -> None:
    for owner, template in templates():
        if "Job" in owner or "Pod" in owner:
            continue
        servers = [one for one in containers(template) if one["name"] not in ("bootstrap", "prepare")]
        assert servers
        for container in servers:
            assert container.keys() >= {"startupProbe", "readinessProbe", "livenessProbe"}, owner


def test_the_daemon_alone_has_a_token() -> None:
    for owner, template in templates():
        assert template["spec"]["automountServiceAccountToken"] is owner.endswith("slipway-daemon"), owner
        assert template["spec"]["enableServiceLinks"] is False, owner
    for name in MATRIX:
        for account in rendered(name).of("ServiceAccount"):
            daemons = account["metadata"]["name"] == "slipway-daemon"
            assert account["automountServiceAccountToken"] is daemons


def test_no_image_is_latest() -> None:
    for owner, template in templates():
        for container in containers(template):
            _, _, tag = container["image"].rpartition(":")
            assert tag != "latest", owner
            assert "/" not in tag, owner


def test_labels() -> None:
    for name in MATRIX:
        for each in rendered(name).objects:
            labels = each["metadata"]["labels"]
            assert labels["app.kubernetes.io/name"] == "slipway"
            assert labels["app.kubernetes.io/instance"] == "slipway"
            assert labels["app.kubernetes.io/managed-by"]
            assert labels["app.kubernetes.io/version"] == "0.1.0"
            assert labels["helm.sh/chart"] == "slipway-0.1.0"
            assert labels["app.kubernetes.io/component"] in COMPONENTS
            assert each["metadata"]["namespace"] == "data"
            assert each["metadata"]["name"].startswith("slipway")
    for owner, template in templates():
        assert template["metadata"]["labels"]["app.kubernetes.io/component"] in COMPONENTS, owner


def test_selectors_find_their_own_pods_and_no_others() -> None:
    """A Service that also chose another component's pods would send them its traffic."""
    for platform_name in MATRIX:
        chart = rendered(platform_name)
        pods = [(owner, template["metadata"]["labels"]) for owner, template in chart.templates()]
        for kind in ("Service", "PodDisruptionBudget"):
            for each in chart.of(kind):
                selector = each["spec"]["selector"]
                selector = selector.get("matchLabels", selector)
                chosen = [owner for owner, labels in pods if selector.items() <= labels.items()]
                name = each["metadata"]["name"]
                assert [owner.split()[1] for owner in chosen] == [name], f"{kind} {name} chooses {chosen}"


def test_ports_of_services_are_those_of_their_pods() -> None:
    for platform_name in MATRIX:
        chart = rendered(platform_name)
        for service in chart.of("Service"):
            for owner, template in chart.templates():
                if owner.split()[1] == service["metadata"]["name"]:
                    ports = {port["name"] for one in containers(template) for port in one.get("ports", [])}
                    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_the_bundled_secrets_values_are_nowhere_else() -> None:
    chart = rendered("default")
    secret = chart.one("Secret", "slipway-bundled")["stringData"]
    assert len(secret) == 4
    others = json.dumps([each for each in chart.objects if each["kind"] != "Secret"])
    for value in secret.values():
        assert len(value) >= 20
        assert value not in others


def test_nothing_blocks_the_drain_of_a_node() -> None:
    for name in MATRIX:
        for budget in rendered(name).of("PodDisruptionBudget"):
            assert budget["spec"]["maxUnavailable"] == 1
            assert "minAvailable" not in budget["spec"]


def test_volumes_are_kept_and_nothing_else() -> None:
    for name in MATRIX:
        for each in rendered(name).objects:
            kept = each["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
            assert kept is (each["kind"] == "PersistentVolumeClaim")


def test_the_daemons_rights() -> None:
    roles = {role["metadata"]["name"]: role for role in rendered("default").of("Role")}
    assert roles.keys() == {"slipway-daemon"}
    rules = {
        (group, resource): (set(rule["verbs"]), rule.get("resourceNames"))
        for rule in roles["slipway-daemon"]["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert rules == {
        ("batch", "jobs"): ({"create", "get", "list", "delete"}, None),
        ("", "pods"): ({"get", "list", "delete"}, None),
        ("", "pods/log"): ({"get"}, None),
        ("", "events"): ({"list"}, None),
        ("", "configmaps"): ({"get"}, ["slipway-platform"]),
    }


def test_a_service_account_of_ones_own_gets_the_rights() -> None:
    chart = render(platform(kubernetes={"daemon": {"serviceAccount": {"name": "mine"}}}))
    (binding,) = chart.of("RoleBinding")
    assert [subject["name"] for subject in binding["subjects"]] == ["mine"]
    assert "slipway-daemon" not in chart.names("ServiceAccount")
    assert chart.pod("Deployment", "slipway-daemon")["spec"]["serviceAccountName"] == "mine"


@pytest.mark.parametrize("name", ["default", "everything"])
def test_the_user_s_labels_never_replace_the_chart_s_own(name: str) -> None:
    labels = {"app.kubernetes.io/component": "mine", "extra": "yes"}
    values = merged(MATRIX[name], {"kubernetes": {"commonLabels": labels}})
    for each in render(values).objects:
        assert each["metadata"]["labels"]["app.kubernetes.io/component"] in COMPONENTS
        assert each["metadata"]["labels"]["extra"] == "yes"
