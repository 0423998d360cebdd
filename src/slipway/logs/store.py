"""Logs as objects in a bucket: what is sent, read, listed and deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError
from dagster._core.storage.compute_log_manager import ComputeIOType

from slipway.aws import s3_client
from slipway.config.connections import S3Settings
from slipway.config.errors import UserError
from slipway.logs import keys

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT = 3
READ_TIMEOUT = 6
LINK_SECONDS = 3600


class StoreUnavailable(Exception):
    """S3 refused or did not answer; the message says what, where and why."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused
        """Asking again would get the same answer."""


class LogStore:
    """The logs of one platform. Every method that asks S3 raises StoreUnavailable when it cannot."""

    def __init__(self, bucket: str, prefix: str, settings: Callable[[], S3Settings]) -> None:
        self.bucket = bucket
        self._prefix = prefix
        self._settings = settings

    # Writing

    def put_final(
        self, log_key: Sequence[str], io_type: ComputeIOType, path: Path, progress: Callable[[], None]
    ) -> None:
        """Send a finished log, as it is now. `progress` is called when S3 has taken a part of it."""
        key = keys.final(self._prefix, log_key, io_type)
        size = path.stat().st_size
        with self._asking("write", key), path.open("rb") as file:
            if size <= keys.SEGMENT:
                self._put(key, file.read(size))
            else:
                self._put_parts(key, file, size, progress)

    def put_segment(self, log_key: Sequence[str], io_type: ComputeIOType, number: int, data: bytes) -> None:
        """Send a segment of an unfinished log, in place of what was there."""
        key = keys.segment(self._prefix, log_key, io_type, number)
        with self._asking("write", key):
            self._put(key, data)

    def add(self, log_key: Sequence[str], io_type: ComputeIOType, data: bytes) -> None:
        """Send a small log whole; if there is one already, add to its end."""
        key = keys.final(self._prefix, log_key, io_type)
        with self._asking("write", key):
            before = self._get(self._writer, key, 0, None) or b""
            self._put(key, before + data)

    def drop_segments(self, log_key: Sequence[str], io_type: ComputeIOType, count: int) -> None:
        """Delete segments 0 to count - 1, which the finished log replaces."""
        for number in range(count):
            key = keys.segment(self._prefix, log_key, io_type, number)
            with self._asking("delete", key):
                self._writer.delete_object(Bucket=self.bucket, Key=key)

    # Reading

    def read(
        self, log_key: Sequence[str], io_type: ComputeIOType, offset: int, max_bytes: int | None
    ) -> bytes | None:
        """Bytes of a log from an offset on, of an unfinished one too; None when there is no such log."""
        key = keys.final(self._prefix, log_key, io_type)
        with self._asking("read", key):
            data = self._get(self._reader, key, offset, max_bytes)
            if data is None:
                data = self._get_segments(log_key, io_type, offset, max_bytes)
            if data is None:
                # It may have been finished, and its segments deleted, between the two questions.
                data = self._get(self._reader, key, offset, max_bytes)
            return data

    def is_finished(self, log_key: Sequence[str]) -> bool:
        """Whether a log's last object is there: stderr, which is sent even when it is empty."""
        return self._exists(keys.final(self._prefix, log_key, ComputeIOType.STDERR))

    def location(self, log_key: Sequence[str], io_type: ComputeIOType) -> str:
        """Where a finished log is, for people."""
        return f"s3://{self.bucket}/{keys.final(self._prefix, log_key, io_type)}"

    def link(self, log_key: Sequence[str], io_type: ComputeIOType) -> str | None:
        """A URL for a browser, good for an hour; None when there is nothing, or nothing whole, to download."""
        final = keys.final(self._prefix, log_key, io_type)
        first, second = (keys.segment(self._prefix, log_key, io_type, number) for number in (0, 1))
        if self._exists(final):
            key = final
        elif self._exists(first) and not self._exists(second):
            key = first
        else:
            return None
        with self._asking("read", key):
            client = s3_client(self._settings(), public=True)
            return client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self.bucket,
                    "Key": key,
                    "ResponseContentType": "text/plain; charset=utf-8",
                },
                ExpiresIn=LINK_SECONDS,
            )

    def names(self, log_key_prefix: Sequence[str], io_type: ComputeIOType) -> set[str]:
        """Last parts of the log keys right below a prefix."""
        folder = keys.folder(self._prefix, log_key_prefix)
        names = (keys.name(key.removeprefix(folder), io_type) for key in self._list(folder, Delimiter="/"))
        return {name for name in names if name is not None}

    def delete(self, log_key: Sequence[str]) -> None:
        """Delete a log, finished or not."""
        *parents, name = log_key
        folder = keys.folder(self._prefix, parents)
        self._delete(
            key
            for key in self._list(folder + name, Delimiter="/")
            if any(keys.name(key.removeprefix(folder), io_type) == name for io_type in ComputeIOType)
        )

    def delete_below(self, log_key_prefix: Sequence[str]) -> None:
        """Delete every log below a prefix."""
        self._delete(self._list(keys.folder(self._prefix, log_key_prefix)))

    # S3

    @cached_property
    def _writer(self) -> S3Client:
        """Sends each request once: whoever writes knows how long there is to try again."""
        return s3_client(
            self._settings(), connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, attempts=1
        )

    @cached_property
    def _reader(self) -> S3Client:
        return s3_client(
            self._settings(), connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, attempts=2
        )

    def _put(self, key: str, data: bytes) -> None:
        self._writer.put_object(
            Bucket=self.bucket, Key=key, Body=data, ContentType="text/plain; charset=utf-8"
        )

    def _put_parts(self, key: str, file: BinaryIO, size: int, progress: Callable[[], None]) -> None:
        target: Any = {"Bucket": self.bucket, "Key": key}
        upload = self._writer.create_multipart_upload(**target, ContentType="text/plain; charset=utf-8")
        target["UploadId"] = upload["UploadId"]
        parts: list[Any] = []
        try:
            for start in range(0, size, keys.SEGMENT):
                data = file.read(min(keys.SEGMENT, size - start))
                number = len(parts) + 1
                part = self._writer.upload_part(**target, PartNumber=number, Body=data)
                parts.append({"ETag": part["ETag"], "PartNumber": number})
                progress()
            self._writer.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
        except BaseException:
            with suppress(BotoCoreError, ClientError):
                self._writer.abort_multipart_upload(**target)
            raise

    def _get(self, client: S3Client, key: str, offset: int, max_bytes: int | None) -> bytes | None:
        end = "" if max_bytes is None else str(offset + max_bytes - 1)
        try:
            answer = client.get_object(Bucket=self.bucket, Key=key, Range=f"bytes={offset}-{end}")
            return answer["Body"].read()
        except ClientError as error:
            code, status = _code(error), _status(error)
            if status == 416:
                return b""
            if status == 404 and code != "NoSuchBucket":
                return None
            raise

    def _get_segments(
        self, log_key: Sequence[str], io_type: ComputeIOType, offset: int, max_bytes: int | None
    ) -> bytes | None:
        found: bytes | None = None
        while max_bytes is None or len(found or b"") < max_bytes:
            number, start = divmod(offset + len(found or b""), keys.SEGMENT)
            wanted = None if max_bytes is None else max_bytes - len(found or b"")
            data = self._get(
                self._reader, keys.segment(self._prefix, log_key, io_type, number), start, wanted
            )
            if data is None:
                # At the end of a full segment, the next one may not be there yet.
                return b"" if found is None and start == 0 and number > 0 else found
            found = (found or b"") + data
            if start + len(data) < keys.SEGMENT:
                break
        return found

    def _exists(self, key: str) -> bool:
        with self._asking("read", key):
            try:
                self._reader.head_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if _status(error) == 404:
                    return False
                raise
            return True

    def _list(self, prefix: str, **options: str) -> Iterator[str]:
        with self._asking("list", prefix):
            pages = self._reader.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket,
                Prefix=prefix,
                **options,  # type: ignore[arg-type]
            )
            for page in pages:
                yield from (entry["Key"] for entry in page.get("Contents", []))

    def _delete(self, found: Iterator[str]) -> None:
        for key in list(found):
            with self._asking("delete", key):
                self._reader.delete_object(Bucket=self.bucket, Key=key)

    @contextmanager
    def _asking(self, verb: str, key: str) -> Iterator[None]:
        try:
            yield
        except UserError as error:
            raise StoreUnavailable(
                f"cannot {verb} s3://{self.bucket}/{key}: {error.message}", refused=True
            ) from error
        except ClientError as error:
            raise StoreUnavailable(
                f"cannot {verb} s3://{self.bucket}/{key}: {_explain(error)}",
                refused=400 <= _status(error) < 500,
            ) from error
        except (BotoCoreError, OSError) as error:
            raise StoreUnavailable(f"cannot {verb} s3://{self.bucket}/{key}: {error}") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _explain(error: ClientError) -> str:
    if _status(error) == 403:
        hint = "; the credentials need s3:GetObject, s3:PutObject, s3:DeleteObject and, on the bucket, s3:ListBucket"
    elif _code(error) == "NoSuchBucket":
        hint = "; the bucket of observability.compute_logs does not exist"
    else:
        hint = ""
    return f"{error}{hint}"
