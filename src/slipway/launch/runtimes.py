"""Which adapter serves the runtime that `SLIPWAY_RUNTIME` names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from slipway.config.errors import UserError
from slipway.launch.adapter import Adapter


def adapter(env: Mapping[str, str], on_exit: Callable[[str], None]) -> Adapter:
    """The adapter of the runtime.

    Args:
        env: the launcher's environment.
        on_exit: called with a run's id when an adapter sees its worker end by itself; others are swept.

    Raises:
        UserError: no such runtime, or what it needs is missing.
    """
    match env.get("SLIPWAY_RUNTIME"):
        case "docker":
            # docker-py is an extra: a process runtime does without.
            from slipway.launch.docker import DockerAdapter

            return DockerAdapter.from_environment(env)
        case "process":
            from slipway.launch.process import ProcessAdapter

            return ProcessAdapter(Path(env.get("SLIPWAY_STATE") or ".slipway").absolute(), env, on_exit)
        case "kubernetes":
            # So is Kubernetes' client.
            from slipway.launch.kubernetes import KubernetesAdapter

            return KubernetesAdapter(env)
        case other:
            raise UserError(
                f"SLIPWAY_RUNTIME is {other!r}; it must be 'process', 'docker' or 'kubernetes'",
                "`slipway up`, docker-compose.yml and the Helm chart set it; start the services through them",
            )


def platform_folder(env: Mapping[str, str]) -> Path:
    """The folder that paths in platform.yaml are relative to."""
    return Path(env.get("SLIPWAY_PLATFORM") or "platform.yaml").absolute().parent
