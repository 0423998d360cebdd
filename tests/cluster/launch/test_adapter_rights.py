"""The launcher with the daemon's own identity: it needs no right that the role does not have, and renews its token."""

from __future__ import annotations

import base64
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterRunStatus
from kubernetes.config import incluster_config

from launching import Launching
from pods import Json, Namespace
from slipway.launch import sweep
from slipway.launch.adapter import EngineUnreachable

NAME = "lab-slipway-daemon"

RULES: list[Json] = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "delete"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "delete"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": ["lab-slipway-platform"],
        "verbs": ["get"],
    },
]


@pytest.fixture
def token(namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What Kubernetes mounts into the daemon's pod: from here on this process is that pod, as far as it can tell."""
    rbac = "rbac.authorization.k8s.io"
    namespace.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME}},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": NAME}, "rules": RULES},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": NAME},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME}],
        },
    )
    view = ("config", "view", "--raw", "--minify", "--flatten", "-o")
    certificate = namespace.kubectl(*view, "jsonpath={.clusters[0].cluster.certificate-authority-data}")
    server = namespace.kubectl(*view, "jsonpath={.clusters[0].cluster.server}")
    match = re.fullmatch(r"https://\[?([^/]+?)\]?:(\d+)/?", server)
    assert match, server
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(certificate))
    found = tmp_path / "token"
    found.write_text(namespace.kubectl("create", "token", NAME))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(found))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", match[1])
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", match[2])
    return found


@pytest.fixture
def as_daemon(token: Path, launcher: Launching, monkeypatch: pytest.MonkeyPatch) -> Launching:
    # kubectl reads it too, so the rest of a test asks through the launcher alone.
    monkeypatch.delenv("KUBECONFIG")
    launcher.forget()
    return launcher


def test_the_role_is_enough_for_all_that_a_launcher_does(as_daemon: Launching):
    launcher = as_daemon
    refused = launcher.run(
        "waiting", tags={"dagster-k8s/config": '{"pod_spec_config": {"host_network": true}}'}
    )
    launcher.swept(lambda: any("violates PodSecurity" in text for text in launcher.messages(refused)), 30)
    vanished = launcher.run("vanishing", tags={"slipway/profile": "slim"})
    launcher.swept(lambda: launcher.status(vanished) is DagsterRunStatus.FAILURE, 60)
    last_lines = launcher.failure(vanished).partition("Its last lines:")[2]
    assert 'step "vanish"' in last_lines
    launcher.instance.run_launcher.terminate(refused)
    launcher.swept(lambda: launcher.status(refused) is DagsterRunStatus.CANCELED, 60)
    launcher.swept(lambda: not launcher.instance.run_launcher._adapter.workers(), 60)


def test_a_renewed_token_is_used_a_minute_later(
    as_daemon: Launching, token: Path, monkeypatch: pytest.MonkeyPatch
):
    adapter = as_daemon.instance.run_launcher._adapter
    adapter.workers()
    good = token.read_text()
    token.write_text("worth nothing")
    adapter.workers()

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=90)

    monkeypatch.setattr(incluster_config.datetime, "datetime", Later)
    with pytest.raises(EngineUnreachable, match="Unauthorized"):
        adapter.workers()
    sweep(as_daemon.instance)
    token.write_text(good)
    monkeypatch.setattr(
        incluster_config.datetime,
        "datetime",
        type(
            "MuchLater",
            (datetime,),
            {"now": classmethod(lambda cls, tz=None: datetime.now(tz) + timedelta(days=1))},
        ),
    )
    adapter.workers()
