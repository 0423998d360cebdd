"""The gate's own HTTP: what is refused never reaches the engine, and no request hides inside another.

In the engine's place listens a witness that keeps every byte it is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from slipway.gate import server
from slipway.gate.policy import Boundary

RUN = "0f6a2f0c-7a10-4c4e-9b6a-3f1f0a6b5c11"
NAME = f"slipway-run-{RUN}"
BOUNDARY = Boundary("shop", "shop_backend", {"one": "one:1"}, frozenset({"one"}))
BODY: dict[str, Any] = {
    "Image": "one:1",
    "Cmd": ["/opt/venv/bin/python", "-m", "slipway.worker", "{}"],
    "Env": [],
    "Labels": {
        "slipway.project": "shop",
        "slipway.kind": "run",
        "slipway.location": "one",
        "dagster/run_id": RUN,
        "dagster/job_name": "job",
    },
    "User": "10001:10001",
    "Volumes": {"/tmp": {}},
    "HostConfig": {
        "Memory": 1,
        "MemorySwap": 1,
        "MemoryReservation": 1,
        "CpuPeriod": 1,
        "CpuQuota": 1,
        "PidsLimit": 1,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "ReadonlyRootfs": True,
        "NetworkMode": "shop_backend",
        "Mounts": [
            {"Type": "volume", "Source": "shop_duckdb_one", "Target": "/var/lib/slipway/duckdb"},
        ],
    },
}
GOOD = json.dumps(BODY).encode()
EVIL = json.dumps({**BODY, "HostConfig": {**BODY["HostConfig"], "Privileged": True}}).encode()
CREATE = f"POST /v1.45/containers/create?name={NAME} HTTP/1.1\r\nHost: x\r\n".encode()
EXEC = (
    b"POST /v1.45/containers/gate/exec HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)
CLOSE = b"Connection: close\r\n"
SILENCE_SECONDS = 0.5
"""After this the gate is taken to wait for more than was sent."""


def length(body: bytes) -> bytes:
    return f"Content-Length: {len(body)}\r\n".encode()


def chunked(body: bytes) -> bytes:
    return f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"


class Witness:
    """Answers every request with 201 and an empty object."""

    def __init__(self) -> None:
        self.seen = b""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.seen += data
            if self.seen.endswith((b"}", b"\r\n\r\n")):
                writer.write(
                    b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
                )
        writer.close()


def between(folder: Path, talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]):
    """Talk to a gate over a raw connection; what was answered, and what the engine was sent."""

    async def whole() -> tuple[bytes, bytes]:
        witness = Witness()
        engine = await asyncio.start_unix_server(witness.answer, str(folder / "engine.sock"))
        async with engine, server.running(BOUNDARY, folder / "engine.sock", folder / "gate.sock"):
            reader, writer = await asyncio.open_unix_connection(str(folder / "gate.sock"), limit=2**24)
            answered = await talk(reader, writer)
            writer.close()
            return answered, witness.seen

    return asyncio.run(whole())


def send(folder: Path, raw: bytes) -> tuple[bytes, bytes]:
    """Send bytes; every answer, and what the engine was sent."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        answered = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            writer.write(raw)
            await writer.drain()
            while data := await asyncio.wait_for(reader.read(65536), SILENCE_SECONDS):
                answered += data
        return answered

    return between(folder, talk)


def statuses(answered: bytes) -> list[int]:
    return [int(line.split(b" ")[1]) for line in answered.split(b"\r\n") if line.startswith(b"HTTP/1.")]


def bodies(seen: bytes) -> list[Any]:
    """The bodies of the requests that the engine saw."""
    found = [part.partition(b"\r\n\r\n")[2] for part in seen.split(b"POST ")[1:]]
    return [json.loads(body) for body in found]


def test_a_good_body_reaches_the_engine_rewritten(tmp_path: Path) -> None:
    spaced = json.dumps(BODY, indent=3).encode()
    answered, seen = send(tmp_path, CREATE + CLOSE + length(spaced) + b"X-Of-The-Client: 1\r\n\r\n" + spaced)
    assert statuses(answered) == [201]
    assert bodies(seen) == [BODY]
    assert spaced not in seen
    assert b"X-Of-The-Client" not in seen


def test_a_good_body_in_pieces_is_one_body(tmp_path: Path) -> None:
    answered, seen = send(tmp_path, CREATE + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(GOOD))
    assert (statuses(answered), bodies(seen)) == ([201], [BODY])


def test_requests_on_one_connection_are_judged_one_by_one(tmp_path: Path) -> None:
    answered, seen = send(tmp_path, CREATE + length(GOOD) + b"\r\n" + GOOD + EXEC)
    assert statuses(answered) == [201, 403]
    assert bodies(seen) == [BODY]


