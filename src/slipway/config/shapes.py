"""What may stand where in platform.yaml: the model's types, by path and in words."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from slipway.config.errors import Path
from slipway.config.model import EnvReference, Platform


def at(path: Path) -> Any:
    """The type of the value at a path; None where the model has no such key."""
    annotation: Any = Platform
    for part in path:
        annotation = _inside(annotation, part)
    return annotation


def passed_through(path: Path) -> bool:
    """Whether what stands at a path is Kubernetes' own, of which the model knows nothing."""
    annotation: Any = Platform
    for part in path:
        annotation = _inside(annotation, part)
        if annotation is Any:
            return True
    return False


def known_keys(annotation: Any) -> dict[str, Any]:
    """The keys of a mapping, with their types; none where the value is no mapping, or its names are free."""
    return {
        field.alias or name: field.annotation
        for model in models(annotation)
        for name, field in model.model_fields.items()
    }


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections among the alternatives of a type."""
    for member in members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            yield member


def map_value(annotation: Any) -> Any:
    """The type of the values of a map of free names; None for any other type."""
    for member in members(annotation):
        if get_origin(member) is dict:
            return get_args(member)[1]
    return None


def members(annotation: Any) -> list[Any]:
    """The alternatives of a type, without marks for pydantic."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return members(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [inner for member in get_args(annotation) for inner in members(member)]
    return [annotation]


def is_reference(annotation: Any) -> bool:
    """Whether a type is that of a secret's place, or allows one."""
    return EnvReference in members(annotation)


def describe(annotation: Any) -> str:
    """What a type takes, for people."""
    if is_reference(annotation):
        return "text or a reference" if str in members(annotation) else "a reference such as {env: NAME}"
    kinds = [_kind(member) for member in members(annotation) if member is not type(None)]
    return " or ".join(kinds)


def _kind(member: Any) -> str:
    origin = get_origin(member)
    if origin is Literal:
        return f"one of {', '.join(map(str, get_args(member)))}"
    if origin is list:
        return f"a list of {_plural(get_args(member)[0])}"
    if origin is dict:
        value = get_args(member)[1]
        plain = value is Any or str in members(value) or int in members(value)
        return (
            f"a mapping of names to {describe(value)}" if plain and value is not Any else "a mapping of names"
        )
    if isinstance(member, type) and issubclass(member, BaseModel):
        return f"a mapping of {', '.join(known_keys(member))}"
    return {str: "text", int: "a whole number", bool: "true or false", Any: "any value"}[member]


def _plural(annotation: Any) -> str:
    model = next(models(annotation), None)
    if model is not None:
        return f"mappings of {', '.join(known_keys(model))}"
    words = {str: "texts", int: "whole numbers"}
    return next((words[member] for member in members(annotation) if member in words), "mappings")


def _inside(annotation: Any, part: str | int) -> Any:
    if isinstance(part, int):
        return next(
            (get_args(member)[0] for member in members(annotation) if get_origin(member) is list), None
        )
    return known_keys(annotation).get(part) or map_value(annotation)
