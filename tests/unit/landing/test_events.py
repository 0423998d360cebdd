import json

import pytest

from slipway.landing.events import Hint, UnknownMessage, hints


def s3_message(*keys: str, event: str = "ObjectCreated:Put") -> dict:
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": event,
                "s3": {"bucket": {"name": "inbox"}, "object": {"key": key, "size": 1, "eTag": "x"}},
            }
            for key in keys
        ]
    }


def test_keys_are_decoded_as_s3_encodes_them():
    body = json.dumps(s3_message("orders/a+b%2Bc%27%22.csv", "caf%C3%A9/%0A..%2F.csv"))
    assert hints(body) == [Hint("inbox", "orders/a b+c'\".csv"), Hint("inbox", "café/\n../.csv")]


def test_sns_carries_the_same_message():
    inner = json.dumps(s3_message("a+b"))
    body = json.dumps({"Type": "Notification", "MessageId": "1", "TopicArn": "arn", "Message": inner})
    assert hints(body) == [Hint("inbox", "a b")]


def test_event_bridge_does_not_encode_keys():
    body = json.dumps(
        {
            "source": "aws.s3",
            "detail-type": "Object Created",
            "detail": {"bucket": {"name": "inbox"}, "object": {"key": "a+b%20c", "size": 1}},
        }
    )
    assert hints(body) == [Hint("inbox", "a+b%20c")]


@pytest.mark.parametrize(
    "message",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "inbox"},
        s3_message("gone", event="ObjectRemoved:Delete"),
        s3_message("gone", event="s3:ObjectRemoved:Delete"),
        {
            "source": "aws.s3",
            "detail-type": "Object Deleted",
            "detail": {"bucket": {"name": "inbox"}, "object": {"key": "gone"}},
        },
        {"Type": "Notification", "Message": json.dumps({"Event": "s3:TestEvent"})},
    ],
)
def test_messages_that_are_known_and_say_nothing(message):
    assert hints(json.dumps(message)) == []


def test_event_names_with_the_prefix_of_some_emulators():
    assert hints(json.dumps(s3_message("a", event="s3:ObjectCreated:CompleteMultipartUpload"))) == [
        Hint("inbox", "a")
    ]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "null",
        "7",
        "{}",
        '{"Records": 3}',
        '{"Records": [{}]}',
        '{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {}}}]}',
        '{"Records": ["text"]}',
        '{"Type": "Notification", "Message": "no json"}',
        '{"source": "aws.s3", "detail": {}}',
        '{"hello": "world"}',
        '{"\\u0000\\u202e\\ud800": 1}',
        "[" * 100_000,
        '{"Records":' + "[" * 100_000,
        json.dumps(s3_message("")),
        json.dumps(s3_message("k" * 1025)),
        json.dumps(s3_message("half a pair: \ud800")),
        '{"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": "b"}, "object": {"key": "\\udfff"}}}',
    ],
)
def test_what_is_no_s3_message_is_refused(body):
    """With a reason that SQS takes as an attribute of the dead letter: no control characters."""
    with pytest.raises(UnknownMessage) as refused:
        hints(body)
    assert str(refused.value)
    assert str(refused.value).isascii()
    assert str(refused.value).isprintable()


def test_the_longest_key_is_taken():
    assert hints(json.dumps(s3_message("k" * 1024))) == [Hint("inbox", "k" * 1024)]


def test_sns_that_asks_to_confirm_says_where():
    body = json.dumps({"Type": "SubscriptionConfirmation", "SubscribeURL": "https://sns.example/?Token=1"})
    with pytest.raises(UnknownMessage, match=r"confirm a subscription; visit https://sns\.example/\?Token=1"):
        hints(body)


def test_event_bridge_through_sns():
    inner = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": "inbox"}, "object": {"key": "a b"}},
    }
    assert hints(json.dumps({"Type": "Notification", "Message": json.dumps(inner)})) == [Hint("inbox", "a b")]
