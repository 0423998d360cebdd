"""The typed model of platform.yaml.

Every key here has a consumer; a key that changes nothing is a bug. The module knows nothing of files,
environments or runtimes: `slipway.config.loader` reads text into it and `slipway.config.connections`
resolves what it refers to.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
"""A name that is valid as a Python module, a DuckDB schema and, with `_` as `-`, a Kubernetes object."""

BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]


class StrictModel(BaseModel):
    """Base of every section: unknown keys are errors and values are never changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EnvReference(StrictModel):
    """A value held by an environment variable of the process that needs it."""

    env: str = Field(description="Name of the environment variable.", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


class FileReference(StrictModel):
    """A value held by a file, such as a mounted Docker secret; surrounding white space is dropped."""

    file: str = Field(description="Path of the file that holds the value.")


class KubernetesSecretKey(StrictModel):
    """Name and key of a Kubernetes Secret."""

    name: str
    key: str


class SecretReference(StrictModel):
    """A value held by a Kubernetes Secret in the platform's namespace."""

    secret: KubernetesSecretKey


Reference = EnvReference | FileReference | SecretReference
"""Where a secret is, never the secret itself."""


class Resources(StrictModel):
    """Amounts in Kubernetes' quantity grammar."""

    cpu: str | None = Field(default=None, description="CPU cores, such as 500m or 2.")
    memory: str | None = Field(default=None, description="Bytes, such as 512Mi or 4Gi.")


class Limits(Resources):
    """The most that a run may use."""

    ephemeral_storage: str | None = Field(
        default=None,
        alias="ephemeral-storage",
        description="Size of the run's scratch, into which DuckDB spills. Default: 10Gi.",
    )


class ResourceProfile(StrictModel):
    """What a run may use, by name."""

    requests: Resources = Field(default=Resources(), description="What the run is sure to get.")
    limits: Limits = Field(default=Limits(cpu="1", memory="1Gi"), description="What the run may use at most.")
    env: dict[str, str] = Field(
        default={},
        description="Environment of the run. DUCKDB_* values given here replace the derived ones.",
    )


class Infrastructure(StrictModel):
    """What runs are made of."""

    resource_profiles: dict[Name, ResourceProfile] = Field(default={}, description="Resource profiles by name.")


class ComputeLogs(StrictModel):
    """Where the output of steps, sensors and schedules goes."""

    enabled: bool = Field(default=True, description="Off: logs stay in the container's local_dir.")
    manager_type: Literal["s3"] = "s3"
    storage_ref: str = Field(default="default", description="A name under storage.")
    bucket: BucketName = "dagster-compute-logs"
    prefix: str = Field(default="compute-logs/", description="Key prefix inside the bucket.")
    retention_days: int = Field(default=30, ge=1, le=3650, description="Days until S3 deletes a log.")
    local_dir: str = Field(
        default="/tmp/dagster-compute-logs",  # noqa: S108 - a container's own scratch
        description="Where output is written while it is captured.",
    )
    upload_interval: int = Field(default=30, ge=1, le=3600, description="Seconds between uploads while a step runs.")


class Observability(StrictModel):
    """What can be seen of runs."""

    compute_logs: ComputeLogs = ComputeLogs()


class Postgres(StrictModel):
    """The database of the instance, the ledger and the lake's catalogue."""

    bundled: bool | None = Field(
        default=None, description="Use the Postgres that the runtime brings. Default: true unless host is given."
    )
    host: str | None = None
    port: int = Field(default=5432, ge=1, le=65535)
    database: str = "slipway"
    user: Reference | None = None
    password: Reference | None = None
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = None

    @property
    def is_bundled(self) -> bool:
        """Whether the runtime fills in address and credentials."""
        return self.host is None

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Postgres:
        if self.bundled is True and self.host is not None:
            raise ValueError("bundled: true and host exclude each other; remove one")
        if self.bundled is False and self.host is None:
            raise ValueError("bundled: false needs the host of your Postgres")
        return self


class Storage(StrictModel):
    """An S3 endpoint. Without credentials, the ambient ones are used (an AWS role, a web identity)."""

    bundled: bool | None = Field(
        default=None, description="Use the S3 that the runtime brings. Its address and credentials come from there."
    )
    endpoint: str | None = Field(default=None, description="URL of the S3 API; none means AWS itself.")
    public_endpoint: str | None = Field(
        default=None, description="URL of the same S3 as browsers reach it, for links to logs."
    )
    region: str = "us-east-1"
    path_style: bool = Field(default=False, description="bucket in the path instead of the host name.")
    access_key_id: Reference | None = None
    secret_access_key: Reference | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Storage:
        if self.bundled and (self.endpoint or self.public_endpoint or self.access_key_id or self.secret_access_key):
            raise ValueError("bundled: true brings its own endpoint and credentials; remove them or bundled")
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key go together; give both or neither")
        return self


class Lake(StrictModel):
    """DuckLake: each location's catalogue is a schema in Postgres, its data a prefix in this bucket."""

    storage_ref: str = "default"
    bucket: BucketName = "slipway-lake"
    prefix: str = ""


class Landing(StrictModel):
    """A bucket and prefix that files arrive in."""

    storage_ref: str = "default"
    bucket: BucketName
    prefix: str = ""
    mode: Literal["events", "list"] = Field(
        default="events", description="events: SQS and a reconcile listing. list: the listing alone."
    )


class Image(StrictModel):
    """A container image by repository and tag."""

    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


class CodeLocation(StrictModel):
    """A project: its code, its image and its defaults."""

    path: str = Field(description="Folder of the project, relative to platform.yaml.")
    image: Image
    python: Annotated[str, StringConstraints(pattern=r"^3\.1[1-3]$")] = Field(
        default="3.13", description="Python of the location's image; a laptop uses what it has, and says so."
    )
    profile: str | None = Field(default=None, description="Resource profile of the location's runs.")
    env: dict[str, str | Reference] = Field(
        default={}, description="Environment of the location's code server and runs, and of no other's."
    )


class Defaults(StrictModel):
    """What holds where nothing nearer says otherwise."""

    profile: str = Field(default="default", description="Resource profile of runs whose location names none.")


class Platform(StrictModel):
    """platform.yaml as a whole."""

    infrastructure: Infrastructure = Infrastructure()
    observability: Observability = Observability()
    postgres: Postgres = Postgres()
    storage: dict[Name, Storage] = Field(default={}, description="S3 endpoints by name; default is bundled unless given.")
    lake: Lake = Lake()
    landing: dict[Name, Landing] = Field(default={}, description="Landings by name.")
    code_locations: dict[Name, CodeLocation] = Field(default={}, description="Projects by name.")
    defaults: Defaults = Defaults()
