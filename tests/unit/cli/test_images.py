import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from slipway.cli.images import command
from slipway.config.errors import PlatformFileError

ROOT = Path(__file__).parents[3]
LOCATIONS = """
code_locations:
  shop: {path: p, image: {repository: ghcr.io/team/shop, tag: "3"}}
  stock: {path: p, image: {repository: ghcr.io/team/shop, tag: "3"}}
"""
OWN_SERVICES = "postgres: {host: db}\nstorage: {default: {endpoint: 'http://s3'}}\n"


def images(platform: Path, *options: str) -> str:
    return CliRunner().invoke(command, ["--platform", str(platform), *options], catch_exceptions=False).output


@pytest.fixture
def platform(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def test_the_repositorys_own() -> None:
    assert images(ROOT / "platform.yaml").splitlines() == [
        "localstack/localstack:4.14.0",
        "postgres:17",
        "slipway/ecommerce:0.1.0",
        "slipway/platform:0.1.0",
        "slipway/veteran:0.1.0",
    ]


def test_once_each_and_bundled_services_only_where_they_are_used(platform: Path) -> None:
    platform.write_text(LOCATIONS + OWN_SERVICES)
    assert images(platform).splitlines() == ["ghcr.io/team/shop:3", "slipway/platform:0.1.0"]
    platform.write_text("storage: {default: {}, spare: {bundled: true}}\npostgres: {host: db}\n")
    assert images(platform).splitlines() == ["slipway/platform:0.1.0"]


def test_from_one_registry_with_where_to_copy_them_from(platform: Path) -> None:
    platform.write_text(
        f"{LOCATIONS}{OWN_SERVICES}kubernetes: {{imageRegistry: 'r.example.com:5000/mirror'}}\n"
    )
    assert json.loads(images(platform, "--json")) == [
        {
            "image": "r.example.com:5000/mirror/slipway/platform:0.1.0",
            "source": "slipway/platform:0.1.0",
            "keys": ["kubernetes.image"],
        },
        {
            "image": "r.example.com:5000/mirror/team/shop:3",
            "source": "ghcr.io/team/shop:3",
            "keys": ["code_locations.shop.image", "code_locations.stock.image"],
        },
    ]


def test_the_platform_of_this_folder_unless_one_is_given(
    platform: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_PLATFORM", str(platform))
    monkeypatch.delenv("SLIPWAY_PLATFORM_JSON", raising=False)
    platform.write_text(OWN_SERVICES)
    result = CliRunner().invoke(command, catch_exceptions=False)
    assert result.output == "slipway/platform:0.1.0\n"


def test_a_wrong_platform_is_refused(platform: Path) -> None:
    platform.write_text("kubernetes: {imageRegistry: r/}")
    with pytest.raises(PlatformFileError, match=r"kubernetes\.imageRegistry"):
        images(platform)
