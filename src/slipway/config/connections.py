"""Resolves what platform.yaml refers to: secrets, and the addresses of bundled services."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from slipway.config.errors import UserError
from slipway.config.model import EnvReference, FileReference, Platform, Reference, Storage


@dataclass(frozen=True)
class S3Settings:
    """How to reach an S3. No endpoint means AWS itself, no key the ambient credentials."""

    endpoint: str | None
    public_endpoint: str | None
    region: str
    path_style: bool
    access_key_id: str | None = field(repr=False)
    secret_access_key: str | None = field(repr=False)


def resolve(reference: Reference, env: Mapping[str, str] = os.environ, key: str = "a reference") -> str:
    """The value behind a reference.

    Raises UserError when the variable is not set, the file cannot be read, or the reference is to a Kubernetes
    Secret, which only a cluster resolves.
    """
    if isinstance(reference, EnvReference):
        try:
            return env[reference.env]
        except KeyError:
            raise UserError(
                f"{key}: the environment variable {reference.env} is not set", f"set {reference.env} and start again"
            ) from None
    if isinstance(reference, FileReference):
        try:
            return Path(reference.file).read_text().strip()
        except OSError as error:
            raise UserError(f"{key}: cannot read {reference.file}: {error.strerror}", "mount or create the file") from None
    raise UserError(
        f"{key}: the Kubernetes Secret {reference.secret.name} cannot be read outside a cluster",
        "use {env: NAME} or {file: PATH} on this runtime",
    )


def postgres_url(platform: Platform, env: Mapping[str, str] = os.environ) -> str:
    """The URL of the platform's Postgres, password included: not for logs."""
    postgres = platform.postgres
    if postgres.is_bundled:
        return _bundled(env, "SLIPWAY_POSTGRES_URL", "Postgres", "postgres.host")
    user = resolve(postgres.user, env, "postgres.user") if postgres.user else "slipway"
    password = f":{quote(resolve(postgres.password, env, 'postgres.password'), safe='')}" if postgres.password else ""
    options = f"?sslmode={postgres.sslmode}" if postgres.sslmode else ""
    return (
        f"postgresql://{quote(user, safe='')}{password}@{postgres.host}:{postgres.port}"
        f"/{quote(postgres.database, safe='')}{options}"
    )


def s3_settings(platform: Platform, storage_ref: str, env: Mapping[str, str] = os.environ) -> S3Settings:
    """The settings of a storage by its name in platform.yaml."""
    storage = platform.storage.get(storage_ref) or (Storage(bundled=True) if storage_ref == "default" else None)
    if storage is None:
        raise UserError(f"storage.{storage_ref} is not declared", f"declared are {', '.join(platform.storage) or 'none'}")
    key = f"storage.{storage_ref}"
    if storage.bundled:
        return S3Settings(
            endpoint=_bundled(env, "SLIPWAY_S3_ENDPOINT", "S3", f"{key}.endpoint"),
            public_endpoint=env.get("SLIPWAY_S3_PUBLIC_ENDPOINT"),
            region=storage.region,
            path_style=True,
            access_key_id=_bundled(env, "SLIPWAY_S3_ACCESS_KEY_ID", "S3", f"{key}.access_key_id"),
            secret_access_key=_bundled(env, "SLIPWAY_S3_SECRET_ACCESS_KEY", "S3", f"{key}.secret_access_key"),
        )
    return S3Settings(
        endpoint=storage.endpoint,
        public_endpoint=storage.public_endpoint,
        region=storage.region,
        path_style=storage.path_style,
        access_key_id=resolve(storage.access_key_id, env, f"{key}.access_key_id") if storage.access_key_id else None,
        secret_access_key=(
            resolve(storage.secret_access_key, env, f"{key}.secret_access_key") if storage.secret_access_key else None
        ),
    )


def _bundled(env: Mapping[str, str], variable: str, what: str, key: str) -> str:
    try:
        return env[variable]
    except KeyError:
        raise UserError(
            f"platform.yaml uses the bundled {what}, but no runtime gave its address ({variable} is not set)",
            f"start it through `slipway up` or `docker compose up`, or name your own with {key}",
        ) from None
