from pathlib import Path

import pytest
import yaml

from slipway.config.errors import UserError
from slipway.config.loader import parse
from slipway.ops import workspace

PLATFORM = parse(
    """
code_locations:
  shop: {path: a, image: {repository: r, tag: "1"}}
  back_office: {path: b, image: {repository: r, tag: "1"}}
""",
    "platform.yaml",
)


def test_an_empty_variable_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"\.slipway/code-servers\.json"):
        workspace.addresses(PLATFORM, {"SLIPWAY_STATE": ""})


def test_containers_are_found_by_their_service_names() -> None:
    text = workspace.render(PLATFORM, workspace.addresses(PLATFORM, {"SLIPWAY_RUNTIME": "docker"}))
    assert [entry["grpc_server"] for entry in yaml.safe_load(text)["load_from"]] == [
        {"host": "code-shop", "port": 4000, "location_name": "shop"},
        {"host": "code-back-office", "port": 4000, "location_name": "back_office"},
    ]


def test_processes_are_found_by_the_ports_that_up_noted(tmp_path: Path) -> None:
    env = {"SLIPWAY_RUNTIME": "process", "SLIPWAY_STATE": str(tmp_path)}
    with pytest.raises(UserError, match="no code servers run here"):
        workspace.addresses(PLATFORM, env)
    workspace.address_file(tmp_path).write_text('{"shop": 4711}')
    with pytest.raises(UserError, match="back_office"):
        workspace.addresses(PLATFORM, env)
    workspace.address_file(tmp_path).write_text('{"shop": 4711, "back_office": 4712}')
    assert workspace.addresses(PLATFORM, env) == {
        "shop": ("127.0.0.1", 4711),
        "back_office": ("127.0.0.1", 4712),
    }


def test_an_unknown_runtime_is_the_users_error() -> None:
    with pytest.raises(UserError, match="SLIPWAY_RUNTIME is 'podman'"):
        workspace.addresses(PLATFORM, {"SLIPWAY_RUNTIME": "podman"})


def test_the_file_is_written_where_the_service_may_write(tmp_path: Path) -> None:
    platform = tmp_path / "platform.yaml"
    platform.write_text("defaults: {}\n")
    env = {"SLIPWAY_RUNTIME": "process", "SLIPWAY_STATE": str(tmp_path), "SLIPWAY_PLATFORM": str(platform)}
    workspace.address_file(tmp_path).write_text("{}")
    file = workspace.write(env)
    assert file == tmp_path / "workspace.yaml"
    assert yaml.safe_load(file.read_text()) == {"load_from": []}


def test_addresses_that_cannot_be_read(tmp_path: Path) -> None:
    workspace.address_file(tmp_path).write_text("{")
    with pytest.raises(UserError, match="restart `slipway up`"):
        workspace.addresses(PLATFORM, {"SLIPWAY_STATE": str(tmp_path)})


def test_pods_are_found_by_the_chart_s_services(tmp_path: Path) -> None:
    env = {"SLIPWAY_RUNTIME": "kubernetes", "SLIPWAY_PROJECT": "acme-slipway"}
    text = workspace.render(PLATFORM, workspace.addresses(PLATFORM, env))
    assert [entry["grpc_server"]["host"] for entry in yaml.safe_load(text)["load_from"]] == [
        "acme-slipway-code-shop",
        "acme-slipway-code-back-office",
    ]
    with pytest.raises(UserError, match="SLIPWAY_PROJECT"):
        workspace.addresses(PLATFORM, {"SLIPWAY_RUNTIME": "kubernetes"})


@pytest.mark.parametrize(
    ("runtime", "expected"), [("docker", True), ("kubernetes", True), ("process", False)]
)
def test_what_has_a_container_of_its_own(runtime: str, expected: bool) -> None:
    assert workspace.in_container({"SLIPWAY_RUNTIME": runtime}) is expected