SMUGGLED = {
    "both lengths": b"Transfer-Encoding: chunked\r\n" + length(GOOD) + b"\r\n" + chunked(GOOD),
    "both lengths, the other way": length(GOOD) + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(GOOD),
    "two lengths": length(GOOD) + length(EVIL) + b"\r\n" + EVIL,
    "two lengths in one": f"Content-Length: {len(GOOD)}, {len(GOOD)}\r\n\r\n".encode() + GOOD,
    "a signed length": f"Content-Length: +{len(GOOD)}\r\n\r\n".encode() + GOOD,
    "a negative length": b"Content-Length: -1\r\n\r\n" + GOOD,
    "a length in another base": f"Content-Length: {len(GOOD):#x}\r\n\r\n".encode() + GOOD,
    "a length with a space before the colon": f"Content-Length : {len(GOOD)}\r\n\r\n".encode() + GOOD,
    "an encoding that nobody knows": b"Transfer-Encoding: xchunked\r\n\r\n" + chunked(GOOD),
    "an encoding twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunked(GOOD),
    "a folded encoding": b"Transfer-Encoding:\r\n chunked\r\n" + length(GOOD) + b"\r\n" + chunked(GOOD),
    "a broken piece": b"Transfer-Encoding: chunked\r\n\r\n" + b"zz\r\n" + GOOD + b"\r\n0\r\n\r\n",
    "a piece longer than it says": b"Transfer-Encoding: chunked\r\n\r\n2\r\n" + GOOD + b"\r\n0\r\n\r\n",
    "no length at all": b"\r\n" + GOOD,
    "a bare line feed": b"Content-Length: 0\nX: y\r\n\r\n" + EXEC,
    "a header within a header": b"X: a\rContent-Length: 0\r\n\r\n" + GOOD,
    "a null in a header": b"X: a\0b\r\n" + length(GOOD) + b"\r\n" + GOOD,
}


@pytest.mark.parametrize("case", SMUGGLED)
def test_a_request_whose_end_is_unclear_is_not_passed_on(tmp_path: Path, case: str) -> None:
    """Nothing but the one body that may pass, if even that; and never the request behind it."""
    answered, seen = send(tmp_path, CREATE + SMUGGLED[case] + EXEC)
    assert all(400 <= status < 500 for status in statuses(answered)[-1:])
    assert b"exec" not in seen
    assert b"Privileged" not in seen
    assert all(body == BODY for body in bodies(seen))


@pytest.mark.parametrize("inner", [EXEC, CREATE + length(EVIL) + b"\r\n" + EVIL])
def test_a_body_shorter_than_it_says_hides_no_request(tmp_path: Path, inner: bytes) -> None:
    answered, seen = send(tmp_path, CREATE + CLOSE + length(GOOD + inner) + b"\r\n" + GOOD + inner)
    assert statuses(answered) == [403], "what follows is a part of the body, which is no JSON then"
    assert seen == b""


@pytest.mark.parametrize(
    "head",
    [
        CREATE + length(GOOD) + b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n" + GOOD,
        CREATE + length(EVIL) + b"X-HTTP-Method-Override: GET\r\n\r\n" + EVIL,
        b"CONNECT engine:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /info\r\n",
        b"GET /v1.45/containers/gate/json?\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1.45/containers/%2e%2e/images/json HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://engine/v1.45/containers/json/../../images/json HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 40_000 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_other_protocols_and_oversized_heads_get_no_further(tmp_path: Path, head: bytes) -> None:
    answered, seen = send(tmp_path, head)
    assert all(400 <= status < 500 for status in statuses(answered))
    assert seen == b""


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Encoding: gzip\r\n" + length(GOOD) + b"\r\n" + GOOD,
        b"Transfer-Encoding: chunked\r\n\r\n" + b"zz\r\n" + GOOD + b"\r\n0\r\n\r\n",
    ],
)
def test_a_body_that_is_not_what_its_headers_say_is_refused_with_a_reason(
    tmp_path: Path, body: bytes
) -> None:
    answered, seen = send(tmp_path, CREATE + CLOSE + body)
    assert statuses(answered)[:1] in ([403], [400])
    assert b"body" in answered or b"chunk" in answered
    assert seen == b""


def test_a_small_body_that_grows_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    bomb = gzip.compress(b" " * 64 * 2**20)
    assert len(bomb) < 2**20
    answered, seen = send(
        tmp_path, CREATE + CLOSE + b"Content-Encoding: gzip\r\n" + length(bomb) + b"\r\n" + bomb
    )
    assert statuses(answered)[:1] == [403]
    assert f"larger than {server.MAX_BODY} bytes" in answered.decode()
    assert seen == b""


def test_a_huge_body_is_refused_with_its_limit_and_not_kept(tmp_path: Path) -> None:
    size = server.MAX_BODY + 2**20
    answered, seen = send(tmp_path, CREATE + f"Content-Length: {size}\r\n\r\n".encode() + b" " * size)
    assert statuses(answered)[:1] == [403]
    assert f"larger than {server.MAX_BODY} bytes" in answered.decode()
    assert seen == b""


def test_an_endless_body_in_pieces_is_refused_before_its_end(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(CREATE + b"Transfer-Encoding: chunked\r\n\r\n")
        piece = b"%x\r\n" % 2**16 + b" " * 2**16 + b"\r\n"
        answer = asyncio.ensure_future(reader.readuntil(b"}"))
        with contextlib.suppress(ConnectionError):
            while not answer.done():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        return await asyncio.wait_for(answer, 30)

    answered, seen = between(tmp_path, talk)
    assert statuses(answered) == [403]
    assert seen == b""


def test_whoever_says_nothing_more_holds_up_nobody(tmp_path: Path) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(CREATE + b"Content-Length: 10\r\n\r\n{")
        other, to_other = await asyncio.open_unix_connection(str(tmp_path / "gate.sock"))
        to_other.write(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return await asyncio.wait_for(other.read(), 30)

    answered, _ = between(tmp_path, talk)
    assert statuses(answered) == [201]
