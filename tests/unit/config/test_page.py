"""What docs/platform-yaml.md shows and says is so."""

import re
from pathlib import Path

import pytest

from slipway.config import scalars
from slipway.config.loader import parse

PAGE = (Path(__file__).parents[3] / "docs/platform-yaml.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("text", EXAMPLES)
def test_example(text: str) -> None:
    parse(text, "example")


def test_the_scalars_named_as_ambiguous_are() -> None:
    paragraph = PAGE.split("YAML that means one thing")[1].split("So are keys")[0]
    words = re.findall(r"`([^`]+)`", paragraph)
    assert len(words) > 5
    for word in words:
        with pytest.raises(scalars.Ambiguous):
            scalars.plain(word)
