"""One running platform for all tests of the verbs that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from live import Live, live


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("live")) as found:
        yield found
