import math
from typing import Any

import pytest
import yaml

from slipway.config import scalars

SAME: list[tuple[str, Any]] = [
    ("", None),
    ("~", None),
    ("null", None),
    ("true", True),
    ("False", False),
    ("0", 0),
    ("30", 30),
    ("-7", -7),
    ("+12", 12),
    ("0x1F", 31),
    ("0.5", 0.5),
    ("1.", 1.0),
    (".5", 0.5),
    ("1.5e+3", 1500.0),
    (".inf", math.inf),
    ("-.INF", -math.inf),
    ("0.1.0", "0.1.0"),
    ("3.11.7", "3.11.7"),
    ("500m", "500m"),
    ("4Gi", "4Gi"),
    ("dagster-compute-logs", "dagster-compute-logs"),
    ("compute-logs/", "compute-logs/"),
    ("slipway/ecommerce:0.1.0", "slipway/ecommerce:0.1.0"),
    ("nope", "nope"),
    ("yes please", "yes please"),
    ("tRue", "tRue"),
    (".", "."),
    ("-", "-"),
    ("0xZZ", "0xZZ"),
    ("1:75", "1:75"),
]


@pytest.mark.parametrize(("text", "value"), SAME)
def test_what_both_versions_read_alike(text: str, value: Any) -> None:
    read = scalars.plain(text)
    assert read == value
    assert type(read) is type(value)


def test_not_a_number_is_like_itself() -> None:
    assert math.isnan(scalars.plain(".nan"))


DIFFERENT = [
    ("010", "8", "10"),
    ("0777", "511", "777"),
    ("-010", "-8", "-10"),
    ("08", 'the text "08"', "8"),
    ("0o7", 'the text "0o7"', "7"),
    ("0b11", "3", 'the text "0b11"'),
    ("1e3", 'the text "1e3"', "1000"),
    ("1E3", 'the text "1E3"', "1000"),
    ("1.5e3", 'the text "1.5e3"', "1500"),
    ("1_000", "1000", 'the text "1_000"'),
    ("1_0.5", "10.5", 'the text "1_0.5"'),
    ("1:30", "90", 'the text "1:30"'),
    ("18:30:00", "66600", 'the text "18:30:00"'),
    ("1:30.5", "90.5", 'the text "1:30.5"'),
    ("2026-01-01", "the date 2026-01-01", 'the text "2026-01-01"'),
    ("<<", "a merge of mappings", 'the text "<<"'),
    ("=", "a default value", 'the text "="'),
    *((word, "true", f'the text "{word}"') for word in ("y", "Y", "yes", "Yes", "YES", "on", "On", "ON")),
    *((word, "false", f'the text "{word}"') for word in ("n", "N", "no", "No", "NO", "off", "Off", "OFF")),
]


@pytest.mark.parametrize(("text", "first", "second"), DIFFERENT)
def test_what_they_read_differently(text: str, first: str, second: str) -> None:
    with pytest.raises(scalars.Ambiguous) as caught:
        scalars.plain(text)
    assert str(caught.value) == f"YAML 1.1 reads {first}, YAML 1.2 {second}"


@pytest.mark.parametrize("text", [text for text, _ in SAME if text not in ("", ".")])
def test_pyyaml_reads_the_same(text: str) -> None:
    """PyYAML is a third reader, of YAML 1.1 for the most part."""
    assert yaml.safe_load(text) == scalars.plain(text) or text == "-"
