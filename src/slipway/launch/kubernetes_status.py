"""What a run's Job and pod say of its worker: pure, from the objects as the API server gives them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from slipway.launch.adapter import Obstacle, Phase, WorkerState

Json = dict[str, Any]

CONTAINER = "run"
"""The container of the run worker; a run tag may put others beside it."""

LOST_AFTER = timedelta(seconds=60)
"""A pod that should have ended so long ago, and has not said so, is on a node that does not answer."""

_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")
_CONFIGURATION = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")


def worker(job: Json | None, pods: Sequence[Json], now: datetime) -> WorkerState:
    """The state of the worker of one Job.

    Args:
        job: the Job, None when there is none.
        pods: its pods; there is one at most, unless somebody interfered.
        now: the time, by which a node is known to be lost.
    """
    if job is None:
        return WorkerState(Phase.ABSENT)
    if not pods:
        return _without_pod(job)
    return _of_pod(max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp"))), now)


def _without_pod(job: Json) -> WorkerState:
    for condition in job.get("status", {}).get("conditions") or ():
        if condition.get("status") != "True":
            continue
        if condition["type"] in ("Failed", "FailureTarget"):
            return WorkerState(Phase.EXITED, cause=_job_failed(condition))
        if condition["type"] == "Complete":
            return WorkerState(Phase.EXITED, 0)
    if job["metadata"].get("deletionTimestamp"):
        return WorkerState(Phase.EXITED, cause="Its Job was deleted before the run started.")
    return WorkerState(Phase.PENDING)


def _job_failed(condition: Json) -> str:
    if condition.get("reason") == "DeadlineExceeded":
        return "Kubernetes ended the run's Job at its activeDeadlineSeconds."
    return "The run's pod was deleted before it had ended: by hand, or because its node was drained or went away."


def _of_pod(pod: Json, now: datetime) -> WorkerState:
    status = pod.get("status", {})
    container = _container(status)
    ended = container.get("state", {}).get("terminated")
    cause = ending(pod, (ended or {}).get("finishedAt"))
    if ended is not None:
        return WorkerState(
            Phase.EXITED,
            ended.get("exitCode"),
            out_of_memory=ended.get("reason") == "OOMKilled",
            cause=cause,
        )
    if status.get("phase") in ("Failed", "Succeeded"):
        return WorkerState(Phase.EXITED, cause=cause or _never_started(status))
    if _is_lost(pod, now):
        return WorkerState(
            Phase.EXITED, cause=f"Node {_node(pod)} does not answer any more; the run's pod was on it."
        )
    if "running" in container.get("state", {}) or status.get("phase") in ("Running", "Unknown"):
        return WorkerState(Phase.RUNNING, cause=cause)
    return WorkerState(Phase.PENDING, cause=cause, obstacle=_obstacle(status, container))


def _container(status: Json) -> Json:
    found: Json = next(
        (one for one in status.get("containerStatuses") or () if one.get("name") == CONTAINER), {}
    )
    return found


def _node(pod: Json) -> str:
    return str(pod.get("spec", {}).get("nodeName") or "of the pod")


def _is_lost(pod: Json, now: datetime) -> bool:
    gone_by = pod["metadata"].get("deletionTimestamp")
    return gone_by is not None and moment(gone_by) + LOST_AFTER < now


def moment(text: str) -> datetime:
    """A time as Kubernetes writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def ending(pod: Json, finished_at: str | None) -> str | None:
    """Who or what ended a pod, or is about to, as a sentence; None while nobody is.

    Args:
        pod: the pod.
        finished_at: when its worker ended, if it did. A deletion that came later is no cause of that.
    """
    status = pod.get("status", {})
    reason, message = status.get("reason"), status.get("message")
    if reason == "Evicted":
        return f"Kubernetes evicted the run's pod from node {_node(pod)}: {_sentence(message)}"
    if reason == "NodeLost":
        return f"Node {_node(pod)} does not answer any more; the run's pod was on it."
    if reason == "DeadlineExceeded":
        return "Kubernetes ended the run's pod at its activeDeadlineSeconds."
    disruption = _condition(status, "DisruptionTarget")
    if disruption:
        why = _DISRUPTIONS.get(disruption.get("reason", ""), "Kubernetes took the run's pod away")
        return f"{why} (node {_node(pod)}): {_sentence(disruption.get('message'))}"
    if reason and status.get("phase") == "Failed":
        return f"Kubernetes ended the run's pod on node {_node(pod)}, {reason}: {_sentence(message)}"
    deleted_at = _deleted_at(pod)
    if deleted_at is not None and (finished_at is None or deleted_at < moment(finished_at)):
        return "The run's pod was deleted."
    return None


