"""The ledger, its listings, the storage's identity, and the lake's commit trigger."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE slipway_ledger.landing_batch (
        id text PRIMARY KEY,
        landing text NOT NULL,
        state text NOT NULL CHECK (state IN ('claimed', 'done', 'revoked')),
        files integer NOT NULL,
        bytes bigint NOT NULL,
        attempt integer NOT NULL DEFAULT 1,
        root_id text NOT NULL,
        not_before timestamptz,
        run_id text,
        created_at timestamptz NOT NULL DEFAULT now(),
        opened_at timestamptz,
        finished_at timestamptz,
        error text
    )
    """,
    "CREATE INDEX landing_batch_open ON slipway_ledger.landing_batch (landing) WHERE state = 'claimed'",
    "CREATE INDEX landing_batch_root ON slipway_ledger.landing_batch (root_id)",
    """
    CREATE TABLE slipway_ledger.landing_object (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        landing text NOT NULL,
        bucket text NOT NULL,
        key text NOT NULL,
        version text NOT NULL,
        version_id text,
        etag text NOT NULL,
        size bigint NOT NULL,
        seq bigint NOT NULL,
        state text NOT NULL CHECK (state IN ('new', 'claimed', 'done', 'quarantined', 'superseded')),
        batch_id text REFERENCES slipway_ledger.landing_batch (id),
        attempts integer NOT NULL DEFAULT 0,
        error text,
        observed_at timestamptz NOT NULL DEFAULT now(),
        claimed_at timestamptz,
        finished_at timestamptz,
        UNIQUE (landing, bucket, key, version)
    )
    """,
    "CREATE SEQUENCE slipway_ledger.landing_object_seq OWNED BY slipway_ledger.landing_object.seq",
    "ALTER TABLE slipway_ledger.landing_object ALTER COLUMN seq SET DEFAULT nextval('slipway_ledger.landing_object_seq')",
    "CREATE INDEX landing_object_new ON slipway_ledger.landing_object (landing, seq) WHERE state = 'new'",
    "CREATE INDEX landing_object_batch ON slipway_ledger.landing_object (batch_id)",
    # What the rules promise, held by the database: one version of a key in flight, one waiting.
    "CREATE UNIQUE INDEX landing_object_one_claimed ON slipway_ledger.landing_object (landing, bucket, key)"
    " WHERE state = 'claimed'",
    "CREATE UNIQUE INDEX landing_object_one_new ON slipway_ledger.landing_object (landing, bucket, key)"
    " WHERE state = 'new'",
    """
    CREATE TABLE slipway_ledger.landing_listing (
        landing text PRIMARY KEY,
        after text,
        objects bigint NOT NULL DEFAULT 0,
        started_at timestamptz NOT NULL DEFAULT now(),
        finished_at timestamptz
    )
    """,
    """
    CREATE TABLE slipway_ledger.storage_identity (
        one smallint PRIMARY KEY DEFAULT 1 CHECK (one = 1),
        id text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        halted text
    )
    """,
    # Runs inside the lake's own commit. Its UPDATE, not a read, decides: under the repeatable read of DuckDB's
    # client a claim revoked meanwhile is then a serialization failure, which DuckLake tries again, and refuses.
    # The refusal's wording keeps clear of the words by which DuckLake recognises an error worth retrying.
    """
    CREATE FUNCTION slipway_ledger.lake_commit() RETURNS trigger LANGUAGE plpgsql AS $function$
    DECLARE
        token text;
    BEGIN
        BEGIN
            token := (NEW.commit_extra_info)::jsonb ->> 'slipway_claim';
        EXCEPTION WHEN data_exception THEN
            RETURN NULL;
        END;
        IF token IS NULL THEN
            RETURN NULL;
        END IF;
        UPDATE slipway_ledger.landing_batch SET state = 'done', finished_at = clock_timestamp()
            WHERE id = token AND state = 'claimed';
        IF NOT FOUND THEN
            RAISE EXCEPTION 'slipway: claim % is not this run''s any more; nothing was written', token
                USING ERRCODE = 'raise_exception';
        END IF;
        UPDATE slipway_ledger.landing_object SET state = 'done', finished_at = clock_timestamp(), error = NULL
            WHERE batch_id = token AND state = 'claimed';
        RETURN NULL;
    END
    $function$
    """,
)


def upgrade() -> None:
    """Create everything."""
    for statement in STATEMENTS:
        op.execute(statement)
