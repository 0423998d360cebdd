"""The typed model of platform.yaml.

Every key here has a consumer; a key that changes nothing is a bug. The module knows nothing of files,
environments or runtimes: `slipway.config.loader` reads text into it and `slipway.config.connections`
resolves what it refers to.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag

from slipway.config.base import Image, Limits, Name, Resources, StrictModel, VariableName
from slipway.config.kubernetes import Kubernetes, ObjectName

BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]

Prefix = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_=][A-Za-z0-9_.=-]*/)*$")]
"""A folder in a bucket: empty, or ending with a slash."""

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^/@\s?#]+(/[^@\s?#]*)?$")]
"""An address without credentials or query."""

DuckDBFileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}\.(duckdb|db)$")]
"""A file in a folder that it has to itself; what is before the dot is the name of its database in SQL."""


class EnvReference(StrictModel):
    """A value held by an environment variable of the process that needs it."""

    env: VariableName = Field(description="Name of the environment variable.")


class FileReference(StrictModel):
    """A value held by a file, such as a mounted Docker secret; surrounding white space is dropped."""

    file: str = Field(min_length=1, description="Path of the file that holds the value.")


class KubernetesSecretKey(StrictModel):
    """Name and key of a Kubernetes Secret."""

    name: ObjectName = Field(description="Name of the Secret, in the platform's namespace.")
    key: str = Field(pattern=r"^[A-Za-z0-9._-]{1,253}$", description="Key inside the Secret.")


class SecretReference(StrictModel):
    """A value held by a Kubernetes Secret in the platform's namespace; on Kubernetes only."""

    secret: KubernetesSecretKey = Field(description="The Secret and its key.")


PoolName = Annotated[str, StringConstraints(pattern=r"^\S+$")]
"""A name that Dagster takes for a pool."""

MOST_OF_A_POOL = 1000
"""Dagster's own bound of a pool's limit."""

TagKey = Annotated[str, StringConstraints(pattern=r"^\S(.*\S)?$")]
"""The key of a run's tag."""

RunCount = Annotated[int, Field(ge=0, le=10_000)]
"""A number of runs."""


def _reference_kind(value: Any) -> str | None:
    """Which kind of reference a value is, so that its errors speak of that kind alone."""
    if isinstance(value, str):
        return "a value"
    if isinstance(value, StrictModel):
        value = dict(value)
    if not isinstance(value, dict):
        return None
    kinds = [kind for kind in ("env", "file", "secret") if kind in value]
    return f"a {kinds[0]} reference" if len(kinds) == 1 else None


Reference = Annotated[
    Annotated[EnvReference, Tag("a env reference")]
    | Annotated[FileReference, Tag("a file reference")]
    | Annotated[SecretReference, Tag("a secret reference")],
    Discriminator(_reference_kind),
]
"""Where a secret is, never the secret itself."""

ValueOrReference = Annotated[
    Annotated[str, Tag("a value")]
    | Annotated[EnvReference, Tag("a env reference")]
    | Annotated[FileReference, Tag("a file reference")]
    | Annotated[SecretReference, Tag("a secret reference")],
    Discriminator(_reference_kind),
]


class ResourceProfile(StrictModel):
    """What a run may use, by name."""

    requests: Resources = Field(default=Resources(), description="What the run is sure to get.")
    limits: Limits = Field(
        default=Limits(),
        description="What the run may use at most. Default: cpu 1 and memory 1Gi, or the request where that is more.",
    )
    env: dict[VariableName, str] = Field(
        default={},
        description="Environment of the run. DUCKDB_* values given here replace the derived ones.",
    )
    on_oom: str | None = Field(
        default=None,
        description="Profile with more memory that a run is retried on when it is out of memory.",
    )
    max_oom_retries: int | None = Field(
        default=None,
        ge=0,
        le=10,
        description="How often a run that began on this profile is so retried, on on_oom's own on_oom too. Default: 1 with on_oom.",
    )