def _deleted_at(pod: Json) -> datetime | None:
    """When it was asked to end; `deletionTimestamp` is when its grace is over."""
    gone_by = pod["metadata"].get("deletionTimestamp")
    if gone_by is None:
        return None
    return moment(gone_by) - timedelta(seconds=pod["metadata"].get("deletionGracePeriodSeconds") or 0)


_DISRUPTIONS = {
    "EvictionByEvictionAPI": "The run's pod was evicted, as when its node is drained",
    "PreemptionByScheduler": "The run's pod made room for one of higher priority",
    "DeletionByTaintManager": "The run's pod was deleted since its node has a taint that it does not tolerate",
    "DeletionByPodGC": "The run's pod was deleted since its node is gone",
    "TerminationByKubelet": "The node ended the run's pod, short of resources or shutting down",
}


def _never_started(status: Json) -> str:
    for one in status.get("initContainerStatuses") or ():
        ended = one.get("state", {}).get("terminated")
        if ended and ended.get("exitCode"):
            return (
                f"Init container '{one['name']}' of the run's pod failed with exit code {ended['exitCode']}."
            )
    return "The run's pod ended before its run worker started."


def _condition(status: Json, kind: str) -> Json | None:
    return next(
        (
            one
            for one in status.get("conditions") or ()
            if one.get("type") == kind and one.get("status") == "True"
        ),
        None,
    )


def _obstacle(status: Json, container: Json) -> Obstacle | None:
    for one in (container, *(status.get("initContainerStatuses") or ())):
        waiting = one.get("state", {}).get("waiting") or {}
        reason, message = waiting.get("reason", ""), waiting.get("message")
        if reason in _IMAGE:
            # The two states of one failure alternate, and the second hides why.
            image = one.get("image")
            return Obstacle(
                f"image {image}", f"Image '{image}' cannot be pulled: {_sentence(message or reason)}"
            )
        if reason in _CONFIGURATION:
            return Obstacle(
                f"{reason} {message}", f"The run's container cannot be made: {_sentence(message or reason)}"
            )
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            message = _sentence(condition.get("message") or condition.get("reason"))
            # How many nodes lack what changes with every pod that comes and goes.
            kind = re.sub(r"\d+", "n", message)
            return Obstacle(f"unschedulable {kind}", f"No node takes the run's pod: {message}", True)
    return None


def refused(events: Iterable[Json]) -> Obstacle | None:
    """Why the pod of a Job is not even made, from the events of the Job."""
    failures = [event for event in events if event.get("reason") == "FailedCreate"]
    if not failures:
        return None
    last = max(failures, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    # The name that the pod would have had differs each time.
    message = re.sub(r'^Error creating: pods "[^"]*" is ', "it is ", last.get("message") or "")
    kind = re.sub(r"\d+", "n", message)
    return Obstacle(f"refused {kind}", f"Kubernetes refuses the run's pod: {_sentence(message)}", True)


def _sentence(message: str | None) -> str:
    text = " ".join((message or "it does not say why").split())
    return text if text.endswith((".", "!", "?")) else f"{text}."
