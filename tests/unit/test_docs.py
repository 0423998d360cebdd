"""README and docs hold: examples load, commands and options exist, links and paths lead somewhere."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import references
from slipway.cli import cli
from slipway.config import loader
from slipway.config.errors import PlatformFileError

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

IMAGINED = {"code_locations/weather"}
"""What examples make, and the repository does not have."""

COMPOSE_KEYS = {"services", "volumes", "networks", "configs", "secrets"}

LAUNCHERS = (
    r"(?:\.venv/bin/|\$BIN/)?",
    r"docker compose (?:exec|run)(?: --?[\w-]+)* [\w-]+ ",
)
"""What may stand before `slipway`."""


@dataclass(frozen=True)
class Block:
    """A fenced example."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced example of a page, with the line of its fence."""
    fence = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
    text = page.read_text()
    for found in fence.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found[1], found[2])


def prose(page: Path) -> str:
    """A page without its fenced examples; lines stay where they are."""
    return re.sub(
        r"^ *```.*?^ *```$",
        lambda found: "\n" * found[0].count("\n"),
        page.read_text(),
        flags=re.MULTILINE | re.DOTALL,
    )


BLOCKS = [block for page in PAGES for block in blocks(page)]


# Each kind of example


class _ComposeLoader(yaml.SafeLoader):
    """YAML with Compose's own tags, such as !override."""


_ComposeLoader.add_multi_constructor(
    "!",
    lambda loader, suffix, node: (
        loader.construct_sequence(node)
        if isinstance(node, yaml.SequenceNode)
        else loader.construct_mapping(node)
        if isinstance(node, yaml.MappingNode)
        else loader.construct_scalar(node)
    ),
)


