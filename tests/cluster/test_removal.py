"""`make cluster-down` leaves the volumes, and an install takes them up again. Last, since nothing is left to look at."""

from __future__ import annotations

from installed import RELEASE, Installed
from waiting import until

KINDS = (
    "pods",
    "services",
    "deployments",
    "statefulsets",
    "jobs",
    "configmaps",
    "networkpolicies",
    "roles",
    "rolebindings",
)
ROWS = "SELECT count(*) AS n FROM ecommerce.raw.orders"


def test_only_volumes_are_left_and_an_install_goes_on_with_them(installed: Installed) -> None:
    until(lambda: installed.landed() == {"done"}, 180, lambda: f"what landed is {installed.landed()}")
    rows = installed.sql(ROWS)
    objects = keys(installed)
    going_on = installed.launch_job(
        "launched", "waiting", ops={"wait": {"config": {"seconds": 600}}}, tags={"slipway/profile": "tiny"}
    )
    # one that has not begun yet would be launched again by the daemon of the next install
    installed.says(going_on, "holding on", 90)

    output = installed.run_command("scripts/cluster-down.sh")
    kept = {claim["metadata"]["name"] for claim in installed.list("persistentvolumeclaims")}
    assert kept == {name for name in kept if f"/{name}\n" in output}
    assert f"{RELEASE}-duckdb-veteran" in kept
    until(lambda: not left(installed), 90, lambda: f"{left(installed)}")

    # with the images that the cluster has
    installed.run_command("scripts/cluster-up.sh", timeout=900, CLUSTER_LOAD="true")
    assert installed.sql(ROWS)[0]["n"] >= rows[0]["n"] > 0
    assert objects <= keys(installed)
    # its pod went with the release
    assert installed.finished(going_on, 120)["status"] == "FAILURE"


def left(installed: Installed) -> list[str]:
    """What there is of the release beside volumes and the secret that opens them."""
    return [
        f"{kind}/{found['metadata']['name']}"
        for kind in KINDS
        for found in installed.list(kind, f"app.kubernetes.io/instance={RELEASE}")
    ]


def keys(installed: Installed) -> set[str]:
    """The landed objects in S3."""
    pages = installed.s3().get_paginator("list_objects_v2").paginate(Bucket="data-landing")
    return {item["Key"] for page in pages for item in page.get("Contents", [])}
