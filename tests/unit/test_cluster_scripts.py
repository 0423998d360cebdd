"""scripts/cluster-*.sh before anything is touched: stand-ins for the tools say what a machine has."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

KUBECTL = """#!/bin/sh
case "$*" in
    "version --client"*) echo "  gitVersion: v{client}" ;;
    "config current-context") echo laptop ;;
    "get --raw /version"*) {answer} ;;
    "get nodes"*) printf '%s' '{node}' ;;
esac
"""
HELM = """#!/bin/sh
echo v{helm}
"""
ECHO = '#!/bin/sh\necho "$(basename "$0") $*" >>"$CALLS"\n'


class Machine:
    """A PATH with stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"

    def has(
        self,
        *,
        client: str = "1.34.1",
        helm: str = "3.19.0",
        server: str = "1.34.4",
        answer: str | None = None,
        node: str = "node  ",
    ) -> None:
        """Kubectl and helm of some version before a cluster of some version."""
        answer = answer or f'echo \'{{"gitVersion": "v{server}"}}\''
        self.tool("kubectl", KUBECTL.format(client=client, answer=answer, node=node))
        self.tool("helm", HELM.format(helm=helm))

    def tool(self, name: str, text: str = ECHO) -> None:
        """A command, which by default notes how it was called."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A script of ours on this machine."""
        return subprocess.run(
            [ROOT / "scripts" / script, *arguments],
            env={"PATH": f"{self.folder}:/usr/bin:/bin", "CALLS": str(self.calls), **environment},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_cluster_that_answers_is_taken(machine: Machine) -> None:
    machine.has()
    done = machine.run("cluster-check.sh")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("has", "said"),
    [
        ({"helm": "3.9.4"}, "error: helm 3.9 is too old\nhelp: install helm 3.14 or newer"),
        ({"client": "1.19.0"}, "error: kubectl 1.19 is too old"),
        (
            {"server": "1.27.9"},
            "error: the cluster of context laptop is Kubernetes 1.27\nhelp: Slipway needs",
        ),
        (
            {"answer": "echo 'connection refused' >&2; exit 1"},
            "error: the cluster of context laptop does not answer: connection refused",
        ),
    ],
)
def test_what_is_missing_is_said_before_anything_is_done(
    machine: Machine, has: dict[str, str], said: str
) -> None:
    machine.has(**has)
    done = machine.run("cluster-check.sh")
    assert done.returncode == 2
    assert done.stderr.startswith(said)


def test_versions_are_compared_by_their_numbers(machine: Machine) -> None:
    machine.has(helm="4.0.5", client="1.100.0", server="1.100.0+k3s1")
    assert machine.run("cluster-check.sh").returncode == 0


def test_the_least_version_is_the_charts(machine: Machine) -> None:
    chart = (ROOT / "helm" / "slipway" / "Chart.yaml").read_text()
    machine.has(server="1.2.3")
    done = machine.run("cluster-check.sh")
    least = done.stderr.split("needs Kubernetes ")[1].split()[0]
    assert f'kubeVersion: ">={least}.0-0"' in chart


@pytest.mark.parametrize(
    ("node", "tool", "called"),
    [
        (
            "dev-control-plane kind://docker/dev/dev-control-plane ",
            "kind",
            ["kind load docker-image --name dev a:1 b:2"],
        ),
        (
            "k3d-my-dev-server-0 k3s://k3d-my-dev-server-0 ",
            "k3d",
            ["k3d image import --cluster my-dev a:1 b:2"],
        ),
        (
            "minikube  profile",
            "minikube",
            ["minikube --profile profile image load a:1", "minikube --profile profile image load b:2"],
        ),
    ],
)
def test_images_get_into_a_cluster_in_its_own_way(
    machine: Machine, node: str, tool: str, called: list[str]
) -> None:
    machine.has(node=node)
    missing = machine.run("cluster-load.sh", "--check")
    assert (missing.returncode, f"no {tool} command" in missing.stderr) == (2, True)
    machine.tool(tool)
    done = machine.run("cluster-load.sh", "a:1", "b:2")
    assert (done.returncode, done.stderr) == (0, "")
    assert machine.calls.read_text().splitlines() == called


def test_images_are_pushed_under_the_names_that_the_chart_gives_them(machine: Machine) -> None:
    machine.has()
    machine.tool("docker")
    images = ("postgres:17", "ghcr.io/team/x:1", "slipway/platform:0.1.0", "host:5000/y:2")
    machine.run("cluster-load.sh", *images, IMAGE_REGISTRY="reg.example.com/us")
    pushed = [line.split()[-1] for line in machine.calls.read_text().splitlines() if " push " in line]
    assert pushed == [
        "reg.example.com/us/postgres:17",
        "reg.example.com/us/team/x:1",
        "reg.example.com/us/slipway/platform:0.1.0",
        "reg.example.com/us/y:2",
    ]


def test_a_command_of_ones_own_is_given_each_image(machine: Machine) -> None:
    machine.has()
    machine.tool("take")
    machine.run("cluster-load.sh", "a:1", "b:2", CLUSTER_LOAD="take --into cluster")
    assert machine.calls.read_text() == "take --into cluster a:1\ntake --into cluster b:2\n"


def test_a_cluster_without_a_way_for_images_is_refused_with_the_ways_there_are(machine: Machine) -> None:
    machine.has(node="ip-10-0-0-1 aws:///eu-west-1a/i-0 ")
    done = machine.run("cluster-load.sh", "--check")
    assert done.returncode == 2
    assert "none of kind, k3d and minikube" in done.stderr
    assert "IMAGE_REGISTRY" in done.stderr
    assert "CLUSTER_LOAD" in done.stderr
