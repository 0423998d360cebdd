"""What the sections of platform.yaml are made of: strict models, names, quantities, images."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from slipway.config import quantity

Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9_]{0,38}[a-z0-9])?$")]
"""A name that is valid as a Python module, a DuckDB schema and, with `_` as `-`, a Kubernetes object."""

VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

OWN_VARIABLES = ("SLIPWAY_", "DAGSTER_HOME", "DAGSTER_CURRENT_IMAGE")
"""Beginnings of the names of variables that the platform alone sets."""


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _cpu(text: str) -> str:
    quantity.parse_cpu(text)
    return text


def _memory(text: str) -> str:
    quantity.parse_bytes(text)
    return text


_AMOUNT = WithJsonSchema(
    {"anyOf": [{"type": "string", "pattern": quantity.PATTERN}, {"type": "number", "minimum": 0}]}
)

Cpu = Annotated[str, BeforeValidator(_number_as_text), AfterValidator(_cpu), _AMOUNT]
"""Cores as a quantity; like in Kubernetes, a bare number needs no quotes."""

Memory = Annotated[str, BeforeValidator(_number_as_text), AfterValidator(_memory), _AMOUNT]
"""Bytes as a quantity; like in Kubernetes, a bare number needs no quotes."""


class StrictModel(BaseModel):
    """Base of every section: unknown keys are errors and values are never converted or changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Resources(StrictModel):
    """Amounts in Kubernetes' quantity grammar."""

    cpu: Cpu | None = Field(default=None, description="CPU cores, such as 500m or 2.")
    memory: Memory | None = Field(default=None, description="Bytes, such as 512Mi or 4Gi.")


class Limits(Resources):
    """The most that a run may use."""

    ephemeral_storage: Memory | None = Field(
        default=None,
        alias="ephemeral-storage",
        description="Size of the run's scratch, into which DuckDB spills. Default: 20 times the memory limit.",
    )


class Image(StrictModel):
    """A container image by repository and tag."""

    repository: str = Field(
        pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]+)?/)?[a-z0-9]([a-z0-9._/-]*[a-z0-9])?$",
        description="Repository, with its registry if not Docker Hub.",
    )
    tag: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", description="Tag of the image.")

    def __str__(self) -> str:
        """As container engines take it."""
        return f"{self.repository}:{self.tag}"
