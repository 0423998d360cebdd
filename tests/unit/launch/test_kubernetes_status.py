"""What is read of Jobs and pods, from objects as a real API server gives them."""

from datetime import UTC, datetime

import pytest

from slipway.launch import kubernetes_status
from slipway.launch.adapter import Phase

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
JOB = {"metadata": {"name": "slipway-run-r", "uid": "u"}, "status": {"active": 1}}


def pod(**more):
    """A pod that runs."""
    status = {
        "phase": "Running",
        "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}],
        "containerStatuses": [container(running={"startedAt": "2026-11-24T11:59:00Z"})],
    }
    metadata = {"name": "slipway-run-r-x", "creationTimestamp": "2026-11-24T11:58:58Z"}
    return {
        "metadata": {**metadata, **more.pop("metadata", {})},
        "spec": {"nodeName": "node-1"},
        "status": {**status, **more},
    }


def container(name="run", **state):
    return {"name": name, "image": "one:1", "state": state}


def state(*pods, job=JOB):
    return kubernetes_status.worker(job, pods, NOW)


def ended(code, reason="Error", **more):
    return pod(
        phase="Failed", containerStatuses=[container(terminated={"exitCode": code, "reason": reason})], **more
    )


def waiting(reason, message=None):
    detail = {"reason": reason, **({"message": message} if message else {})}
    return pod(phase="Pending", containerStatuses=[container(waiting=detail)])


def failed_job(reason, message=""):
    return {
        **JOB,
        "status": {
            "conditions": [{"type": "Failed", "status": "True", "reason": reason, "message": message}]
        },
    }


def test_the_phases():
    assert state(job=None).phase is Phase.ABSENT
    assert state().phase is Phase.PENDING
    assert state(pod()).phase is Phase.RUNNING
    assert state(pod(phase="Pending", containerStatuses=[])).phase is Phase.PENDING
    assert state(waiting("ContainerCreating")) == state(waiting("PodInitializing"))
    assert state(waiting("ContainerCreating")).obstacle is None
    assert (
        state(job={**JOB, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}).exit_code == 0
    )


def test_the_end_of_the_container_is_the_workers():
    good = pod(
        phase="Succeeded", containerStatuses=[container(terminated={"exitCode": 0, "reason": "Completed"})]
    )
    assert (state(good).phase, state(good).exit_code, state(good).cause) == (Phase.EXITED, 0, None)
    assert (state(ended(3)).exit_code, state(ended(3)).out_of_memory) == (3, False)
    killed = state(ended(137, "OOMKilled"))
    assert (killed.exit_code, killed.out_of_memory) == (137, True)


def test_what_else_is_in_the_pod_does_not_count():
    beside = container("proxy", terminated={"exitCode": 1, "reason": "Error"})
    running = container(running={})
    assert state(pod(containerStatuses=[beside, running])).phase is Phase.RUNNING
    over = container(terminated={"exitCode": 0, "reason": "Completed"})
    assert state(pod(containerStatuses=[container("proxy", running={}), over])).phase is Phase.EXITED


def test_a_pod_that_ends_with_grace_still_runs():
    """Deleted 30 seconds ago, with 40 seconds of grace."""
    ending = pod(metadata={"deletionTimestamp": "2026-11-24T12:00:10Z"})
    assert state(ending).phase is Phase.RUNNING
    assert state(ending).cause == "The run's pod was deleted."


@pytest.mark.parametrize(
    ("finished", "cause"),
    [("2026-11-24T11:59:35Z", None), ("2026-11-24T11:59:45Z", "The run's pod was deleted.")],
)
def test_a_deletion_ends_what_had_not_ended_before(finished, cause):
    """The launcher itself deletes pods that have ended."""
    over = container(terminated={"exitCode": 1, "finishedAt": finished})
    deleted = {"deletionTimestamp": "2026-11-24T12:00:10Z", "deletionGracePeriodSeconds": 30}
    assert state(pod(phase="Failed", containerStatuses=[over], metadata=deleted)).cause == cause


def test_a_pod_long_past_its_grace_is_on_a_node_that_is_gone():
    at_last = pod(metadata={"deletionTimestamp": "2026-11-24T11:59:10Z"})
    assert state(at_last).phase is Phase.RUNNING
    lost = pod(metadata={"deletionTimestamp": "2026-11-24T11:58:50Z"})
    assert state(lost).phase is Phase.EXITED
    assert state(lost).cause == "Node node-1 does not answer any more; the run's pod was on it."


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("EvictionByEvictionAPI", "The run's pod was evicted, as when its node is drained (node node-1): "),
        ("PreemptionByScheduler", "The run's pod made room for one of higher priority (node node-1): "),
        ("DeletionByTaintManager", "The run's pod was deleted since its node has a taint"),
        ("DeletionByPodGC", "The run's pod was deleted since its node is gone"),
        ("TerminationByKubelet", "The node ended the run's pod, short of resources or shutting down"),
        ("SomethingNew", "Kubernetes took the run's pod away"),
    ],
)
def test_disruptions_are_told_apart(reason, says):
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "Some words"}
    found = state(ended(143, conditions=[condition]))
    assert found.cause.startswith(says)
    assert found.cause.endswith(": Some words.")


