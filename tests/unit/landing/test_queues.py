from slipway.config.loader import parse
from slipway.landing.queues import by_storage, covering, notifications, queue_name


def test_prefixes_never_overlap_which_s3_refuses():
    assert covering(["orders/", "orders/2024/", "items/", "orders/"]) == ["items/", "orders/"]
    assert covering(["orders/", ""]) == [""]


def test_the_whole_bucket_has_no_filter():
    (item,) = notifications("arn", ["", "a/"])
    assert "Filter" not in item


def test_only_landings_that_want_events_have_a_queue():
    platform = parse(
        """
storage: {other: {endpoint: "https://s3.example"}}
landing:
  a: {bucket: one-bucket}
  b: {bucket: two-bucket, mode: list}
  c: {bucket: three-bucket, storage_ref: other}
""",
        "platform.yaml",
    )
    assert {ref: list(found) for ref, found in by_storage(platform).items()} == {
        "default": ["a"],
        "other": ["c"],
    }


def test_two_platforms_on_one_account_have_queues_of_their_own():
    assert queue_name("11111111-2222") != queue_name("33333333-2222")
