"""The chart, rendered; no cluster."""

import os

import pytest

import charts


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Helm there is nothing to test here."""
    reason = charts.missing()
    if reason is None:
        return
    for item in items:
        if "unit/chart" in item.path.as_posix():
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever cluster this machine knows is nobody's business here."""
    monkeypatch.setenv("KUBECONFIG", os.devnull)
