"""The DuckDB file of a location: in its runs and nowhere else, one run at a time, and still there afterwards."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import duckdb

from composed import Stack
from waiting import until

FOLDER = "/var/lib/slipway/duckdb"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "duckdb-file.md"


def beside_the_file(stack: Stack, *command: str) -> str:
    """Run a command in the service that holds the location's volume."""
    return stack.compose("run", "--rm", "--no-TTY", "duckdb-veteran", *command)


def commands_of_the_page() -> list[str]:
    """What the page says to look into the file and to copy it out, for our location and table."""
    found = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [
        text.replace("duckdb-weather", "duckdb-veteran").replace("raw.station", "visits")
        for text in found
        if "docker compose run" in text
    ]


def messages(stack: Stack, run_id: str) -> str:
    events = stack.graphql(
        """query($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
           ... on MessageEvent { message } } } } }""",
        run=run_id,
    )["logsForRun"]["events"]
    return "\n".join(event.get("message", "") for event in events)


def test_runs_at_once_write_it_one_after_the_other_also_when_one_forgets_the_pool(stack: Stack) -> None:
    beside_the_file(stack, "touch", f"{FOLDER}/hold")
    first = stack.launch("veteran", "veteran_visit")
    until(lambda: "has the file" in messages(stack, first), 90, "the first run has not opened the file")
    second = stack.launch("veteran", "veteran_visit")
    forgetful = stack.launch("veteran", "veteran_visit_without_pool")
    waiting = f"Waiting for {FOLDER}/warehouse.duckdb: a process of another container has it open"
    until(lambda: waiting in messages(stack, forgetful), 90, "the run without a pool does not wait")
    assert "has the file" not in messages(stack, second) + messages(stack, forgetful)
    status = stack.graphql(
        "query($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }", run=second
    )
    assert status["runOrError"]["status"] == "QUEUED", "with its pool taken, a run needs no container yet"

    mounts = stack.engine.containers.get(f"slipway-run-{first}").attrs["Mounts"]
    assert {(mount["Name"], mount["Destination"]) for mount in mounts if mount["Destination"] != "/tmp"} == {
        (f"{stack.project}_duckdb_veteran", FOLDER)
    }
    beside_the_file(stack, "rm", f"{FOLDER}/hold")
    runs = [first, second, forgetful]
    seen = [stack.seen(run_id) for run_id in runs]
    visits = max((found["visits"] for found in seen), key=len)
    assert {run for run, _, _ in visits} == set(runs)
    assert all(before[2] <= after[1] for before, after in itertools.pairwise(visits))
    assert {(found["path"], found["owner"]) for found in seen} == {(f"{FOLDER}/warehouse.duckdb", 10001)}
    assert "outside of its pool" in messages(stack, forgetful)
    assert "outside of its pool" not in messages(stack, second)

    look, copy = commands_of_the_page()
    assert all(run_id in stack.run("bash", "-euc", look) for run_id in runs)
    stack.run("bash", "-euc", copy)
    with duckdb.connect(stack.folder / "backup" / "weather.duckdb", read_only=True) as connection:
        assert len(connection.execute("FROM visits").fetchall()) == 3


def test_the_file_of_a_killed_run_opens_again(stack: Stack) -> None:
    beside_the_file(stack, "touch", f"{FOLDER}/hold")
    killed = stack.launch("veteran", "veteran_visit")
    until(lambda: "has the file" in messages(stack, killed), 90, "the run has not opened the file")
    stack.engine.containers.get(f"slipway-run-{killed}").kill()
    beside_the_file(stack, "rm", f"{FOLDER}/hold")
    after = stack.launch("veteran", "veteran_visit")
    assert stack.finished(killed)["status"] == "FAILURE"
    found = {run for run, _, _ in stack.seen(after)["visits"]}
    assert (killed in found, after in found) == (False, True)


def test_no_service_has_the_volume_nor_knows_of_the_file(stack: Stack) -> None:
    for name, container in stack.services().items():
        assert "duckdb_veteran" not in json.dumps(container.attrs["Mounts"]), name
        assert not [entry for entry in container.attrs["Config"]["Env"] if "SLIPWAY_DUCKDB_FILE" in entry], (
            name
        )
    code, _ = stack.execute("code-veteran", "test", "-e", f"{FOLDER}/warehouse.duckdb")
    assert code == 1


def test_a_location_with_a_file_has_a_pool_of_one_and_no_lake(stack: Stack) -> None:
    pools = stack.graphql(
        "{ instance { poolConfig { defaultPoolLimit } concurrencyLimits { concurrencyKey limit } } }"
    )
    limits = {pool["concurrencyKey"]: pool["limit"] for pool in pools["instance"]["concurrencyLimits"]}
    assert limits["duckdb_veteran"] == 1
    databases = stack.sql("SELECT database_name AS name FROM duckdb_databases() WHERE type = 'ducklake'")
    assert [row["name"] for row in databases] == ["ecommerce"]


def test_compose_makes_the_volume_keeps_it_and_removes_it_with_the_data(stack: Stack) -> None:
    project = f"{stack.project}-other"
    name = f"{project}_duckdb_veteran"

    def compose(*arguments: str) -> bool:
        stack.run("docker", "compose", *arguments, COMPOSE_PROJECT_NAME=project)
        return name in {volume.name for volume in stack.engine.volumes.list()}

    assert compose("up", "--detach", "--wait", "--no-deps", "duckdb-veteran")
    assert (
        stack.engine.containers.list(all=True, filters={"label": f"com.docker.compose.project={project}"})
        == []
    )
    assert compose("down")
    assert not compose("down", "--volumes")
