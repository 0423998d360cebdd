"""Kubernetes' quantity grammar: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

_GRAMMAR = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d+)?$")
_BINARY = {suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_DECIMAL = {
    suffix: Decimal(1000) ** power
    for suffix, power in {"n": -3, "u": -2, "m": -1, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}.items()
}


def parse(text: str) -> Decimal:
    """The number that a quantity stands for. Raises ValueError where it is none."""
    match = _GRAMMAR.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity; examples: 500m, 2, 512Mi, 4Gi, 1.5G")
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix != "Ei":
        return number.scaleb(int(suffix[1:]))
    return number * (_BINARY.get(suffix) or _DECIMAL.get(suffix) or Decimal(1))


def parse_cpu(text: str) -> Decimal:
    """CPU cores, above zero and no finer than 1m. Raises ValueError."""
    cores = parse(text)
    if cores <= 0:
        raise ValueError(f"{text!r} is not a positive number of CPU cores")
    if cores * 1000 % 1:
        raise ValueError(f"{text!r} is finer than 1m, the smallest share of a CPU")
    return cores


def parse_bytes(text: str) -> int:
    """Bytes, above zero; a fraction of a byte counts as one. Raises ValueError."""
    value = parse(text)
    if value <= 0:
        raise ValueError(f"{text!r} is not a positive number of bytes")
    return int(value.to_integral_value(ROUND_CEILING))


def format_bytes(value: int) -> str:
    """Bytes as the shortest exact quantity in binary units."""
    for suffix, factor in reversed(_BINARY.items()):
        if value and value % int(factor) == 0:
            return f"{value // int(factor)}{suffix}"
    return str(value)


def format_cpu(cores: Decimal) -> str:
    """Cores as a quantity: whole cores, or thousandths."""
    return str(int(cores)) if cores == int(cores) else f"{int(cores * 1000)}m"
