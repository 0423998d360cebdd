"""Runs that cannot start, for the tests on a cluster, launched at once: what each waits for takes a while."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from installed import Installed

START_TIMEOUT = 240
"""As the tests' values have it."""


@dataclass(frozen=True)
class Kind:
    """A way not to start."""

    says: tuple[str, ...]
    """What the run is to say, each in some message."""
    profile: str = "tiny"
    pod: dict[str, Any] = field(default_factory=dict)
    """Of the tag dagster-k8s/config."""


DOOMED = {
    "wrong image": Kind(
        ("registry.invalid/none:1",), pod={"container_config": {"image": "registry.invalid/none:1"}}
    ),
    "no such node": Kind(("Insufficient cpu", "'impossible'"), profile="impossible"),
    "no such secret": Kind(
        ("no-such-secret",),
        pod={
            "container_config": {
                "env": [
                    {
                        "name": "MISSING",
                        "value_from": {"secret_key_ref": {"name": "no-such-secret", "key": "key"}},
                    }
                ]
            }
        },
    ),
    "over quota": Kind(("exceeded quota", "'greedy'"), profile="greedy"),
}


class Doomed:
    """One run of each kind, and when they were launched."""

    def __init__(self, installed: Installed) -> None:
        self.runs = {
            name: installed.launch_job(
                "launched",
                "waiting",
                tags={
                    "slipway/profile": kind.profile,
                    **({"dagster-k8s/config": json.dumps(kind.pod)} if kind.pod else {}),
                },
            )
            for name, kind in DOOMED.items()
        }
        self._launched = time.monotonic()

    def remaining(self, seconds: float) -> float:
        """What is left of so many seconds since the launch."""
        return max(0.0, seconds - (time.monotonic() - self._launched))
