"""The tables as the ledger reads and writes them; the migrations create them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA = "slipway_ledger"
"""Not `slipway`: a user of that name would find the schema first on Postgres' search path, before Dagster's."""

metadata = MetaData(schema=SCHEMA)

landing_batch = Table(
    "landing_batch",
    metadata,
    Column("id", Text, primary_key=True, comment="claim token and run key"),
    Column("landing", Text, nullable=False),
    Column("state", Text, nullable=False, comment="claimed, done, revoked"),
    Column("files", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False, comment="how many batches have had just these files"),
    Column("root_id", Text, nullable=False, comment="the first batch of the retries and halves"),
    Column("parent_id", Text, comment="the failed batch that these files were in before"),
    Column("not_before", DateTime(timezone=True), comment="a retry waits until then"),
    Column("run_id", Text, comment="the run that opened the batch last"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("opened_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("error", Text),
)

landing_object = Table(
    "landing_object",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("landing", Text, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column(
        "version", Text, nullable=False, comment="S3's version id, or etag:size in a bucket without versions"
    ),
    Column("version_id", Text, comment="S3's version id, if the bucket has versions"),
    Column("etag", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False, comment="order in which versions were observed"),
    Column("state", Text, nullable=False, comment="new, claimed, done, quarantined, superseded"),
    Column("batch_id", Text, ForeignKey(landing_batch.c.id)),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Column("observed_at", DateTime(timezone=True), nullable=False),
    Column("claimed_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    UniqueConstraint("landing", "bucket", "key", "version"),
)

landing_listing = Table(
    "landing_listing",
    metadata,
    Column("landing", Text, primary_key=True),
    Column("after", Text, comment="the key after which the pass goes on; none between passes"),
    Column("objects", BigInteger, nullable=False, comment="seen in this pass so far, or in the last one"),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True), comment="none while the pass goes on"),
)

landing_consumer = Table(
    "landing_consumer",
    metadata,
    Column("landing", Text, primary_key=True),
    Column("consumer", Text, nullable=False, comment="the sensor that claims the landing's files"),
    Column("seen_at", DateTime(timezone=True), nullable=False, comment="its last tick"),
    Column("rival", Text, comment="another sensor that would, if the first one stopped"),
    Column("rival_since", DateTime(timezone=True)),
    Column("rival_seen_at", DateTime(timezone=True)),
)

storage_identity = Table(
    "storage_identity",
    metadata,
    Column("one", SmallInteger, primary_key=True),
    Column("id", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("halted", Text, comment="why landings stand still, while they do"),
)
