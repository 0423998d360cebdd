"""Run workers as pods, each of a Job of its own.

Only the daemon has rights in the cluster: no other service may call what asks the API server.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from slipway import config
from slipway.config import duckdb_file
from slipway.config.connections import S3_ENDPOINT, S3_PUBLIC_ENDPOINT
from slipway.config.errors import UserError
from slipway.config.images import from_registry
from slipway.config.loader import parse
from slipway.config.model import EnvReference, FileReference, Platform, Reference
from slipway.launch import kubernetes_job, kubernetes_status, kubernetes_tag
from slipway.launch.adapter import (
    EngineUnreachable,
    Host,
    Phase,
    SecretKey,
    Surroundings,
    Value,
    WorkerState,
    WorkOrder,
)
from slipway.launch.environment import BUNDLED
from slipway.launch.kubernetes_api import KubernetesApi, Refused
from slipway.launch.kubernetes_job import (
    INHERITED_LABELS,
    RUN_LABEL,
    SCRATCH,
    Release,
    job_name,
)
from slipway.profiles import ResolvedProfile

log = logging.getLogger(__name__)

Json = dict[str, Any]

PLATFORM_KEY = "platform.yaml"
"""Key of the platform in its ConfigMap."""

_ADDRESSES = (S3_ENDPOINT, S3_PUBLIC_ENDPOINT)
"""Of the bundled services; what else these give is secret."""


class KubernetesAdapter:
    """Jobs of one release in one namespace."""

    def __init__(self, env: Mapping[str, str]) -> None:
        """Asks nothing of the cluster yet.

        Raises:
            UserError: a variable is missing that the chart sets.
        """
        missing = [
            name for name in ("SLIPWAY_PROJECT", "SLIPWAY_INSTANCE", "SLIPWAY_NAMESPACE") if not env.get(name)
        ]
        if missing:
            raise UserError(
                f"{' and '.join(missing)} must be set where runs are launched as pods",
                "the Helm chart sets them for the daemon and the webserver",
            )
        self._env = env
        self._fullname = env["SLIPWAY_PROJECT"]
        self._instance = env["SLIPWAY_INSTANCE"]
        self._namespace = env["SLIPWAY_NAMESPACE"]
        self._last_causes: dict[str, str] = {}
        self._read: tuple[str, Platform] | None = None
        self._reading = threading.Lock()

    @cached_property
    def _api(self) -> KubernetesApi:
        return KubernetesApi(self._namespace, self._env)

    # The platform

    def platform(self) -> Platform:
        """What the ConfigMap says at this moment; a mounted one follows it by up to two minutes."""
        try:
            found = self._config_map()
        except EngineUnreachable as error:
            log.warning("%s; platform.yaml is read from the file that is mounted", error)
            found = None
        return config.current(self._env) if found is None else self._parsed(found)

    def _config_map(self) -> Json | None:
        name = self._env.get("SLIPWAY_CONFIG_MAP")
        return self._api.config_map(name) if name else None

    def _parsed(self, config_map: Json) -> Platform:
        version = str(config_map["metadata"].get("resourceVersion"))
        with self._reading:
            if self._read is None or self._read[0] != version:
                name = config_map["metadata"]["name"]
                text = (config_map.get("data") or {}).get(PLATFORM_KEY, "")
                self._read = version, parse(text, f"{PLATFORM_KEY} in ConfigMap {name}")
            return self._read[1]

    def _release(self) -> Release:
        found = self._config_map()
        if found is None:
            return Release(self._instance, self._fullname)
        metadata = found["metadata"]
        labels = metadata.get("labels") or {}
        return Release(
            self._instance,
            self._fullname,
            {"apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"]},
            {name: labels[name] for name in INHERITED_LABELS if name in labels},
        )

    def resolver(self, platform: Platform) -> Callable[[Reference], Value]:
        """References to Secrets: the daemon does not know what they hold."""
        secret = (
            platform.kubernetes.environment_secret
            or self._env.get("SLIPWAY_ENVIRONMENT_SECRET")
            or f"{self._fullname}-environment"
        )

        def resolve(reference: Reference) -> Value:
            if isinstance(reference, EnvReference):
                return SecretKey(secret, reference.env)
            if isinstance(reference, FileReference):
                raise UserError(
                    f"file {reference.file} cannot be given to a pod",
                    "use {env: NAME} or {secret: {name: NAME, key: KEY}} on Kubernetes",
                )
            return SecretKey(reference.secret.name, reference.secret.key)

        return resolve

    def surroundings(self, run_id: str, location: str) -> Surroundings:
        """A pod inherits nothing: not the daemon's AWS identity either, for it has its own service account's."""
        secret = self._env.get("SLIPWAY_BUNDLED_SECRET")
        bundled = {
            name: SecretKey(secret, name) if secret and name not in _ADDRESSES else self._env[name]
            for name in BUNDLED
            if name in self._env
        }
        return Surroundings(
            runtime="kubernetes",
            scratch=SCRATCH,
            duckdb_folder=duckdb_file.CONTAINER_FOLDER,
            base={"HOME": SCRATCH},
            bundled=bundled,
            aws={},
        )

    def image(self, platform: Platform, location: str) -> str:
        """From the registry that the platform has its images from."""
        return from_registry(platform.code_locations[location].image, platform.kubernetes.image_registry)

    def host(self) -> Host | None:
        """None: the scheduler chooses a node for each run, and the daemon may not list them."""
        return None

    def adjusted(
        self, profile: ResolvedProfile, tags: Mapping[str, str]
    ) -> tuple[ResolvedProfile, list[str]]:
        """With what `dagster-k8s/config` sets of requests and limits."""
        return kubernetes_tag.adjusted(profile, kubernetes_tag.read(tags))

    def scratch(self, run_id: str) -> str:
        """A volume of the pod's own."""
        return SCRATCH

    def accounts(self) -> bool:
        """A container has a control group of its own."""
        return True

    def stops_anywhere(self) -> bool:
        """The webserver has no rights in the cluster."""
        return False

    # The workers

    def start(self, order: WorkOrder) -> str:
        """Make the Job. One that an earlier launch made goes on."""
        name = job_name(order.run_id)
        body = kubernetes_job.body(order, self._release(), kubernetes_tag.read(order.tags))
        try:
            self._api.create_job(body)
        except Refused as error:
            if error.status == 409 and error.reason == "AlreadyExists":
                return f"nothing: Job {name} was made before"
            raise
        image = body["spec"]["template"]["spec"]["containers"][0]["image"]
        return f"Job {name} from image {image}"

    def state(self, run_id: str) -> WorkerState:
        """The state of Job and pod, in the launcher's terms."""
        name = job_name(run_id)
        job = self._api.job(name)
        pods = [] if job is None else self._pods_of(job)
        state = self._seen(run_id, job, pods)
        if state.phase is Phase.PENDING and job is not None and not pods:
            obstacle = kubernetes_status.refused(self._api.events(job["metadata"]["uid"]))
            return WorkerState(state.phase, obstacle=obstacle)
        return state

    def _seen(self, run_id: str, job: Json | None, pods: list[Json]) -> WorkerState:
        """The state, with the cause of an end that an earlier look saw coming and that is gone with its pod."""
        state = kubernetes_status.worker(job, pods, datetime.now(UTC))
        if pods and state.cause:
            self._last_causes[run_id] = state.cause
        elif state.phase is Phase.EXITED and not pods and run_id in self._last_causes:
            return WorkerState(state.phase, state.exit_code, cause=self._last_causes[run_id])
        return state

    def _pods_of(self, job: Json) -> list[Json]:
        uid = job["metadata"]["uid"]
        return self._api.pods(f"batch.kubernetes.io/controller-uid={uid}")

    def logs(self, run_id: str) -> str:
        """The last lines of the container's output."""
        job = self._api.job(job_name(run_id))
        pods = [] if job is None else self._pods_of(job)
        return self._api.log(pods[-1]["metadata"]["name"], kubernetes_status.CONTAINER) if pods else ""

    def stop(self, run_id: str) -> bool:
        """Delete the Job: SIGTERM to its pod, and SIGKILL after the grace. It does not wait for that."""
        return self._delete(run_id)

    def remove(self, run_id: str) -> None:
        """Delete the Job and its pod."""
        self._delete(run_id)
        self._last_causes.pop(run_id, None)

    def _delete(self, run_id: str) -> bool:
        job = self._api.job(job_name(run_id))
        if job is None:
            return False
        if job["metadata"].get("deletionTimestamp"):
            return True
        return self._api.delete_job(job["metadata"]["name"], job["metadata"]["uid"])

    def workers(self) -> Mapping[str, Phase]:
        """The Jobs of this release's runs."""
        release = Release(self._instance, self._fullname)
        jobs = self._api.jobs(release.selector)
        pods = _by_owner(self._api.pods(release.selector))
        found = {}
        for job in jobs:
            run_id = job["metadata"]["labels"].get(RUN_LABEL)
            if run_id and job["metadata"]["name"] == job_name(run_id):
                found[run_id] = self._seen(run_id, job, pods.get(job["metadata"]["uid"], [])).phase
        return found


def _by_owner(pods: Iterable[Json]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for pod in pods:
        for owner in pod["metadata"].get("ownerReferences") or ():
            found.setdefault(owner["uid"], []).append(pod)
    return found
