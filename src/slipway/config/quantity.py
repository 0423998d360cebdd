"""Kubernetes' resource quantities: `500m`, `1.5`, `4Gi`, `129e6`.

The grammar is that of `k8s.io/apimachinery/pkg/api/resource`: a signed decimal number and either a decimal
suffix (n, u, m, k, M, G, T, P, E), a binary suffix (Ki, Mi, Gi, Ti, Pi, Ei) or a decimal exponent (e3, E-3).
"""

from __future__ import annotations

import difflib
import re
from decimal import ROUND_CEILING, Context, Decimal, localcontext

DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}

PATTERN = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$"
"""The grammar as a regular expression that JSON schema understands too."""

_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?:[eE](?P<exponent>[+-]?[0-9]+)|(?P<suffix>[numkMGTPE]|[KMGTPE]i|))",
    re.ASCII,
)
_LARGEST = 2**63 - 1
_NANO = Decimal("1e-9")
_MILLI = Decimal("0.001")


def parse(text: str) -> Decimal:
    """The number that a quantity stands for, rounded up to a billionth and capped at 2^63 - 1 as Kubernetes does.

    Raises:
        ValueError: the text is not a quantity; the message names the nearest that is.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(_complaint(text))
    number = Decimal(match["number"])
    with localcontext(Context(prec=len(match["number"]) + 60)):
        if match["suffix"] in BINARY:
            value = number * 2 ** BINARY[match["suffix"]]
        else:
            exponent = int(match["exponent"]) if match["exponent"] else DECIMAL[match["suffix"]]
            if number and number.adjusted() + exponent > 20:
                value = Decimal(_LARGEST).copy_sign(number)
            elif number and number.adjusted() + exponent < -20:
                value = _NANO.copy_sign(number)
            else:
                value = number.scaleb(exponent)
        if abs(value) > _LARGEST:
            return Decimal(_LARGEST).copy_sign(value)
        return _away_from_zero(value, _NANO)


def parse_cpu(text: str) -> Decimal:
    """CPU cores, rounded up to a thousandth.

    Raises:
        ValueError: the text is no quantity, or negative.
    """
    return _away_from_zero(_not_negative(text), _MILLI)


def parse_bytes(text: str) -> int:
    """Whole bytes, rounded up.

    Raises:
        ValueError: the text is no quantity, or negative.
    """
    return int(_not_negative(text).to_integral_value(ROUND_CEILING))


def format_bytes(size: int) -> str:
    """Bytes as the shortest exact quantity: 12884901888 is `12Gi`, 1500 is `1500`."""
    for suffix, power in reversed(BINARY.items()):
        if size and size % 2**power == 0:
            return f"{size >> power}{suffix}"
    return str(size)


def format_cpu(cores: Decimal) -> str:
    """Cores as a quantity: `2`, or in thousandths, `500m`."""
    if cores == cores.to_integral_value():
        return str(int(cores))
    return f"{int(cores * 1000)}m"


def readable(size: int) -> str:
    """Bytes for people, in MiB or GiB with at most two decimals."""
    unit, name = (2**30, "GiB") if size >= 2**30 else (2**20, "MiB")
    return f"{size / unit:.2f}".rstrip("0").rstrip(".") + f" {name}"


def _not_negative(text: str) -> Decimal:
    value = parse(text)
    if value < 0:
        raise ValueError(f"'{text}' is negative")
    return value


def _away_from_zero(value: Decimal, step: Decimal) -> Decimal:
    rounded = value.copy_abs().quantize(step, ROUND_CEILING).copy_sign(value)
    return rounded.normalize() if rounded else Decimal(0)


def _complaint(text: str) -> str:
    message = f"'{text}' is not a quantity"
    match = re.fullmatch(r"\s*([+-]?[0-9.,_]*)\s*([^0-9\s]*)\s*", text, re.ASCII)
    if match:
        number, suffix = match[1].replace(",", ".").replace("_", ""), match[2]
        for candidate in (number + suffix, number + _nearest_suffix(suffix)):
            if candidate != text and _QUANTITY.fullmatch(candidate):
                return f"{message}; did you mean '{candidate}'?"
    return f"{message}: a number and one of n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei, or an exponent such as e3"


def _nearest_suffix(suffix: str) -> str:
    """`GB` and `gb` are meant as G, `GiB` and `gi` as Gi, `kb` as k, `K` as Ki, `cores` as none."""
    lower = suffix.lower().removesuffix("ytes").removesuffix("b")
    known = {name.lower(): name for name in (*BINARY, "k", "M", "G", "T", "P", "E")}
    if suffix in ("K", "KB"):
        return "Ki" if suffix == "K" else "k"
    if lower in known:
        return known[lower]
    if lower.startswith(("core", "cpu")):
        return ""
    if lower in ("mcpu", "millicores", "millis"):
        return "m"
    close = difflib.get_close_matches(suffix, [*BINARY, *DECIMAL], n=1, cutoff=0.6)
    return close[0] if close else suffix
