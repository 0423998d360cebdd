from pathlib import Path

from slipway.cli.demo import state_root


def test_a_shell_with_the_addresses_of_a_demo_starts_the_next_one_in_the_same_place(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    assert state_root({"SLIPWAY_STATE": str(demo)}) == demo
    demo.mkdir()
    (demo / "env").touch()
    assert state_root({"SLIPWAY_STATE": str(demo)}) == tmp_path
    assert state_root({"SLIPWAY_STATE": str(tmp_path)}) == tmp_path
    assert state_root({}) == Path(".slipway").absolute()
