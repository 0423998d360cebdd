"""How long a server that is told to end goes on as before.

On Kubernetes a pod is told to end in the same moment as everybody else is told to stop sending to it, and they hear of
it later: what arrives until then is served like anything else. Elsewhere nobody is told, and nothing is gained.
"""

from __future__ import annotations

from collections.abc import Mapping

SECONDS = 5.0
"""Until the nodes of a cluster have taken an ended pod from its Service; they are at it within two seconds or so."""


def seconds(env: Mapping[str, str]) -> float:
    """Seconds from the signal to the end of taking new work, on the runtime that the environment tells."""
    return SECONDS if env.get("SLIPWAY_RUNTIME") == "kubernetes" else 0.0
