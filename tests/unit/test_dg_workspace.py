import tomllib
from pathlib import Path

from slipway.config.loader import load

ROOT = Path(__file__).parents[2]


def test_dg_knows_every_location():
    workspace = tomllib.loads((ROOT / "dg.toml").read_text())["workspace"]
    listed = [project["path"] for project in workspace["projects"]]
    assert listed == [location.path for location in load(ROOT / "platform.yaml").code_locations.values()]
