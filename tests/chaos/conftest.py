from __future__ import annotations

from collections.abc import Iterator

import pytest

from chaos_world import World, chaos_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One platform for all of these tests: it takes longer to start than most of them."""
    with chaos_world(tmp_path_factory.mktemp("chaos")) as found:
        yield found
