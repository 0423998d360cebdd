"""Where a person looks next: the log of a part of the platform, on the runtime that the environment tells."""

from __future__ import annotations

from collections.abc import Mapping

STATEFUL = ("postgres", "localstack")


def log_of(service: str, env: Mapping[str, str]) -> str:
    """The command that shows the log of a service, or its file."""
    match env.get("SLIPWAY_RUNTIME", "process"):
        case "kubernetes":
            kind = "statefulset" if service in STATEFUL else "deployment"
            return _kubectl(env, f"logs {kind}/{env.get('SLIPWAY_PROJECT')}-{service} --all-containers")
        case "docker":
            return f"docker compose logs {service}"
        case _:
            return f"{env.get('SLIPWAY_STATE') or '.slipway'}/logs/{service}.log"


def run(run_id: str, env: Mapping[str, str]) -> str:
    """Where a run tells of itself."""
    if env.get("SLIPWAY_RUNTIME") == "kubernetes":
        return f"the run's page in the UI, and while its pod is there: {_kubectl(env, f'describe job/slipway-run-{run_id}')}"
    return "the run's page in the UI"


def _kubectl(env: Mapping[str, str], rest: str) -> str:
    namespace = env.get("SLIPWAY_NAMESPACE")
    return f"kubectl {f'-n {namespace} ' if namespace else ''}{rest}"
