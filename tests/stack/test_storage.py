"""What becomes of the data: kept over an orderly stop, and never half-right after a kill."""

from __future__ import annotations

from typing import Any

import pytest

from composed import Stack
from waiting import until

KEPT = "kept by the keeper +%20ü.bin"


@pytest.mark.disruptive
def test_stop_and_start_keep_everything(stack: Stack) -> None:
    client = stack.s3()
    client.create_bucket(Bucket="somebodys")
    upload = client.create_multipart_upload(
        Bucket="somebodys", Key=KEPT, ContentType="x/y", Metadata={"a": "b"}
    )
    arguments: dict[str, Any] = {"Bucket": "somebodys", "Key": KEPT, "UploadId": upload["UploadId"]}
    parts = [
        {"PartNumber": number, "ETag": client.upload_part(**arguments, PartNumber=number, Body=body)["ETag"]}
        for number, body in ((1, b"1" * (6 << 20)), (2, b"2" * (5 << 20)), (3, b"3"))
    ]
    client.complete_multipart_upload(**arguments, MultipartUpload={"Parts": parts})  # type: ignore[typeddict-item]
    for number in range(1001):  # more than a page of a listing, after a key that is not ASCII
        client.put_object(Bucket="somebodys", Key=f"é/{number:04}", Body=b"")
    before = described(stack)
    run_id = stack.launch("veteran", "veteran_probe")
    assert stack.finished(run_id)["status"] == "SUCCESS"

    stack.compose("stop")
    stack.compose("up", "--detach", "--wait")

    assert described(stack) == before
    assert stack.finished(run_id)["status"] == "SUCCESS"
    assert "restored" in stack.logs("storage-keeper")
    until(lambda: set(stack.locations().values()) == {""}, 60, "locations do not load")
    assert stack.seen(stack.launch("veteran", "veteran_probe"))["uid"] == 10001


def described(stack: Stack) -> dict[str, Any]:
    client = stack.s3()
    listed = client.list_objects_v2(Bucket="somebodys", StartAfter="é/")
    head = client.head_object(Bucket="somebodys", Key=KEPT)
    return {
        "rows": stack.sql("FROM ecommerce.marts.revenue_by_store_and_day ORDER BY ALL"),
        "etag": head["ETag"],
        "type": head["ContentType"],
        "metadata": head["Metadata"],
        "size": head["ContentLength"],
        "keys": [entry["Key"] for entry in listed["Contents"]],
        "buckets": [bucket["Name"] for bucket in client.list_buckets()["Buckets"]],
    }


@pytest.mark.disruptive
def test_a_killed_storage_is_noticed_and_the_way_out_leads_out(stack: Stack) -> None:
    stack.services()["localstack"].kill()
    output = stack.compose("up", "--detach", "--wait", check=False)
    assert 'service "bootstrap" didn\'t complete successfully' in output
    assert "not the storage" in stack.logs("bootstrap")
    assert "slipway storage reset" in stack.logs("bootstrap")

    # nobody works on a lake whose files are gone
    code, text = stack.execute("webserver", "slipway", "sql", "FROM ecommerce.marts.revenue_by_store_and_day")
    assert code != 0
    assert "not the storage" in text
    assert "slipway storage reset" in text

    stack.compose("stop", "daemon")
    stack.compose("run", "--rm", "--no-deps", "bootstrap", "slipway", "storage", "reset", "--yes")
    stack.compose("run", "--rm", "--no-deps", "bootstrap")
    stack.compose("up", "--detach", "--wait")
    before = set(stack.succeeded("load_jaffle_shop"))
    sample = stack.folder / "code_locations" / "ecommerce" / "sample"
    for name in ("stores/2018-09-01.jsonl", "orders/2018-09-01.csv"):
        stack.s3().upload_file(str(sample / name), "data-landing", name)
    until(
        lambda: set(stack.succeeded("load_jaffle_shop")) - before,
        120,
        "nothing was processed after the way out",
    )
    assert stack.sql("FROM ecommerce.marts.revenue_by_store_and_day") != []
