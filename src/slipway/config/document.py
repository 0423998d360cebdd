"""YAML text as plain values, with the line of every key: strict where YAML is treacherous."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.error import Mark, MarkedYAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from slipway.config import scalars
from slipway.config.errors import Path, Problem

_STR = "tag:yaml.org,2002:str"
_MAP = "tag:yaml.org,2002:map"
_SEQ = "tag:yaml.org,2002:seq"
_PLAIN = "plain"

MOST_VALUES = 100_000
"""Values of a document, those that anchors repeat counted again: a few lines can stand for more than memory holds."""


@dataclass(frozen=True)
class Position:
    """Where something stands in a file; both count from 1."""

    line: int
    column: int


class _Loader(yaml.SafeLoader):
    """Composes nodes whose tag says only whether a scalar was quoted."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        """The tag of a node that gives none itself."""
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _STR
        return _SEQ if kind is SequenceNode else _MAP


class Document:
    """One YAML document: `.data` as plain values, `.problems` of the text itself, and positions by path."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self._root: Node | None = None
        self.data: Any = {}
        self._count = 0
        try:
            self._root = _compose(text)
        except MarkedYAMLError as error:
            self._syntax_error(error, text)
        except ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            self._report(
                (), f"the character {error.character!r} is not allowed in YAML", None, Position(line, 1)
            )
        except RecursionError:
            self._report((), "nested too deeply", None, Position(1, 1))
        if self._root is not None:
            value = self._value(self._root, (), ())
            if self._count > MOST_VALUES:
                message = f"more than {MOST_VALUES} values, those that anchors repeat included"
                self.problems.clear()
                self._report((), message, None, Position(1, 1))
                value = None
            self.data = {} if value is None else value

    def position(self, path: Path) -> Position | None:
        """Where a key stands, or the nearest enclosing key that is in the file."""
        node, best = self._root, None
        if node is None:
            return None
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            key, node = found
            best = _position(key.start_mark)
        return best or _position(self._root.start_mark) if self._root else None

    def text(self, path: Path) -> str | None:
        """A scalar as it is spelled in the file."""
        node = self._root
        for part in path:
            found = _child(node, part) if node is not None else None
            if found is None:
                return None
            node = found[1]
        return node.value if isinstance(node, ScalarNode) else None

    def _value(self, node: Node, path: Path, above: tuple[Node, ...]) -> Any:
        self._count += 1
        if self._count > MOST_VALUES:
            return None
        if node in above:
            self._report(
                path, "an anchor that contains itself", "write the value out", _position(node.start_mark)
            )
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if node.tag not in (_MAP, _SEQ):
            self._report(
                path, f"the tag {node.tag}", "write the value without a tag", _position(node.start_mark)
            )
        if isinstance(node, MappingNode):
            return self._mapping(node, path, (*above, node))
        return [
            self._value(item, (*path, index), (*above, node))
            for index, item in enumerate(node.value)
            if self._count <= MOST_VALUES
        ]

    def _mapping(self, node: MappingNode, path: Path, above: tuple[Node, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if self._count > MOST_VALUES:
                break
            position = _position(key_node.start_mark)
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in lines:
                self._report(
                    (*path, key), f"twice; first in line {lines[key]}", "keep one of the two", position
                )
                continue
            lines[key] = position.line
            result[key] = self._value(value_node, (*path, key), above)
        return result

    def _key(self, node: Node, path: Path) -> str | None:
        position = _position(node.start_mark)
        if not isinstance(node, ScalarNode):
            self._report(path, "a list or mapping as a key", "keys are names", position)
            return None
        if node.tag == _STR:
            return str(node.value)
        key = str(node.value)
        try:
            value = scalars.plain(key) if node.tag == _PLAIN else None
        except scalars.TooLong as error:
            self._report(path, f"a key: {error}", "keys are names", position)
            return None
        except scalars.Ambiguous as error:
            hint = "write the keys out" if key == "<<" else f'quote it: "{key}"'
            self._report((*path, key), f"a key that {_as_read(error)}", hint, position)
            return key if key != "<<" else None
        if isinstance(value, str):
            return key
        self._report((*path, key), "a key that is not text", f'quote it: "{key}"', position)
        return key

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        position = _position(node.start_mark)
        if node.tag == _STR:
            if "\0" in node.value:
                hint = "no variable, path or name can hold it: remove it"
                self._report(path, "text with the character NUL", hint, position)
            return node.value
        if node.tag != _PLAIN:
            self._report(path, f"the tag {node.tag}", "write the value without a tag", position)
            return node.value
        try:
            return scalars.plain(node.value)
        except scalars.TooLong as error:
            self._report(path, str(error), f"quote it if it is text: {node.value[:20]}…", position)
            return None
        except scalars.Ambiguous as error:
            self._report(
                path, f"{node.value}: {error}", f'quote it: "{node.value}"', position, ambiguous=True
            )
            return node.value

    def _syntax_error(self, error: MarkedYAMLError, text: str) -> None:
        mark = error.problem_mark or error.context_mark
        position = _position(mark) if mark else Position(1, 1)
        lines = text.splitlines()
        line = lines[position.line - 1] if position.line <= len(lines) else ""
        if re.match(r"[ ]*\t", line):
            self._report((), "a tab", "YAML is indented with spaces", position)
            return
        problem = error.problem or "it cannot be read"
        hint: str | None = None
        if error.problem == "but found another document":
            problem, hint = "a second document", "one file holds one document: remove the line ---"
        elif error.context and error.context_mark:
            hint = f"{error.context} in line {error.context_mark.line + 1}"
        self._report((), f"not YAML: {problem}", hint, position)

    def _report(
        self, path: Path, message: str, hint: str | None, position: Position, *, ambiguous: bool = False
    ) -> None:
        self.problems.append(
            Problem(self.source, position.line, position.column, path, message, hint, ambiguous)
        )


def _compose(text: str) -> Node | None:
    loader = _Loader(text)
    try:
        node: Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    return node


def _child(node: Node | None, part: Hashable) -> tuple[Node, Node] | None:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if isinstance(key, ScalarNode) and key.value == part:
                return key, value
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _position(mark: Mark) -> Position:
    return Position(mark.line + 1, mark.column + 1)


def _as_read(error: scalars.Ambiguous) -> str:
    return str(error).replace("YAML 1.1 reads", "YAML 1.1 reads as").replace("YAML 1.2 ", "YAML 1.2 as ")
