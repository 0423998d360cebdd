"""What a cluster refuses, and what a person is told: nothing of the release changes."""

from __future__ import annotations

import pytest

from installed import RELEASE, Installed
from waiting import until

REFUSED = {
    "an unknown key of platform.yaml": (
        ["--set", "code_locations.launched.profil=small"],
        "profil",
    ),
    "an unknown key of the chart": (
        ["--set", "kubernetes.webserver.replica=2"],
        "replica",
    ),
    "a profile that does not exist": (
        ["--set", "code_locations.launched.profile=enormous"],
        "enormous",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_by_name(installed: Installed, what: str) -> None:
    arguments, name = REFUSED[what]
    before = installed.servers()
    output = installed.upgrade(*arguments, check=False)
    assert "Error" in output
    assert name in output
    assert installed.servers() == before


def test_a_wrong_registry_leaves_the_old_pods_serving_and_is_taken_back(installed: Installed) -> None:
    before = installed.servers()
    output = installed.run_command(
        *("helm", "upgrade", RELEASE, "helm/slipway", "--namespace", installed.namespace),
        *("--values", "platform.yaml", "--values", installed.values, "--wait", "--timeout", "20s"),
        *("--set", "code_locations.launched.image.repository=registry.invalid/launched"),
        check=False,
    )
    assert f"{RELEASE}-code-launched" in output
    assert before.items() <= installed.servers().items()
    assert installed.locations()["launched"] == ""
    installed.run_command("helm", "rollback", RELEASE, "--namespace", installed.namespace, "--wait")
    until(lambda: installed.servers() == before, 60, "the rollback changed what served, or left what did not")
