"""The gate's effects: a unix socket towards the platform, the engine's socket behind it."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from slipway.gate.policy import Boundary, Passed, Refused, decide, own

log = logging.getLogger("slipway.gate")

MAX_BODY = 4 * 1024 * 1024
"""Bytes of the largest body that is read; a run's arguments and environment are far below."""


class Gate:
    """Passes on the requests that the policy allows and refuses the rest with a reason."""

    def __init__(self, boundary: Boundary, engine: aiohttp.ClientSession) -> None:
        self._boundary = boundary
        self._engine = engine

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request; a refusal is a 403 whose JSON has the reason as `message`."""
        what = f"{request.method} {json.dumps(request.raw_path)[1:-1][:300]}"
        try:
            if "Upgrade" in request.headers:
                raise Refused("connections are not upgraded")
            passed = decide(self._boundary, request.method, request.raw_path, await _body(request))
            path = passed.path
            if passed.container is not None:
                path = path.replace("{container}", await self._own_container(passed))
        except Refused as refusal:
            log.warning("refused %s: %s", what, refusal)
            return _message(403, f"the gate refused {what}: {refusal}")
        except NotFound as missing:
            return _message(404, str(missing))
        except aiohttp.ClientError as error:
            return _unanswered(what, error)
        if request.method not in ("GET", "HEAD"):
            log.info("passed %s", what)
        return await self._forward(request, passed, path, what)

    async def _own_container(self, passed: Passed) -> str:
        """The full id of a container of ours: what is checked is what the engine then acts on."""
        async with self._engine.get(_url(f"/containers/{passed.container}/json")) as answer:
            if answer.status == 404:
                raise NotFound(f"No such container: {passed.container}")
            answer.raise_for_status()
            container = await answer.json()
        own(self._boundary, container["Config"]["Labels"])
        return str(container["Id"])

    async def _forward(
        self, request: web.Request, passed: Passed, path: str, what: str
    ) -> web.StreamResponse:
        try:
            answer = await self._engine.request(
                passed.method, _url(path, passed.query), json=passed.body, allow_redirects=False
            )
        except aiohttp.ClientError as error:
            return _unanswered(what, error)
        async with answer:
            headers = {
                name: answer.headers[name]
                for name in ("Content-Type", "Api-Version", "Ostype", "Server")
                if name in answer.headers
            }
            if passed.answer_keys is not None and answer.status == 200:
                known: dict[str, Any] = await answer.json()
                return web.json_response({key: known[key] for key in passed.answer_keys if key in known})
            response = web.StreamResponse(status=answer.status, headers=headers)
            with suppress(ConnectionResetError):  # whoever asked does not wait for the rest
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            return response


class NotFound(Exception):
    """The engine has no container of that name."""


async def serve(boundary: Boundary, engine_socket: Path, gate_socket: Path) -> None:
    """Serve until SIGTERM or SIGINT.

    The socket is open to every user of its folder: who may reach it is decided by who mounts the folder.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(boundary, engine_socket, gate_socket):
        log.info(
            "project %s: %s, images %s", boundary.project, gate_socket, ", ".join(boundary.images.values())
        )
        await stop.wait()


@asynccontextmanager
async def running(boundary: Boundary, engine_socket: Path, gate_socket: Path) -> AsyncIterator[None]:
    """A gate that answers on `gate_socket` while the context lasts."""
    # One request may wait for a container for as long as its run takes.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    connector = aiohttp.UnixConnector(path=str(engine_socket), limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=True) as engine:
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", Gate(boundary, engine).handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        gate_socket.unlink(missing_ok=True)
        await web.UnixSite(runner, str(gate_socket)).start()
        gate_socket.chmod(0o666)
        try:
            yield
        finally:
            gate_socket.unlink(missing_ok=True)
            await runner.cleanup()


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Refused(f"the body is larger than {MAX_BODY} bytes") from error
    except web.RequestPayloadError as error:
        raise Refused("the body is not what its headers say") from error


def _url(path: str, query: object = None) -> URL:
    return URL.build(scheme="http", host="engine", path=path, query=query)  # type: ignore[arg-type]


def _unanswered(what: str, error: aiohttp.ClientError) -> web.Response:
    log.error("the Docker Engine does not answer %s: %s", what, error)
    return _message(502, f"the gate is up, but the Docker Engine does not answer: {error}")


def _message(status: int, text: str) -> web.Response:
    return web.json_response({"message": text}, status=status)
