"""A snapshot of an S3 store in a folder: every bucket, and every object with what S3 knows about it.

Layout: `manifest.json`, `objects.jsonl` (one line per object) and `data/<number>`. A snapshot is there as a whole or
not at all: it is written beside its place and renamed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FORMAT = 1
THREADS = 8
HEADERS = ("ContentType", "ContentEncoding", "ContentDisposition", "ContentLanguage", "CacheControl")


class Interrupted(Exception):
    """The caller asked to stop in the middle."""


@dataclass(frozen=True)
class Bucket:
    """A bucket, and whether it keeps versions."""

    name: str
    versioned: bool


@dataclass(frozen=True)
class Object:
    """An object as S3 described it when it was saved."""

    file: str
    bucket: str
    key: str
    size: int
    etag: str
    version_id: str | None
    parts: list[int] | None
    """Sizes of the parts of a multipart upload, since its ETag depends on them."""
    headers: dict[str, str]
    metadata: dict[str, str]
    tags: list[dict[str, str]]


@dataclass(frozen=True)
class Snapshot:
    """A complete snapshot on disk."""

    folder: Path
    identity: str
    """What the store was known by."""
    buckets: list[Bucket]

    def objects(self) -> Iterator[Object]:
        """Every object, as it was saved."""
        with (self.folder / "objects.jsonl").open() as lines:
            for line in lines:
                yield Object(**json.loads(line))


def find(folder: Path) -> Snapshot | None:
    """The snapshot in a folder, or None."""
    manifest = folder / "manifest.json"
    if not manifest.exists():
        return None
    content = json.loads(manifest.read_text())
    if content["format"] != FORMAT:
        raise ValueError(f"{manifest} has format {content['format']}, this version reads {FORMAT}")
    return Snapshot(folder, content["identity"], [Bucket(**bucket) for bucket in content["buckets"]])


def save(client: S3Client, folder: Path, identity: str, skip: Callable[[str, str], bool]) -> int:
    """Write a snapshot of everything in the store; the number of objects.

    Args:
        client: the store.
        folder: where the snapshot shall be; an older one is replaced when the new one is complete.
        identity: what the store is known by.
        skip: whether an object, by bucket and key, is left out.
    """
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    (new / "data").mkdir(parents=True)
    buckets = [
        Bucket(name, client.get_bucket_versioning(Bucket=name).get("Status") == "Enabled")
        for name in _buckets(client)
    ]
    keys = (
        (bucket.name, key)
        for bucket in buckets
        for key in _keys(client, bucket.name)
        if not skip(bucket.name, key)
    )
    count = 0
    with ThreadPoolExecutor(THREADS) as pool, (new / "objects.jsonl").open("w") as lines:
        for saved in pool.map(lambda item: _save(client, new / "data", *item), enumerate(keys)):
            if saved is not None:
                lines.write(json.dumps(asdict(saved)) + "\n")
                count += 1
    (new / "manifest.json").write_text(
        json.dumps(
            {"format": FORMAT, "identity": identity, "buckets": [asdict(bucket) for bucket in buckets]}
        )
    )
    os.sync()
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    os.sync()
    return count


@dataclass(frozen=True)
class Changed:
    """An object whose ETag or version is another since it was restored."""

    before: Object
    etag: str
    version_id: str | None


def restore(
    client: S3Client, snapshot: Snapshot, *, last: Callable[[str, str], bool], stopping: Callable[[], bool]
) -> Iterator[Changed | None]:
    """Put everything back; yields once per object, but not those that are to be `last`.

    What is there already under the same key is overwritten, so an interrupted restore is simply done again.

    Raises:
        Interrupted: when `stopping` says so.
    """
    existing = set(_buckets(client))
    for bucket in snapshot.buckets:
        if bucket.name not in existing:
            client.create_bucket(Bucket=bucket.name)
        if bucket.versioned:
            client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    items = (item for item in snapshot.objects() if not last(item.bucket, item.key))

    def one(item: Object) -> Changed | None:
        if stopping():
            raise Interrupted
        return put(client, snapshot, item)

    with ThreadPoolExecutor(THREADS) as pool:
        yield from pool.map(one, items)


def put(client: S3Client, snapshot: Snapshot, item: Object) -> Changed | None:
    """Put one object back; what changed about it, if anything did."""
    arguments: dict[str, Any] = {"Bucket": item.bucket, "Key": item.key}
    described: dict[str, Any] = {**arguments, **item.headers, "Metadata": item.metadata}
    path = snapshot.folder / "data" / item.file
    answer: Any
    if item.parts is None:
        with path.open("rb") as body:
            answer = client.put_object(**described, Body=body)
    else:
        upload = client.create_multipart_upload(**described)["UploadId"]
        done: list[Any] = []
        with path.open("rb") as body:
            for number, size in enumerate(item.parts, start=1):
                part = client.upload_part(
                    **arguments, UploadId=upload, PartNumber=number, Body=body.read(size)
                )
                done.append({"ETag": part["ETag"], "PartNumber": number})
        answer = client.complete_multipart_upload(
            **arguments, UploadId=upload, MultipartUpload={"Parts": done}
        )
    if item.tags:
        client.put_object_tagging(**arguments, Tagging={"TagSet": item.tags})  # type: ignore[typeddict-item]
    etag, version_id = answer["ETag"].strip('"'), answer.get("VersionId")
    if (etag, version_id) == (item.etag, item.version_id):
        return None
    return Changed(item, etag, version_id)


def _save(client: S3Client, data: Path, number: int, where: tuple[str, str]) -> Object | None:
    bucket, key = where
    file = f"{number:08d}"
    try:
        answer = client.get_object(Bucket=bucket, Key=key)
    except client.exceptions.NoSuchKey:
        return None  # somebody removed it since it was listed
    with (data / file).open("wb") as target:
        shutil.copyfileobj(answer["Body"], target, 1024 * 1024)
    etag = answer["ETag"].strip('"')
    parts = None
    if "-" in etag:
        numbers = range(1, int(etag.rpartition("-")[2]) + 1)
        parts = [
            client.head_object(Bucket=bucket, Key=key, PartNumber=part)["ContentLength"] for part in numbers
        ]
    tags = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] if answer.get("TagCount") else []
    return Object(
        file=file,
        bucket=bucket,
        key=key,
        size=answer["ContentLength"],
        etag=etag,
        version_id=answer.get("VersionId"),
        parts=parts,
        headers={name: str(answer[name]) for name in HEADERS if name in answer},  # type: ignore[literal-required]
        metadata=answer["Metadata"],
        tags=[{"Key": tag["Key"], "Value": tag["Value"]} for tag in tags],
    )


def _buckets(client: S3Client) -> list[str]:
    return sorted(bucket["Name"] for bucket in client.list_buckets()["Buckets"])


def _keys(client: S3Client, bucket: str) -> Iterator[str]:
    # Not by continuation token: LocalStack cannot read its own after a key that is not ASCII.
    after = ""
    while True:
        page = client.list_objects_v2(Bucket=bucket, StartAfter=after)
        for entry in page.get("Contents", []):
            after = entry["Key"]
            yield after
        if not page["IsTruncated"]:
            return
