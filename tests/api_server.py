"""An API server that knows some objects and no others: for what Helm looks up while it renders."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KINDS = {
    "v1": {"Secret": "secrets", "ServiceAccount": "serviceaccounts", "ConfigMap": "configmaps"},
    "apps/v1": {"StatefulSet": "statefulsets"},
}
"""What it tells of, by version and kind."""


@contextmanager
def serving(*objects: dict[str, Any], version: str = "v1.34.0") -> Iterator[str]:
    """The address of one that has these objects; a namespace has a service account when it has anything."""
    answers = {**_discovery(version), **{_path(each): each for each in objects}}
    for each in objects:
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": each["metadata"]["namespace"]},
        }
        answers.setdefault(_path(account), account)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            answer = answers.get(path) or {
                "apiVersion": "v1",
                "kind": "Status",
                "status": "Failure",
                "reason": "NotFound",
                "code": 404,
            }
            body = json.dumps(answer).encode()
            self.send_response(answer.get("code", 200))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _path(each: dict[str, Any]) -> str:
    version = each["apiVersion"]
    metadata = each["metadata"]
    root = "/api/v1" if version == "v1" else f"/apis/{version}"
    return f"{root}/namespaces/{metadata['namespace']}/{KINDS[version][each['kind']]}/{metadata['name']}"


def _discovery(release: str) -> dict[str, Any]:
    major, minor = release.lstrip("v").split(".")[:2]
    groups = [version.split("/") for version in KINDS if "/" in version]
    found: dict[str, Any] = {
        "/version": {"major": major, "minor": minor, "gitVersion": release},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {
                    "name": group,
                    "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
                    "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version},
                }
                for group, version in groups
            ],
        },
    }
    for version, kinds in KINDS.items():
        found["/api/v1" if version == "v1" else f"/apis/{version}"] = {
            "kind": "APIResourceList",
            "groupVersion": version,
            "resources": [
                {
                    "name": plural,
                    "singularName": "",
                    "namespaced": True,
                    "kind": kind,
                    "verbs": ["get", "list"],
                }
                for kind, plural in kinds.items()
            ],
        }
    return found
