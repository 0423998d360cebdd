"""JSON that two parsers cannot read differently.

Docker's parser is Go's: it ignores the case of keys, takes the last of two equal ones and replaces broken
text. What is read here has one meaning for both.
"""

from __future__ import annotations

import json
from typing import Any


class AmbiguousJson(ValueError):
    """The text is no JSON, or JSON that another parser may read differently."""


def loads(text: bytes) -> Any:
    """Parse UTF-8 JSON.

    Raises:
        AmbiguousJson: for text that is no JSON, keys that are equal but for case, non-finite numbers and lone surrogates.
    """
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except AmbiguousJson:
        raise
    except (ValueError, RecursionError) as error:
        raise AmbiguousJson(f"not JSON: {error}") from error
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    folded: set[str] = set()
    for key, _ in pairs:
        if key.casefold() in folded:
            raise AmbiguousJson(f"key {key!r} is given twice")
        folded.add(key.casefold())
    return dict(pairs)


def _constant(name: str) -> Any:
    raise AmbiguousJson(f"{name} is not JSON")
