"""Where a batch comes from, which sensor serves a landing, and queries whose cost history does not raise."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE slipway_ledger.landing_batch ADD COLUMN parent_id text",
    # The newest version of a key, however often the key was overwritten.
    "CREATE INDEX landing_object_latest ON slipway_ledger.landing_object (landing, bucket, key, seq DESC)",
    # What is claimed and done leaves dead entries at the front of the index that claims read; the default would
    # let a fifth of the ledger pass before they are cleared away.
    "ALTER TABLE slipway_ledger.landing_object SET ("
    "autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000, "
    "autovacuum_analyze_scale_factor = 0.02)",
    """
    CREATE TABLE slipway_ledger.landing_consumer (
        landing text PRIMARY KEY,
        consumer text NOT NULL,
        seen_at timestamptz NOT NULL DEFAULT now(),
        rival text,
        rival_since timestamptz,
        rival_seen_at timestamptz
    )
    """,
)


def upgrade() -> None:
    """Create everything."""
    for statement in STATEMENTS:
        op.execute(statement)
