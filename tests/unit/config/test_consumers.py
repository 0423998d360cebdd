"""Every key of platform.yaml changes something: a module outside of the model reads it.

What the section `kubernetes` changes, the chart's own tests prove: its readers are templates.
"""

import ast
from pathlib import Path

import pytest

from slipway.config import schema
from slipway.config.model import Platform

SOURCES = Path(__file__).parents[3] / "src" / "slipway"

CONSUMERS = {
    "infrastructure.resource_profiles.<name>.requests.cpu": "profiles/resolving.py",
    "infrastructure.resource_profiles.<name>.requests.memory": "profiles/resolving.py",
    "infrastructure.resource_profiles.<name>.limits.cpu": "config/checks.py",
    "infrastructure.resource_profiles.<name>.limits.memory": "config/checks.py",
    "infrastructure.resource_profiles.<name>.limits.ephemeral-storage": "config/checks.py",
    "infrastructure.resource_profiles.<name>.env.<name>": "profiles/resolving.py",
    "infrastructure.resource_profiles.<name>.on_oom": "profiles/resolving.py",
    "infrastructure.resource_profiles.<name>.max_oom_retries": "profiles/resolving.py",
    "observability.compute_logs.enabled": "logs/manager.py",
    "observability.compute_logs.storage_ref": "logs/settings.py",
    "observability.compute_logs.bucket": "logs/settings.py",
    "observability.compute_logs.prefix": "logs/settings.py",
    "observability.compute_logs.retention_days": "ops/bootstrap_storage.py",
    "observability.compute_logs.local_dir": "logs/settings.py",
    "observability.compute_logs.upload_interval": "logs/settings.py",
    "postgres.bundled": "config/checks.py",
    "postgres.host": "config/connections.py",
    "postgres.port": "config/connections.py",
    "postgres.database": "config/connections.py",
    "postgres.user": "config/connections.py",
    "postgres.password": "config/connections.py",
    "postgres.sslmode": "config/connections.py",
    "storage.<name>.bundled": "config/connections.py",
    "storage.<name>.endpoint": "config/connections.py",
    "storage.<name>.public_endpoint": "config/connections.py",
    "storage.<name>.region": "config/connections.py",
    "storage.<name>.path_style": "config/connections.py",
    "storage.<name>.access_key_id": "config/connections.py",
    "storage.<name>.secret_access_key": "config/connections.py",
    "lake.storage_ref": "resources/lake.py",
    "lake.bucket": "resources/lake.py",
    "lake.prefix": "resources/lake.py",
    "landing.<name>.storage_ref": "landing/resource.py",
    "landing.<name>.bucket": "landing/watch.py",
    "landing.<name>.prefix": "landing/intake.py",
    "landing.<name>.mode": "landing/watch.py",
    "code_locations.<name>.path": "launch/launcher.py",
    "code_locations.<name>.image.repository": "config/base.py",
    "code_locations.<name>.image.tag": "config/base.py",
    "code_locations.<name>.python": "ops/compose.py",
    "code_locations.<name>.profile": "profiles/resolving.py",
    "code_locations.<name>.duckdb_file": "launch/environment.py",
    "code_locations.<name>.env.<name>": "launch/environment.py",
    "defaults.profile": "profiles/resolving.py",
    "defaults.start_timeout": "launch/sweeping.py",
    "concurrency.max_concurrent_runs": "instance.py",
    "concurrency.default_pool_limit": "instance.py",
    "concurrency.pools.<name>": "ops/bootstrap_pools.py",
    "concurrency.tags.<name>.limit": "instance.py",
    "concurrency.tags.<name>.each_value": "instance.py",
    "concurrency.tags.<name>.values.<name>": "instance.py",
}
UNREAD = {
    "observability.compute_logs.manager_type": "s3 is its only value; any other is refused",
}


def test_no_key_is_without_a_consumer() -> None:
    keys = {key for key, _ in schema.leaves(Platform) if not key.startswith(schema.KUBERNETES)}
    assert keys == CONSUMERS.keys() | UNREAD.keys()


@pytest.mark.parametrize(("key", "module"), CONSUMERS.items())
def test_the_consumer_reads_it(key: str, module: str) -> None:
    name = key.removesuffix(".<name>").rsplit(".", 1)[-1].replace("-", "_")
    tree = ast.parse((SOURCES / module).read_text("utf-8"))
    read = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert name in read, f"{module} does not read {key}"