class Infrastructure(StrictModel):
    """What runs are made of."""

    resource_profiles: dict[Name, ResourceProfile] = Field(
        default={},
        description="Resource profiles by name. `default` exists unless given: requests 250m and 512Mi, limits 1 and 1Gi.",
    )


class ComputeLogs(StrictModel):
    """Where the output of steps, sensors and schedules goes."""

    enabled: bool = Field(default=True, description="Off: logs stay in the container's local_dir.")
    manager_type: Literal["s3"] = Field(
        default="s3", description="The kind of store; S3 is the one there is."
    )
    storage_ref: str = Field(default="default", description="A name under storage.")
    bucket: BucketName = Field(default="dagster-compute-logs", description="Bucket of the logs.")
    prefix: Prefix = Field(default="compute-logs/", description="Folder inside the bucket.")
    retention_days: int = Field(default=30, ge=1, le=3650, description="Days until S3 deletes a log.")
    local_dir: str = Field(
        default="/tmp/dagster-compute-logs",  # noqa: S108 - a container's own scratch
        min_length=1,
        description="Where output is written while it is captured.",
    )
    upload_interval: int = Field(
        default=30, ge=1, le=3600, description="Seconds between uploads while a step runs."
    )


class Observability(StrictModel):
    """What can be seen of runs."""

    compute_logs: ComputeLogs = Field(
        default=ComputeLogs(), description="Output of steps, sensors and schedules."
    )


class Postgres(StrictModel):
    """The database of the instance, the ledger and the lake's catalogue."""

    bundled: bool | None = Field(
        default=None,
        description="Use the Postgres that the runtime brings. Default: true unless host is given.",
    )
    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:_-]*[A-Za-z0-9])?$")] | None = (
        Field(default=None, description="Host name or address of your own Postgres.")
    )
    port: int = Field(default=5432, ge=1, le=65535, description="Port of your own Postgres.")
    database: str = Field(default="slipway", min_length=1, description="Database on your own Postgres.")
    user: Reference | None = Field(default=None, description="User of your own Postgres.")
    password: Reference | None = Field(default=None, description="Password of that user.")
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = Field(
        default=None, description="libpq's sslmode for your own Postgres."
    )

    @property
    def is_bundled(self) -> bool:
        """Whether the runtime fills in address and credentials."""
        return self.host is None


class Storage(StrictModel):
    """An S3 endpoint. Without credentials, the ambient ones are used (an AWS role, a web identity)."""

    bundled: bool | None = Field(
        default=None,
        description="Use the S3 that the runtime brings, with its address and credentials. Default: false.",
    )
    endpoint: Url | None = Field(default=None, description="URL of the S3 API; none means AWS itself.")
    public_endpoint: Url | None = Field(
        default=None, description="URL of the same S3 as browsers reach it, for links to logs."
    )
    region: str = Field(default="us-east-1", min_length=1, description="Region of the buckets.")
    path_style: bool = Field(
        default=False,
        description="Bucket in the path instead of the host name, as most other makes of S3 want it.",
    )
    access_key_id: Reference | None = Field(
        default=None, description="Access key; goes with secret_access_key."
    )
    secret_access_key: Reference | None = Field(
        default=None, description="Secret key; goes with access_key_id."
    )


class Lake(StrictModel):
    """DuckLake: each location's catalogue is a schema in Postgres, its data a folder in this bucket."""

    storage_ref: str = Field(default="default", description="A name under storage.")
    bucket: BucketName = Field(default="slipway-lake", description="Bucket of the data files.")
    prefix: Prefix = Field(default="", description="Folder inside the bucket.")


class Landing(StrictModel):
    """A bucket and folder that files arrive in."""

    storage_ref: str = Field(default="default", description="A name under storage.")
    bucket: BucketName = Field(description="Bucket that files arrive in.")
    prefix: Prefix = Field(default="", description="Folder inside the bucket; other keys are left alone.")
    mode: Literal["events", "list"] = Field(
        default="events", description="events: SQS and a reconcile listing. list: the listing alone."
    )


