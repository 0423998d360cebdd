"""Landing the sample: its files become objects in a bucket, in the order of their arrival."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.demo_data.sample import Progress, make_sample

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

THREADS = 8


def land_sample(
    client: S3Client,
    bucket: str,
    prefix: str = "",
    *,
    folder: Path,
    days: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Make the sample where `folder` has none yet, and land it; the number of objects put.

    Args:
        client: an S3 client that may put objects into the bucket.
        bucket: the landing's bucket.
        prefix: the landing's prefix.
        folder: where samples are kept between calls.
        days: what arrives on the first so many days; None is the whole year.
        progress: called with `make` or `land`, what is done and the total.
    """
    return land(client, bucket, prefix, make_sample(folder, progress), days=days, progress=progress)


def land(
    client: S3Client,
    bucket: str,
    prefix: str,
    sample: Path,
    *,
    days: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Put a sample's files into a bucket, several at a time; a correction only after what it corrects.

    Returns:
        The number of objects put.
    """
    files = arrivals(sample, days)
    puts: dict[str, Future[None]] = {}

    def put(key: str, path: Path, earlier: Future[None] | None) -> None:
        if earlier is not None:
            earlier.result()
        client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

    with ThreadPoolExecutor(THREADS) as pool:
        pending: list[Future[None]] = []
        for name, path in files:
            key = prefix + name
            puts[key] = pool.submit(put, key, path, puts.get(key))
            pending.append(puts[key])
        try:
            for done, future in enumerate(pending, start=1):
                future.result()
                if progress is not None:
                    progress("land", done, len(pending))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return len(files)


def arrivals(sample: Path, days: int | None = None) -> list[tuple[str, Path]]:
    """The files of the first so many arrival days, in order, as (key without the landing's prefix, path)."""
    return [
        (path.relative_to(day).as_posix(), path)
        for day in sorted(sample.iterdir())
        if days is None or int(day.name) < days
        for path in sorted(day.glob("*/*"))
    ]
