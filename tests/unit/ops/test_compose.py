"""The generated parts of the compose file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway.config import duckdb_file
from slipway.config.errors import UserError
from slipway.config.model import Platform
from slipway.ops import compose

ROOT = Path(__file__).resolve().parents[3]
TEMPLATE = (ROOT / "docker-compose.yml").read_text()


def rendered(instance: bytes = b"", **platform: Any) -> str:
    model = Platform.model_validate(platform)
    return compose.render(TEMPLATE, model, instance)


def services(**platform: Any) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(rendered(**platform))
    return content["services"]


def location(**more: Any) -> dict[str, Any]:
    return {"path": "projects/shop", "image": {"repository": "acme/shop", "tag": "2.1"}, **more}


def test_a_location_becomes_a_hardened_service_of_its_own() -> None:
    service = services(code_locations={"my_shop": location(python="3.12")})["code-my-shop"]
    assert service["build"]["args"] == {"LOCATION": "projects/shop", "PYTHON_VERSION": "3.12"}
    assert service["image"] == service["environment"]["DAGSTER_CURRENT_IMAGE"] == "acme/shop:2.1"
    assert service["environment"]["SLIPWAY_LOCATION"] == "my_shop"
    assert service["command"] == ["python", "-m", "slipway.code_server"]
    assert (service["user"], service["read_only"], service["cap_drop"]) == ("10001:10001", True, ["ALL"])
    assert "ports" not in service
    assert service["develop"]["watch"][0]["path"] == "./projects/shop"


def test_what_is_built_here_is_never_pulled() -> None:
    content = services(code_locations={"shop": location(duckdb_file="shop.duckdb")})
    built = {service["image"] for service in content.values() if "build" in service}
    for name, service in content.items():
        assert (service["image"] in built) == (service.get("pull_policy") == "never"), name


def test_rendering_twice_changes_nothing() -> None:
    once = rendered(code_locations={"shop": location()})
    platform = Platform.model_validate({"code_locations": {"shop": location()}})
    assert compose.render(once, platform, b"") == once
    assert once != TEMPLATE


def test_hand_written_parts_stay_as_they_are() -> None:
    before, after = TEMPLATE.split(compose.BEGIN), rendered().split(compose.BEGIN)
    assert before[0] == after[0]
    for old, new in zip(before[1:], after[1:], strict=True):
        assert old.partition(compose.END)[2] == new.partition(compose.END)[2]


def test_no_locations_leave_valid_yaml() -> None:
    content = services()
    assert not [name for name in content if name.startswith("code-")]
    assert set(content["webserver"]["depends_on"]) == {"bootstrap", "gate"}


def test_a_duckdb_file_is_a_volume_that_no_service_of_its_own_accord_mounts() -> None:
    text = rendered(code_locations={"my_shop": location(duckdb_file="shop.duckdb"), "other": location()})
    content = yaml.safe_load(text)
    assert content["volumes"]["duckdb_my_shop"] == {}
    assert content["volumes"].keys() >= {"postgres", "localstack", "storage", "gate"}
    assert not [name for name in content["volumes"] if "other" in name]
    users = [name for name, service in content["services"].items() if "duckdb_my_shop" in str(service)]
    assert users == ["duckdb-my-shop"]
    service = content["services"]["duckdb-my-shop"]
    assert service["scale"] == 0
    assert service["image"] == "acme/shop:2.1"
    assert (service["user"], service["read_only"], service["cap_drop"]) == ("10001:10001", True, ["ALL"])
    assert service["network_mode"] == "none"
    assert service["environment"]["SLIPWAY_DUCKDB_FILE"] == "/var/lib/slipway/duckdb/shop.duckdb"
    assert service["volumes"] == [
        {"type": "volume", "source": "duckdb_my_shop", "target": "/var/lib/slipway/duckdb"}
    ]
    assert "SLIPWAY_DUCKDB_FILE" not in content["services"]["code-my-shop"]["environment"]


def test_the_image_of_a_location_owns_the_folder_of_the_volume() -> None:
    dockerfile = (ROOT / "docker" / "location.Dockerfile").read_text()
    assert f"install -d -o 10001 -g 10001 {duckdb_file.CONTAINER_FOLDER}" in dockerfile


def test_the_environment_of_a_location_reaches_it_and_the_daemon_only() -> None:
    env = {"PLAIN": 'a $5 "quoted" café', "TOKEN": {"env": "SHOP_TOKEN"}}
    content = services(code_locations={"shop": location(env=env), "other": location()})
    shop = content["code-shop"]["environment"]
    assert shop["PLAIN"] == 'a $$5 "quoted" café'
    assert shop["TOKEN"].startswith("${SHOP_TOKEN?")
    assert "code_locations.shop.env.TOKEN" in shop["TOKEN"]
    assert content["daemon"]["environment"]["SHOP_TOKEN"].startswith("${SHOP_TOKEN?")
    for service in ("code-other", "webserver", "bootstrap", "storage-keeper", "gate"):
        assert not {"PLAIN", "TOKEN", "SHOP_TOKEN"} & content[service]["environment"].keys()


def test_a_file_reference_is_mounted_where_its_reader_looks() -> None:
    content = services(
        postgres={"host": "db.example", "password": {"file": "secrets/pg"}},
        code_locations={"shop": location(env={"KEY": {"file": "/etc/shop key"}}), "other": location()},
    )

    def targets(name: str) -> set[str]:
        return {mount["target"] for mount in content[name]["secrets"]}

    assert targets("webserver") == {"/opt/slipway/secrets/pg"}
    assert targets("daemon") == {"/opt/slipway/secrets/pg", "/etc/shop key"}
    assert targets("code-other") == {"/opt/location/secrets/pg"}
    assert targets("code-shop") == {"/opt/location/secrets/pg", "/etc/shop key"}


def test_compose_fills_nothing_into_paths() -> None:
    content = yaml.safe_load(
        rendered(
            postgres={"host": "db.example", "password": {"file": "se$cret"}},
            code_locations={"shop": location(path="pro$jects/shop")},
        )
    )
    assert [secret["file"] for secret in content["secrets"].values()] == ["se$$cret"]
    shop = content["services"]["code-shop"]
    assert shop["secrets"][0]["target"] == "/opt/location/se$$cret"
    assert shop["build"]["args"]["LOCATION"] == "pro$$jects/shop"
    assert shop["develop"]["watch"][0]["path"] == "./pro$$jects/shop"


def test_a_kubernetes_secret_is_refused_by_its_key() -> None:
    env = {"KEY": {"secret": {"name": "a", "key": "b"}}}
    with pytest.raises(UserError, match=r"code_locations\.shop\.env\.KEY refers to a Kubernetes Secret"):
        rendered(code_locations={"shop": location(env=env)})


def test_bundled_services_are_left_out_when_platform_yaml_names_others() -> None:
    bundled = services()
    assert bundled["postgres"]["profiles"] == bundled["localstack"]["profiles"] == []
    external = services(
        postgres={"host": "db.example", "user": {"env": "PGU"}, "password": {"env": "PGP"}},
        storage={"default": {"region": "eu-west-1"}},
    )
    for name in ("postgres", "localstack", "storage-keeper"):
        assert external[name]["profiles"] == ["bundled"]
    for name in ("webserver", "daemon", "bootstrap"):
        assert {"PGU", "PGP"} <= external[name]["environment"].keys()
    assert not {"PGU", "PGP"} & external["gate"]["environment"].keys()


def test_bundled_storage_stays_while_something_uses_it() -> None:
    external = {"region": "eu-west-1"}
    used = services(
        storage={"default": external, "local": {"bundled": True}},
        landing={"files": {"storage_ref": "local", "bucket": "files"}},
    )
    unused = services(storage={"default": external, "local": {"bundled": True}})
    assert used["localstack"]["profiles"] == []
    assert unused["localstack"]["profiles"] == ["bundled"]


def test_a_change_of_platform_or_instance_makes_containers_again() -> None:
    def label(text: str) -> str:
        value: str = yaml.safe_load(text)["services"]["daemon"]["labels"]["slipway.config"]
        return value

    assert label(rendered()) == label(rendered())
    assert label(rendered()) != label(rendered(defaults={"profile": "small"}))
    assert label(rendered()) != label(rendered(b"telemetry: {}"))


def test_a_file_without_marks_says_what_to_do() -> None:
    with pytest.raises(UserError, match=r"docker-compose\.override\.yml"):
        compose.render("services: {}", Platform(), b"")


@pytest.mark.parametrize("path", ["/srv/shop", "../shop", "projects/../../shop"])
def test_a_location_outside_of_the_build_context_is_refused(path: str) -> None:
    with pytest.raises(UserError, match=r"is not below the folder of platform\.yaml"):
        rendered(code_locations={"shop": location(path=path)})
