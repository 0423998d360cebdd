"""What arrives in a landing: an object as S3 shows it at one moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """The current version of an object, as S3 itself told it."""

    bucket: str
    key: str
    etag: str
    size: int
    version_id: str | None = None

    @property
    def version(self) -> str:
        """What tells this content of the key from its other contents."""
        return self.version_id or f"{self.etag}:{self.size}"


@dataclass(frozen=True)
class Known:
    """What the ledger holds of the newest version of a key that it knows."""

    version: str
    etag: str
    size: int
    state: str


def changed(seen: Iterable[Seen], known: dict[str, Known]) -> list[Seen]:
    """The objects of one bucket that the ledger must take in: those whose newest known version is another one.

    The newest known version counts, not every known one: a key that goes back to a former content has changed.
    A version that was given up as gone and is there again is taken in, too.
    """
    return [
        item
        for item in seen
        if (latest := known.get(item.key)) is None
        or latest.version != item.version
        or latest.state == "superseded"
    ]


def is_file(key: str, size: int) -> bool:
    """Whether a key is a file: consoles make empty objects named `folder/`, and Postgres takes no NUL."""
    return not (key.endswith("/") and size == 0) and "\0" not in key
