"""Health checks of containers and pods: each asks its service to do a little of its real work.

`python -m slipway.ops.health SERVICE` exits with 0 or prints why not and exits with 1. It runs twice a minute in
every container, location images of other Dagster versions included, so each check imports only what it needs.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Collection, Mapping
from datetime import UTC
from pathlib import Path

DAEMON_TOLERANCE_SECONDS = 120
"""Dagster's daemons write a heartbeat every 30 seconds."""

STARTING_RUNS = ("SENSOR", "QUEUED_RUN_COORDINATOR")
"""The daemons without which no run starts."""

KEEPER_STATUS = Path("/tmp/storage-keeper.status")  # noqa: S108 - the container's own scratch
"""What the storage keeper last found: "ok" or a complaint."""


class Unhealthy(Exception):
    """The service does not do its work; the message says what it answered."""


def webserver() -> None:
    """Ask the webserver for a run: it answers only when it reaches its database too."""
    query = json.dumps({"query": "{ runsOrError(limit: 1) { __typename } }"}).encode()
    path = os.environ.get("SLIPWAY_UI_PATH", "/").rstrip("/")
    request = urllib.request.Request(
        f"http://127.0.0.1:3000{path}/graphql", query, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - a fixed http address
        answer = response.read().decode()
    if '"Runs"' not in answer:
        raise Unhealthy(answer[:500])


def code_server() -> None:
    """Ask the code server for its definitions, which loads them when nobody did before."""
    import grpc

    # The messages of DagsterApi are read by hand: importing Dagster for them would take seconds of CPU.
    with grpc.insecure_channel(
        "127.0.0.1:4000", options=[("grpc.max_receive_message_length", -1)]
    ) as channel:
        call = channel.unary_unary("/api.DagsterApi/ListRepositories")
        answer = call(b"", timeout=50)
    if b"ListRepositoriesResponse" not in answer:
        raise Unhealthy(answer.decode(errors="replace")[:2000])


def daemon() -> None:
    """Look for a fresh heartbeat of the daemons that start runs, written since this container started."""
    judge(heartbeats(), since=_started())


def daemon_alive() -> None:
    """The same for whoever restarts a daemon that hangs: without its database it does nothing, and is not to blame."""
    import psycopg2

    try:
        beats = heartbeats()
    except psycopg2.OperationalError:
        return
    judge(beats, since=0)


def heartbeats(env: Mapping[str, str] = os.environ) -> dict[str, float]:
    """When each daemon last wrote one, in seconds since 1970."""
    import psycopg2

    from slipway import config
    from slipway.config.connections import postgres_url

    connection = psycopg2.connect(postgres_url(config.current(env), env), connect_timeout=5)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT daemon_type, timestamp FROM daemon_heartbeats")
            return {name: beat.replace(tzinfo=UTC).timestamp() for name, beat in cursor.fetchall()}
    finally:
        connection.close()


def judge(beats: Mapping[str, float], since: float = 0, needed: Collection[str] = STARTING_RUNS) -> None:
    """Raise Unhealthy unless each of the needed daemons wrote a heartbeat lately, and after `since`."""
    now = time.time()
    fresh = {name for name, beat in beats.items() if now - beat < DAEMON_TOLERANCE_SECONDS and beat >= since}
    missing = set(needed) - fresh
    if missing:
        ages = {name: round(now - beat) for name, beat in beats.items()}
        raise Unhealthy(f"no fresh heartbeat of {', '.join(sorted(missing))}; in seconds ago: {ages}")


def _started() -> float:
    """When process 1 started, in seconds since 1970."""
    ticks = int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19])
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - since_boot


def gate() -> None:
    """Reach the Docker Engine through the gate."""
    path = "/run/slipway/gate/docker.sock"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(path)
        connection.sendall(b"GET /_ping HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n")
        response = http.client.HTTPResponse(connection)
        response.begin()
        answer = response.read().decode(errors="replace")
        if response.status != 200:
            raise Unhealthy(answer)


def storage_keeper() -> None:
    """Read the keeper's own judgement of the storage."""
    status = KEEPER_STATUS.read_text() if KEEPER_STATUS.exists() else "the storage is not restored yet"
    if status != "ok":
        raise Unhealthy(status)


CHECKS: dict[str, Callable[[], None]] = {
    "webserver": webserver,
    "code-server": code_server,
    "daemon": daemon,
    "daemon-alive": daemon_alive,
    "gate": gate,
    "storage-keeper": storage_keeper,
}


def main(service: str) -> int:
    """Run one check; its exit code."""
    try:
        CHECKS[service]()
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - what `docker inspect` shows
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