def test_an_eviction_has_the_kubelets_words():
    message = 'Usage of EmptyDir volume "scratch" exceeds the limit "1Gi". '
    evicted = pod(phase="Failed", reason="Evicted", message=message, containerStatuses=[])
    assert state(evicted).phase is Phase.EXITED
    assert state(evicted).cause == (
        'Kubernetes evicted the run\'s pod from node node-1: Usage of EmptyDir volume "scratch" exceeds the limit "1Gi".'
    )
    refused = pod(
        phase="Failed",
        reason="OutOfcpu",
        message="Node didn't have enough resource: cpu",
        containerStatuses=[],
    )
    assert state(refused).cause.startswith(
        "Kubernetes ended the run's pod on node node-1, OutOfcpu: Node didn't"
    )


def test_a_job_without_its_pod():
    assert "was deleted before it had ended" in state(job=failed_job("BackoffLimitExceeded")).cause
    assert "activeDeadlineSeconds" in state(job=failed_job("DeadlineExceeded")).cause
    going = {**JOB, "metadata": {**JOB["metadata"], "deletionTimestamp": "2026-11-24T12:00:00Z"}}
    assert state(job=going).phase is Phase.EXITED


def test_an_init_container_that_fails_is_named():
    init = [{"name": "prepare", "image": "i", "state": {"terminated": {"exitCode": 4, "reason": "Error"}}}]
    found = state(pod(phase="Failed", initContainerStatuses=init, containerStatuses=[container(waiting={})]))
    assert found.cause == "Init container 'prepare' of the run's pod failed with exit code 4."


def test_the_two_states_of_a_failed_pull_are_one_obstacle():
    pull = 'failed to pull and unpack image "one:1": not found'
    first, second = (
        state(waiting("ErrImagePull", pull)),
        state(waiting("ImagePullBackOff", f"Back-off: {pull}")),
    )
    assert first.phase is second.phase is Phase.PENDING
    assert first.obstacle.kind == second.obstacle.kind
    assert first.obstacle.message == f"Image 'one:1' cannot be pulled: {pull}."


def test_a_missing_secret_is_named():
    found = state(waiting("CreateContainerConfigError", 'secret "s" not found')).obstacle
    assert found.message == 'The run\'s container cannot be made: secret "s" not found.'
    other = state(waiting("CreateContainerConfigError", "couldn't find key k in Secret n/s")).obstacle
    assert other.kind != found.kind


def test_the_schedulers_words_however_many_nodes_there_are():
    def unschedulable(message):
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        return state(pod(phase="Pending", conditions=[condition], containerStatuses=[])).obstacle

    one = unschedulable("0/3 nodes are available: 3 Insufficient cpu.")
    two = unschedulable("0/4 nodes are available: 4 Insufficient cpu.")
    assert one.message == "No node takes the run's pod: 0/3 nodes are available: 3 Insufficient cpu."
    assert (one.kind, one.of_resources) == (two.kind, True)
    assert unschedulable("0/3 nodes are available: 3 Insufficient memory.").kind != one.kind


def test_a_pod_that_is_not_even_made_has_its_reason_in_the_jobs_events():
    def event(message, at, reason="FailedCreate"):
        return {"reason": reason, "message": message, "lastTimestamp": at}

    forbidden = 'Error creating: pods "slipway-run-r-{}" is forbidden: exceeded quota: q, requested: cpu=1'
    events = [
        event(forbidden.format("a"), "2026-11-24T11:00:00Z"),
        event(forbidden.format("b"), "2026-11-24T11:00:10Z"),
        event("Created pod: x", "2026-11-24T12:00:00Z", "SuccessfulCreate"),
    ]
    found = kubernetes_status.refused(events)
    assert found.message == (
        "Kubernetes refuses the run's pod: it is forbidden: exceeded quota: q, requested: cpu=1."
    )
    assert found == kubernetes_status.refused(events[:1])
    assert kubernetes_status.refused(events[2:]) is None


def test_of_several_pods_the_last_counts():
    assert state(ended(1), pod(metadata={"creationTimestamp": "2026-11-24T11:59:59Z"})).phase is Phase.RUNNING
