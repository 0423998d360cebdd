"""The JSON schema of platform.yaml, for editors and for Helm, and the reference table of its keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from slipway.config import shapes
from slipway.config.kubernetes import Kubernetes
from slipway.config.model import Platform

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema as plain values, in the model's order."""
    generated = _without_noise(Platform.model_json_schema())
    return {"$schema": DRAFT, "title": "platform.yaml of Slipway", **generated}


def render() -> str:
    """The schema as the text of its file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def values() -> str:
    """The chart's values.yaml: what its templates may count on, from the model's own defaults."""
    sections: dict[str, Any] = {name: {} for name in Platform.model_fields if name != "kubernetes"}
    defaults = Kubernetes().model_dump(mode="json", by_alias=True, exclude_none=True)
    return yaml.safe_dump({**sections, "kubernetes": defaults}, sort_keys=False, width=110)


def reference() -> str:
    """Every key that all runtimes have, as a Markdown table."""
    return _table(
        (key, field, field.default) for key, field in leaves(Platform) if not key.startswith(KUBERNETES)
    )


def kubernetes_reference() -> str:
    """Every key of the section `kubernetes`, as a Markdown table."""
    defaults = {"kubernetes": Kubernetes().model_dump(mode="json", by_alias=True)}
    return _table(
        (key, field, _inside(defaults, key)) for key, field in leaves(Platform) if key.startswith(KUBERNETES)
    )


KUBERNETES = "kubernetes."
"""What the keys begin with that the chart and run pods alone read."""


def _table(rows: Iterable[tuple[str, FieldInfo, Any]]) -> str:
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{key}` | {shapes.describe(field.annotation)} | {_shown(default)} | {field.description} |"
        for key, field, default in rows
    ]
    return "\n".join(lines) + "\n"


def _inside(values: Any, key: str) -> Any:
    """The value at a key; none below a free name."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def leaves(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key that holds a value rather than further keys; a free name stands as `<name>`."""
    for name, field in model.model_fields.items():
        key = f"{above}{field.alias or name}"
        names = shapes.map_value(field.annotation)
        value = field.annotation if names is None else names
        section = None if shapes.is_reference(value) else next(shapes.models(value), None)
        if section is None:
            yield key if names in (None, Any) else f"{key}.<name>", field
        else:
            yield from leaves(section, f"{key}." if names is None else f"{key}.<name>.")


def _without_noise(node: Any, *, names: bool = False) -> Any:
    """Without what repeats (titles, defaults of whole sections) and null, which is no value in platform.yaml.

    Args:
        node: a schema, or a part of one.
        names: whether the keys of the node are names of the model's and no words of JSON schema.
    """
    if isinstance(node, list):
        return [_without_noise(item) for item in node]
    if not isinstance(node, dict):
        return node
    if names:
        return {key: _without_noise(value) for key, value in node.items()}
    result = {
        key: _without_noise(value, names=key in ("properties", "$defs", "patternProperties"))
        for key, value in node.items()
        if key != "title" and not (key == "default" and (value is None or isinstance(value, dict)))
    }
    if "anyOf" in result:
        result["anyOf"] = [one for one in result["anyOf"] if one != {"type": "null"}]
        if len(result["anyOf"]) == 1:
            result.update(result.pop("anyOf")[0])
    if "patternProperties" in result:
        result["additionalProperties"] = False
    return result


def _shown(default: Any) -> str:
    if default is PydanticUndefined:
        return "required"
    return "" if default in (None, {}, []) else f"`{json.dumps(default)}`"