class CodeLocation(StrictModel):
    """A project: its code, its image and its defaults."""

    path: str = Field(min_length=1, description="Folder of the project, relative to platform.yaml.")
    image: Image = Field(description="Image of the location's code server and runs.")
    python: Annotated[str, StringConstraints(pattern=r"^3\.1[1-3]$")] = Field(
        default="3.13", description="Python of the location's image; a laptop uses what it has, and says so."
    )
    profile: str | None = Field(default=None, description="Resource profile of the location's runs.")
    duckdb_file: DuckDBFileName | None = Field(
        default=None,
        description="DuckDB file, such as warehouse.duckdb, that the location's runs have instead of a lake.",
    )
    env: dict[VariableName, ValueOrReference] = Field(
        default={}, description="Environment of the location's code server and runs, and of no other's."
    )


class TagLimit(StrictModel):
    """How many runs with a tag may go on at once."""

    limit: RunCount | None = Field(default=None, description="Runs at once with the tag, whatever its value.")
    each_value: RunCount | None = Field(
        default=None, description="Runs at once with any one value of the tag."
    )
    values: dict[str, RunCount] = Field(default={}, description="Runs at once with this value of the tag.")


class Concurrency(StrictModel):
    """How much may run at once."""

    max_concurrent_runs: RunCount = Field(
        default=4, description="Runs at once; the others wait in the queue. 0 starts none."
    )
    default_pool_limit: Annotated[int, Field(ge=1, le=MOST_OF_A_POOL)] = Field(
        default=1, description="Steps at once of a pool that has no limit of its own."
    )
    pools: dict[PoolName, Annotated[int, Field(ge=0, le=MOST_OF_A_POOL)]] = Field(
        default={}, description="Steps at once, by pool. 0 starts none."
    )
    tags: dict[TagKey, TagLimit] = Field(default={}, description="Limits of runs by the key of a run tag.")


class Defaults(StrictModel):
    """What holds where nothing nearer says otherwise."""

    profile: str = Field(default="default", description="Resource profile of runs whose location names none.")
    start_timeout: int = Field(
        default=180,
        ge=10,
        le=7200,
        description="Seconds that a launched run may take until it has started; then it fails with the reason.",
    )


class Platform(StrictModel):
    """platform.yaml as a whole."""

    infrastructure: Infrastructure = Field(default=Infrastructure(), description="What runs are made of.")
    observability: Observability = Field(default=Observability(), description="What can be seen of runs.")
    postgres: Postgres = Field(
        default=Postgres(), description="The database; bundled unless a host is given."
    )
    storage: dict[Name, Storage] = Field(
        default={}, description="S3 endpoints by name. `default` exists unless given: the bundled one."
    )
    lake: Lake = Field(default=Lake(), description="Where the tables of the code locations are.")
    landing: dict[Name, Landing] = Field(default={}, description="Landings by name.")
    code_locations: dict[Name, CodeLocation] = Field(default={}, description="Projects by name.")
    defaults: Defaults = Field(
        default=Defaults(), description="What holds where nothing nearer says otherwise."
    )
    concurrency: Concurrency = Field(default=Concurrency(), description="How much may run at once.")
    kubernetes: Kubernetes = Field(
        default=Kubernetes(),
        description="What the chart and its run pods need beside; other runtimes read none of it.",
    )


DEFAULT_PROFILE = ResourceProfile(
    requests=Resources(cpu="250m", memory="512Mi"), limits=Limits(cpu="1", memory="1Gi")
)
"""The profile `default` of a platform that does not give one."""

DEFAULT_OOM_RETRIES = 1
"""max_oom_retries of a profile that gives on_oom alone."""

SCRATCH_FACTOR = 20
"""limits.ephemeral-storage of a profile that does not give one, in memory limits.

A sort of ten times the memory limit spilled up to 1.45 times its data; what is left is for a run's other files."""