def check_yaml(text: str) -> None:
    """A compose file's example is YAML; any other is a platform.yaml, whole or to be put into ours."""
    data = yaml.load(text, _ComposeLoader)
    if set(data) <= COMPOSE_KEYS:
        return
    try:
        loader.parse(text, "example")
    except PlatformFileError:
        ours = yaml.safe_load((ROOT / "platform.yaml").read_text())
        # Storage, Postgres and landings are given whole, profiles and locations one by one.
        base = {key: ours[key] for key in ("infrastructure", "code_locations") if key in ours}
        loader.parse(yaml.safe_dump(merged(base, data)), "example put into platform.yaml")


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two maps as Helm merges them."""
    return {
        **below,
        **{
            key: merged(below[key], value)
            if isinstance(value, dict) and isinstance(below.get(key), dict)
            else value
            for key, value in above.items()
        },
    }


def check_shell(text: str) -> None:
    """Shell that a shell reads, calling verbs and targets that exist."""
    script = "\n".join(
        line.removeprefix("$ ")
        for line in text.splitlines()
        if not ("$ " in text and line[:2] not in ("$ ", "  "))
    )
    read = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr
    for line in script.replace("\\\n", " ").splitlines():
        check_command(line)


CHECKS: dict[str, Callable[[str], object]] = {
    "yaml": check_yaml,
    "json": json.loads,
    "toml": tomllib.loads,
    "python": ast.parse,
    "sh": check_shell,
    "console": check_shell,
    "sql": str.strip,
    "": str.strip,
}


def check_command(text: str) -> None:
    """Check the call of `slipway` or `make` in a line; other commands are other projects' affair.

    Raises:
        AssertionError: there is no such verb, option or target.
    """
    command = text.split(" #")[0].strip()
    command = re.sub(r"^(?:\w+=\S* )*", "", command)
    for before in LAUNCHERS:
        if found := re.match(rf"{before}slipway\b(?!\S)(.*)", command):
            check_slipway(shlex.split(found[1]))
            return
    if found := re.match(r"make ([a-z][a-z-]*)", command):
        assert re.search(rf"^{found[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"make {found[1]}"


def check_slipway(arguments: list[str]) -> None:
    """Check verbs and options of one call."""
    current: click.Command = cli
    path = ["slipway"]
    for argument in arguments:
        if isinstance(current, click.Group) and not argument.startswith("-"):
            found = current.get_command(click.Context(current), argument)
            assert found is not None, f"there is no `{' '.join([*path, argument])}`"
            current = found
            path.append(argument)
        elif argument.startswith("-"):
            known = {
                name for parameter in current.params for name in (*parameter.opts, *parameter.secondary_opts)
            }
            assert argument.split("=")[0] in {*known, "--help", "-h"}, f"`{' '.join(path)}` has no {argument}"


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_an_example_holds(block: Block) -> None:
    CHECKS[block.language](block.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_text_exist(page: Path) -> None:
    for number, line in enumerate(prose(page).splitlines(), 1):
        for command in re.findall(r"`([^`]+)`", line):
            try:
                check_command(command)
            except (AssertionError, ValueError) as error:
                raise AssertionError(f"{page.relative_to(ROOT)}:{number}: {error}") from None


# Links and paths


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_to(path: Path, anchor: str) -> bool:
    """Whether a page has a heading of that name, or another file a line of that number (`L12`)."""
    if path.suffix == ".md":
        return anchor in anchors(path)
    return anchor[:1] == "L" and 0 < int(anchor[1:]) <= path.read_text().count("\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if not path.exists() or (anchor and not leads_to(path, anchor)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_in_the_text_exist(page: Path) -> None:
    top = "|".join(re.escape(path.name) for path in ROOT.iterdir() if path.is_dir() and path.name[0] != ".")
    named = re.findall(rf"`((?:{top})/[\w./-]*)`", prose(page))
    missing = [
        path
        for path in named
        if not (ROOT / path).exists() and not any(path.startswith(imagined) for imagined in IMAGINED)
    ]
    assert missing == []


# Messages


def test_a_message_that_a_heading_quotes_is_one_of_ours() -> None:
    code = "\n".join(
        path.read_text()
        for folder in ("src", "code_locations", "scripts")
        for path in (ROOT / folder).rglob("*.*")
        if path.suffix in (".py", ".sh") and ".venv" not in path.parts
    )
    headings = re.findall(r"^### `(.+)`$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(headings) > 5
    for heading in headings:
        parts = re.split(r"…|\d+|'", heading)
        assert [part for part in parts if part.strip() not in code] == [], heading


# References into the code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_references_are_to_the_line_of_what_they_name(page: Path) -> None:
    text, lost = references.refreshed(page)
    assert [str(one) for one in lost] == []
    assert page.read_text() == text, "stale: run make format"


def test_a_reference_is_by_name(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(
        "A = 1\n\n\nclass B:\n    c: int = 0\n\n    def d(self):\n        pass\n"
    )
    (tmp_path / "other.yaml").write_text("a: 1\nb:\n  c: 2\n")
    found = {name: references.line_of(name, tmp_path / "code.py") for name in ("A", "B", "B.c", "B.d", "d")}
    assert found == {"A": 1, "B": 4, "B.c": 5, "B.d": 7, "d": None}
    assert references.line_of("c: 2", tmp_path / "other.yaml") == 3
    assert references.line_of("A", tmp_path / "absent.py") is None
    page = tmp_path / "page.md"
    page.write_text("| `B.d` in [code.py:1](code.py#L1) | `E` in [code.py:1](code.py#L1) |\n")
    text, lost = references.refreshed(page)
    assert text == "| `B.d` in [code.py:7](code.py#L7) | `E` in [code.py:1](code.py#L1) |\n"
    assert [(one.name, one.path) for one in lost] == [("E", "code.py")]


# The checks themselves


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("yaml", "observabilty: {}\n"),
        ("yaml", "code_locations: {a: {path: a, image: {repository: r, tag: t}, profile: absent}}\n"),
        ("yaml", "a: [\n"),
        ("sh", "slipway chekc\n"),
        ("sh", "SLIPWAY_UI_PORT=1 .venv/bin/slipway check --jsno\n"),
        ("console", "$ docker compose run --rm bootstrap slipway storage forget\n"),
        ("sh", "make dmeo ONCE=1\n"),
        ("sh", "if true\n"),
        ("python", "def f(:\n"),
        ("toml", "a = \n"),
    ],
)
def test_a_wrong_example_is_found(language: str, text: str) -> None:
    with pytest.raises((AssertionError, PlatformFileError, yaml.YAMLError, SyntaxError, ValueError)):
        CHECKS[language](text)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("yaml", "code_locations: {ecommerce: {profile: medium}}\n"),
        ("yaml", 'services:\n  webserver:\n    ports: !override ["127.0.0.1:8080:3000"]\n'),
        ("sh", "SLIPWAY_UI_PORT=1 .venv/bin/slipway check --json platform.yaml  # all mistakes\n"),
        ("console", "$ docker compose run --rm --no-deps bootstrap slipway storage reset --yes\nforgotten\n"),
        ("sh", "make demo ONCE=1\naws s3 ls\n"),
    ],
)
def test_a_right_example_is_taken(language: str, text: str) -> None:
    CHECKS[language](text)
