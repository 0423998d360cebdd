"""Plain YAML scalars, as YAML 1.1 (Helm) and YAML 1.2 (editors) read them."""

from __future__ import annotations

import re
from typing import Any

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE_12 = {"true", "True", "TRUE"}
_FALSE_12 = {"false", "False", "FALSE"}
_TRUE_11 = _TRUE_12 | {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"}
_FALSE_11 = _FALSE_12 | {"n", "N", "no", "No", "NO", "off", "Off", "OFF"}

_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NOT_A_NUMBER = re.compile(r"\.(nan|NaN|NAN)")

_INT_12 = re.compile(r"[-+]?[0-9]+")
_OCTAL_12 = re.compile(r"0o[0-7]+")
_HEX_12 = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT_12 = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")

_NUMBER_LIKE = re.compile(r"[-+]?(0[xob])?[0-9a-fA-F_.:]+")

_BINARY_11 = re.compile(r"[-+]?0b[0-1_]+")
_OCTAL_11 = re.compile(r"[-+]?0[0-7_]+")
_INT_11 = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_HEX_11 = re.compile(r"[-+]?0x[0-9a-fA-F_]+")
_FLOAT_11 = re.compile(r"[-+]?([0-9][0-9_]*)?\.[0-9_]*([eE][-+][0-9]+)?")
_SEXAGESIMAL_11 = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_TIMESTAMP_11 = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?")


class Ambiguous(Exception):
    """A scalar that YAML 1.1 and 1.2 read differently; carries both readings, for people."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"YAML 1.1 reads {first}, YAML 1.2 {second}")


class TooLong(Exception):
    """A number of more digits than any value of platform.yaml has, or Python would print."""


MOST_DIGITS = 1000


def plain(text: str) -> Any:
    """The value of an unquoted scalar.

    Raises:
        Ambiguous: the two YAML versions read different values.
        TooLong: it is a number of more than MOST_DIGITS characters.
    """
    if len(text) > MOST_DIGITS and _NUMBER_LIKE.fullmatch(text):
        raise TooLong(f"a number of {len(text)} characters")
    old, new = yaml_1_1(text), yaml_1_2(text)
    if type(old) is not type(new) or (old != new and old == old):
        raise Ambiguous(_shown(old), _shown(new))
    return new


def yaml_1_2(text: str) -> Any:
    """The value of an unquoted scalar under YAML 1.2's core schema."""
    if text in _NULL:
        return None
    if text in _TRUE_12 or text in _FALSE_12:
        return text in _TRUE_12
    if _INT_12.fullmatch(text):
        return int(text)
    if _OCTAL_12.fullmatch(text):
        return int(text[2:], 8)
    if _HEX_12.fullmatch(text):
        return int(text, 16)
    if _FLOAT_12.fullmatch(text):
        return float(text)
    return _special_float(text)


def yaml_1_1(text: str) -> Any:
    """The value of an unquoted scalar under YAML 1.1, as the types of yaml.org/type have it."""
    if text in _NULL:
        return None
    if text in _TRUE_11 or text in _FALSE_11:
        return text in _TRUE_11
    number = text.replace("_", "")
    if _BINARY_11.fullmatch(text) and number[-1] != "b":
        return int(number, 2)
    if _OCTAL_11.fullmatch(text):
        return int(number, 8)
    if _INT_11.fullmatch(text):
        return int(number)
    if _HEX_11.fullmatch(text) and number[-1] != "x":
        return int(number, 16)
    if _SEXAGESIMAL_11.fullmatch(text):
        return _sexagesimal(number)
    if _FLOAT_11.fullmatch(text) and any(character.isdigit() for character in text):
        return float(number)
    if _TIMESTAMP_11.fullmatch(text):
        return _Special(f"the date {text}")
    if text == "<<":
        return _Special("a merge of mappings")
    if text == "=":
        return _Special("a default value")
    return _special_float(text)


class _Special(str):
    """A value of a kind that only YAML 1.1 has."""


def _special_float(text: str) -> Any:
    if _INFINITE.fullmatch(text):
        return float("-inf" if text[0] == "-" else "inf")
    if _NOT_A_NUMBER.fullmatch(text):
        return float("nan")
    return text


def _sexagesimal(text: str) -> int | float:
    sign = -1 if text[0] == "-" else 1
    total: int | float = 0
    for part in text.lstrip("+-").split(":"):
        total = total * 60 + (float(part) if "." in part else int(part))
    return sign * total


def _shown(value: Any) -> str:
    if isinstance(value, _Special):
        return str(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'the text "{value}"'
    return f"{value:g}" if isinstance(value, float) else str(value)
