"""The storage keeper on a real S3 that forgets: every `store` is empty."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from slipway.aws import s3_client
from slipway.config.connections import S3Settings
from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.embedded.s3 import EmbeddedS3
from slipway.ops import storage_keeper
from slipway.ops.storage_keeper import Keeper, LakeObjects
from slipway.ops.storage_keeper_snapshot import Interrupted

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LAKE = LakeObjects("lake", "p/_slipway/identity", "p/_slipway/restored.json")
Store = Callable[[], "S3Client"]


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with ExitStack() as stack:

        def start() -> S3Client:
            server = stack.enter_context(EmbeddedS3(tmp_path_factory.mktemp("s3")))
            settings = S3Settings(
                endpoint=server.endpoint,
                public_endpoint=None,
                region="us-east-1",
                path_style=True,
                access_key_id=server.access_key_id,
                secret_access_key=server.secret_access_key,
            )
            client: S3Client = s3_client(settings)
            return client

        yield start


def used(client: S3Client, name: bytes = b"one") -> S3Client:
    for bucket in ("lake", "landing", "empty"):
        client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=LAKE.bucket, Key=LAKE.identity, Body=name)
    client.put_object(Bucket="landing", Key="orders/a +%20ü.csv", Body=b"a,b\n")
    return client


def keeper(client: S3Client, folder: Path) -> Keeper:
    return Keeper(client, folder, LAKE)


def going() -> bool:
    return False


def test_everything_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    first = used(store())
    first.put_object(
        Bucket="landing",
        Key="described",
        Body=b"\x1f\x8b",
        ContentType="text/csv",
        ContentEncoding="gzip",
        ContentLanguage="de",
        CacheControl="no-cache",
        ContentDisposition="inline",
        Metadata={"origin": "till"},
        Tagging="shop=north",
    )
    assert keeper(first, tmp_path).stop()

    second = store()
    keeper(second, tmp_path).start(going)

    assert described(second) == described(first)
    tags = second.get_object_tagging(Bucket="landing", Key="described")["TagSet"]
    assert tags == [{"Key": "shop", "Value": "north"}]
    assert LAKE.restored not in {key for _, key, *_ in described(second)}, (
        "no ETag changed, so nobody needs word"
    )


def described(client: S3Client) -> set[tuple[object, ...]]:
    """Every object: where it is and what S3 says about it, its ETag included."""
    found: set[tuple[object, ...]] = set()
    for bucket in client.list_buckets()["Buckets"]:
        name = bucket["Name"]
        found.add((name, ""))
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
            for entry in page.get("Contents", []):
                head = client.head_object(Bucket=name, Key=entry["Key"])
                headers = (
                    "ContentType",
                    "ContentEncoding",
                    "ContentLanguage",
                    "CacheControl",
                    "ContentDisposition",
                )
                about = tuple(head.get(key) for key in headers)
                found.add(
                    (
                        name,
                        entry["Key"],
                        head["ETag"],
                        head["ContentLength"],
                        about,
                        json.dumps(head["Metadata"]),
                    )
                )
    return found


def test_a_snapshot_is_used_once(store: Store, tmp_path: Path) -> None:
    keeper(used(store()), tmp_path).stop()
    keeper(used_again := store(), tmp_path).start(going)
    assert used_again.list_buckets()["Buckets"]
    after_a_kill = store()
    keeper(after_a_kill, tmp_path).start(going)
    assert not after_a_kill.list_buckets()["Buckets"]


def test_an_emptied_store_is_noticed_and_never_saved(store: Store, tmp_path: Path) -> None:
    client = used(store())
    it = keeper(client, tmp_path)
    it.start(going)
    assert it.status() == "ok"
    client.delete_object(Bucket=LAKE.bucket, Key=LAKE.identity)
    assert "storage-lost.md" in it.status()
    assert not it.stop()
    assert not (tmp_path / "snapshot").exists()


def test_a_store_that_nobody_used_does_not_replace_a_snapshot(store: Store, tmp_path: Path) -> None:
    keeper(used(store()), tmp_path).stop()
    assert not keeper(store(), tmp_path).stop()
    restored = store()
    keeper(restored, tmp_path).start(going)
    assert restored.get_object(Bucket="landing", Key="orders/a +%20ü.csv")["Body"].read() == b"a,b\n"


def test_a_store_that_outlived_the_keeper_is_not_set_back(store: Store, tmp_path: Path) -> None:
    client = used(store())
    keeper(client, tmp_path).stop()
    client.put_object(Bucket="landing", Key="orders/a +%20ü.csv", Body=b"newer")
    keeper(client, tmp_path).start(going)
    assert client.get_object(Bucket="landing", Key="orders/a +%20ü.csv")["Body"].read() == b"newer"
    assert not (tmp_path / "snapshot").exists()


def test_another_platforms_store_is_refused_and_the_snapshot_stays(store: Store, tmp_path: Path) -> None:
    keeper(used(store()), tmp_path).stop()
    with pytest.raises(UserError, match=r"\(two\) is not the one of the snapshot \(one\)"):
        keeper(used(store(), b"two"), tmp_path).start(going)
    assert (tmp_path / "snapshot").exists()


def test_an_interrupted_restore_is_not_taken_for_the_storage(store: Store, tmp_path: Path) -> None:
    keeper(used(store()), tmp_path).stop()
    client = store()
    it = keeper(client, tmp_path)
    with pytest.raises(Interrupted):
        it.start(lambda: True)
    assert it.identity() is None
    keeper(client, tmp_path).start(going)
    assert described(client) >= {("landing", "")}
    assert client.get_object(Bucket="landing", Key="orders/a +%20ü.csv")["Body"].read() == b"a,b\n"


def test_a_save_that_fails_leaves_the_last_snapshot(store: Store, tmp_path: Path) -> None:
    client = used(store())
    keeper(client, tmp_path).stop()
    (tmp_path / "snapshot.new").write_text("a file where the next one's folder should be")
    with pytest.raises(NotADirectoryError):
        keeper(client, tmp_path).stop()
    (tmp_path / "snapshot.new").unlink()
    restored = store()
    keeper(restored, tmp_path).start(going)
    assert {bucket["Name"] for bucket in restored.list_buckets()["Buckets"]} == {"lake", "landing", "empty"}


def test_versions_that_changed_are_left_word_of(store: Store, tmp_path: Path) -> None:
    client = used(store())
    client.put_bucket_versioning(Bucket="landing", VersioningConfiguration={"Status": "Enabled"})
    old = client.put_object(Bucket="landing", Key="v", Body=b"x")["VersionId"]
    keeper(client, tmp_path).stop()
    restored = store()
    keeper(restored, tmp_path).start(going)
    note = json.loads(restored.get_object(Bucket=LAKE.bucket, Key=LAKE.restored)["Body"].read())
    head = restored.head_object(Bucket="landing", Key="v")
    [entry] = [entry for entry in note["objects"] if entry["key"] == "v"]
    assert entry["old"] == {"etag": head["ETag"].strip('"'), "size": 1, "version_id": old}
    assert entry["new"] == {"etag": head["ETag"].strip('"'), "version_id": head["VersionId"]}
    # word of this restore is not an object of the platform's: the next snapshot is without it
    keeper(restored, tmp_path).stop()
    third = store()
    keeper(third, tmp_path).start(lambda: False)
    keys = third.list_objects_v2(Bucket=LAKE.bucket)["Contents"]
    assert LAKE.identity in {entry["Key"] for entry in keys}


def test_the_service_restores_watches_and_saves(store: Store, tmp_path: Path) -> None:
    client = used(store())
    stop, status, codes = Event(), tmp_path / "status", list[int]()
    thread = Thread(
        target=lambda: codes.append(storage_keeper.run(keeper(client, tmp_path), status, stop)), daemon=True
    )
    thread.start()
    deadline = Event()
    while not (status.exists() and status.read_text() == "ok") and thread.is_alive():
        deadline.wait(0.02)
    stop.set()
    thread.join(30)
    assert codes == [0]
    assert (tmp_path / "snapshot" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("platform", "ref", "has_lake"),
    [
        ({}, "default", True),
        ({"storage": {"default": {"region": "eu-west-1"}}}, None, False),
        ({"storage": {"default": {"region": "eu-west-1"}, "local": {"bundled": True}}}, "local", False),
        ({"storage": {"local": {"bundled": True}}, "lake": {"storage_ref": "local"}}, "default", True),
    ],
)
def test_which_storage_is_kept(platform: dict[str, object], ref: str | None, has_lake: bool) -> None:
    model = Platform.model_validate(platform)
    assert storage_keeper.bundled_ref(model) == ref
    if ref is not None:
        assert (storage_keeper.lake_in(model, ref) is not None) is has_lake
