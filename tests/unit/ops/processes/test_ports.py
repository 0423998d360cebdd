import os
import socket

import pytest

from slipway.config.errors import UserError
from slipway.ops.processes.ports import ui_port


def test_a_port_in_use_names_its_holder_and_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError) as caught:
            ui_port(port)
    assert f"port {port}" in caught.value.message
    assert f"(process {os.getpid()})" in caught.value.message
    assert caught.value.hint is not None
    assert "SLIPWAY_UI_PORT=" in caught.value.hint


def test_zero_is_a_free_port() -> None:
    with socket.create_server(("127.0.0.1", ui_port(0))):
        pass


def test_a_free_port_is_itself() -> None:
    port = ui_port(0)
    assert ui_port(port) == port
