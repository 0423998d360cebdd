"""The few requests that the launcher makes of a cluster's API server, as plain JSON.

Each method is one right of the daemon's role; what is not here needs no right.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import urllib3
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException, incluster_config, kube_config

from slipway.config.errors import UserError
from slipway.launch.adapter import LOG_LINES, EngineUnreachable

Json = dict[str, Any]

TIMEOUTS_SECONDS = (3, 20)
"""For a connection, and for an answer."""

IN_CLUSTER = incluster_config.SERVICE_HOST_ENV_NAME
"""Kubernetes sets this variable in every pod."""

_PASSING = (401, 408, 429)
"""Refusals that another attempt may not meet: a token that has just been renewed, a server under load."""


class Refused(UserError):
    """The API server's answer to what can never be."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"Kubernetes refused: {message}")
        self.status = status
        self.reason = reason


class KubernetesApi:
    """One namespace of the cluster that this pod is in or, outside of one, that KUBECONFIG names."""

    def __init__(self, namespace: str, env: Mapping[str, str] = os.environ) -> None:
        self.namespace = namespace
        with _errors():
            self._client = client.ApiClient(_configuration(env))

    def create_job(self, body: Json) -> Json:
        """Make a Job."""
        return self._ask("POST", self._path("batch/v1", "jobs"), body=body)

    def job(self, name: str) -> Json | None:
        """A Job, None when there is none of this name."""
        return self._found("GET", self._path("batch/v1", "jobs", name))

    def jobs(self, selector: str) -> list[Json]:
        """The Jobs that have these labels."""
        return self._list(self._path("batch/v1", "jobs"), labelSelector=selector)

    def delete_job(self, name: str, uid: str) -> bool:
        """Delete this very Job with its pods, which have their grace; it is gone after them. False when it was gone."""
        body = {"propagationPolicy": "Foreground", "preconditions": {"uid": uid}}
        return self._found("DELETE", self._path("batch/v1", "jobs", name), body=body) is not None

    def pods(self, selector: str) -> list[Json]:
        """The pods that have these labels."""
        return self._list(self._path("v1", "pods"), labelSelector=selector)

    def log(self, pod: str, container: str) -> str:
        """The last lines of a container's output; empty when there is none."""
        query = {"container": container, "tailLines": str(LOG_LINES)}
        with _errors():
            try:
                response = self._request(
                    "GET", self._path("v1", "pods", pod, "log"), query, None, _preload_content=False
                )
                return bytes(response.data).decode(errors="replace").strip()
            except ApiException as error:
                # No such pod, or a container that never started.
                if error.status in (400, 404):
                    return ""
                raise

    def events(self, uid: str) -> list[Json]:
        """What was reported of the object with this uid."""
        return self._list(self._path("v1", "events"), fieldSelector=f"involvedObject.uid={uid}")

    def config_map(self, name: str) -> Json:
        """A ConfigMap."""
        return self._ask("GET", self._path("v1", "configmaps", name))

    def _path(self, group: str, *names: str) -> str:
        root = "/api" if group == "v1" else "/apis"
        return "/".join((root, group, "namespaces", self.namespace, *names))

    def _list(self, path: str, **query: str) -> list[Json]:
        items: list[Json] = self._ask("GET", path, query)["items"]
        return items

    def _found(self, method: str, path: str, body: Json | None = None) -> Json | None:
        try:
            return self._ask(method, path, body=body)
        except Refused as error:
            # A conflict is a precondition that does not hold: the object is another by now.
            if error.status in (404, 409):
                return None
            raise

    def _ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Json | None = None
    ) -> Json:
        with _errors():
            answer: Json = self._request(method, path, query or {}, body)
            return answer

    def _request(
        self, method: str, path: str, query: Mapping[str, str], body: Json | None, **how: Any
    ) -> Any:
        return self._client.call_api(
            path,
            method,
            query_params=list(query.items()),
            header_params={"Accept": "application/json", "Content-Type": "application/json"},
            body=body,
            response_type="object",
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _request_timeout=TIMEOUTS_SECONDS,
            **how,
        )


def _configuration(env: Mapping[str, str]) -> client.Configuration:
    configuration = client.Configuration()
    if env.get(IN_CLUSTER) and not env.get("KUBECONFIG"):
        # The token is read again at each request that comes a minute after the last time: Kubernetes renews it.
        incluster_config.load_incluster_config(client_configuration=configuration)
    else:
        kube_config.load_kube_config(
            config_file=env.get("KUBECONFIG") or None, client_configuration=configuration
        )
    # The launcher knows how long to try again, and the client drops what the environment says of proxies.
    configuration.retries = 0
    configuration.no_proxy = env.get("NO_PROXY") or env.get("no_proxy")
    return configuration


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        status, reason, message = _answer(error)
        if 400 <= status < 500 and status not in _PASSING:
            raise Refused(status, reason, message) from error
        raise EngineUnreachable(f"the Kubernetes API server failed: {message}") from error
    except ConfigException as error:
        raise EngineUnreachable(f"this pod's access to the Kubernetes API cannot be read: {error}") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise EngineUnreachable(f"the Kubernetes API server does not answer: {error}") from error


def _answer(error: ApiException) -> tuple[int, str, str]:
    """Status, reason and message of an answer that is an error; the server says most in a Status object."""
    status = int(error.status or 0)
    try:
        body = json.loads(error.body or "")
        return status, body.get("reason") or "", body["message"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return status, "", f"{status} {error.reason or ''} {error.body or ''}".strip()
