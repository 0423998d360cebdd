"""The documentation says only what is so: its examples load, its verbs and options exist, its links lead somewhere."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml

from slipway.cli import cli
from slipway.config import loader
from slipway.config.model import Platform

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("code_locations/*/README.md")),
]
SHELL = ("sh", "bash", "console")


@dataclass(frozen=True)
class Example:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def examples() -> Iterator[Example]:
    for page in PAGES:
        fence: tuple[int, str] | None = None
        lines: list[str] = []
        for number, line in enumerate(page.read_text().splitlines(), 1):
            stripped = line.strip()
            if not stripped.startswith("```"):
                lines.append(line)
            elif fence is None:
                fence, lines = (number, stripped[3:].strip()), []
            else:
                yield Example(page, fence[0], fence[1], "\n".join(lines))
                fence = None


EXAMPLES = list(examples())


def of(*languages: str) -> list[Example]:
    return [example for example in EXAMPLES if example.language in languages]


def is_platform(example: Example) -> bool:
    keys = set(re.findall(r"^([a-z_]+):", example.text, re.MULTILINE))
    return bool(keys & Platform.model_fields.keys())


@pytest.mark.parametrize("example", [found for found in of("yaml") if is_platform(found)], ids=str)
def test_a_platform_yaml_of_the_documentation_loads(example: Example) -> None:
    text = example.text
    if "profile: small" in text and "resource_profiles:" not in text:
        # a snippet of a file that defines it elsewhere
        text += "\ninfrastructure: {resource_profiles: {small: {limits: {memory: 1Gi}}}}\n"
    if "image:" not in text and "code_locations:" in text:
        merged = yaml.safe_load(text)
        for name, location in merged["code_locations"].items():
            location.setdefault("path", f"code_locations/{name}")
            location.setdefault("image", {"repository": f"slipway/{name}", "tag": "0.1.0"})
        text = yaml.safe_dump(merged)
    loader.parse(text, str(example))


@pytest.mark.parametrize("example", of("python"), ids=str)
def test_python_of_the_documentation_compiles(example: Example) -> None:
    ast.parse(example.text, str(example))


def verbs() -> Iterator[tuple[str, list[str]]]:
    """Every `slipway …` of the pages, in blocks and in the text."""
    for example in of(*SHELL):
        for line in example.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            for index, word in enumerate(words):
                if word.removeprefix(".venv/bin/") == "slipway" and index + 1 < len(words):
                    yield str(example), words[index + 1 :]
    for page in PAGES:
        for text in re.findall(r"`slipway ([^`]+)`", page.read_text()):
            yield str(page.relative_to(ROOT)), shlex.split(text)


@pytest.mark.parametrize(("where", "words"), list(verbs()))
def test_a_verb_of_the_documentation_exists_with_its_options(where: str, words: list[str]) -> None:
    context = click.Context(cli)
    for verb in words[0].split("|"):
        if not re.fullmatch(r"[a-z-]+", verb):
            continue
        command = cli.get_command(context, verb)
        assert command is not None, f"{where}: there is no verb {verb}"
        options = {option for parameter in command.params for option in parameter.opts}
        if isinstance(command, click.Group):
            options |= {
                option
                for name in command.list_commands(context)
                for parameter in command.get_command(context, name).params
                for option in parameter.opts
            }
        named = [word.strip("[]") for word in words if word.strip("[]").startswith("--")]
        for option in (part for word in named for part in word.split("|")):
            assert option in options, f"{where}: slipway {verb} has no option {option}"


def links() -> Iterator[tuple[str, Path, str]]:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                yield str(page.relative_to(ROOT)), page.parent, target


@pytest.mark.parametrize(("where", "folder", "target"), list(links()))
def test_a_link_of_the_documentation_leads_somewhere(where: str, folder: Path, target: str) -> None:
    assert (folder / target).exists(), f"{where}: {target} does not exist"


def test_make_targets_of_the_documentation_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert named <= targets, f"no such targets: {sorted(named - targets)}"


def test_every_page_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    missing = [page.name for page in (ROOT / "docs").glob("*.md") if f"docs/{page.name}" not in readme]
    assert missing == []
