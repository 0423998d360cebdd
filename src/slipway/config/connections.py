"""Addresses and credentials: what platform.yaml names, with its references resolved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from slipway.config.errors import UserError
from slipway.config.model import EnvReference, FileReference, Platform, Reference, Storage

POSTGRES_URL = "SLIPWAY_POSTGRES_URL"
S3_ENDPOINT = "SLIPWAY_S3_ENDPOINT"
S3_PUBLIC_ENDPOINT = "SLIPWAY_S3_PUBLIC_ENDPOINT"
S3_ACCESS_KEY_ID = "SLIPWAY_S3_ACCESS_KEY_ID"
S3_SECRET_ACCESS_KEY = "SLIPWAY_S3_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a variable

_BUNDLED_HINT = (
    "the runtime sets it (`slipway up`, docker compose); outside of one, give {section} in platform.yaml"
)


@dataclass(frozen=True)
class S3Settings:
    """An S3 endpoint with its credentials; without them, the ambient ones of the process are used."""

    endpoint: str | None
    """URL of the S3 API; None is AWS itself."""
    public_endpoint: str | None
    """URL of the same S3 as browsers reach it."""
    region: str
    path_style: bool
    access_key_id: str | None
    secret_access_key: str | None = field(repr=False)


def resolve(reference: Reference, env: Mapping[str, str] = os.environ) -> str:
    """The value that a reference stands for.

    Raises:
        UserError: there is none here: the variable is not set, the file cannot be read or is empty, or the
            value is in a Kubernetes Secret, which only the chart can give to a process.
    """
    if isinstance(reference, EnvReference):
        value = env.get(reference.env)
        if not value:
            state = "not set" if value is None else "empty"
            raise UserError(
                f"environment variable {reference.env} is {state}",
                f"set {reference.env} for the process that needs it, or change the reference in platform.yaml",
            )
        return value
    if isinstance(reference, FileReference):
        return _file_value(Path(reference.file))
    secret = reference.secret
    raise UserError(
        f"key {secret.key} of the Kubernetes Secret {secret.name} cannot be read outside Kubernetes",
        "use {env: NAME} or {file: PATH} where the platform does not run on Kubernetes",
    )


def postgres_url(platform: Platform, env: Mapping[str, str] = os.environ) -> str:
    """URL of the platform's Postgres, credentials included: never log it.

    Raises:
        UserError: it is bundled and no runtime says where, or a reference has no value.
    """
    postgres = platform.postgres
    if postgres.host is None:
        return _bundled(POSTGRES_URL, "postgres.host", env)
    user = _credential("postgres.user", postgres.user, env)
    password = _credential("postgres.password", postgres.password, env)
    credentials = quote(user, safe="") if user is not None else ""
    if password is not None:
        credentials += f":{quote(password, safe='')}"
    host = f"[{postgres.host}]" if ":" in postgres.host else postgres.host
    query = f"?sslmode={postgres.sslmode}" if postgres.sslmode else ""
    at = "@" if credentials else ""
    return f"postgresql://{credentials}{at}{host}:{postgres.port}/{quote(postgres.database, safe='')}{query}"


def s3_settings(platform: Platform, storage_ref: str, env: Mapping[str, str] = os.environ) -> S3Settings:
    """Endpoint and credentials of a storage of platform.yaml.

    Raises:
        UserError: there is no such storage, it is bundled and no runtime says where, or a reference has no value.
    """
    storage = platform.storage.get(storage_ref)
    if storage is None:
        if storage_ref != "default":
            known = ", ".join(sorted({"default", *platform.storage}))
            raise UserError(f"there is no storage '{storage_ref}' in platform.yaml; it has: {known}")
        storage = Storage(bundled=True)
    key = f"storage.{storage_ref}"
    if storage.bundled:
        endpoint = _bundled(S3_ENDPOINT, key, env)
        return S3Settings(
            endpoint=endpoint,
            public_endpoint=env.get(S3_PUBLIC_ENDPOINT) or endpoint,
            region=storage.region,
            path_style=True,
            access_key_id=_bundled(S3_ACCESS_KEY_ID, key, env),
            secret_access_key=_bundled(S3_SECRET_ACCESS_KEY, key, env),
        )
    return S3Settings(
        endpoint=storage.endpoint,
        public_endpoint=storage.public_endpoint or storage.endpoint,
        region=storage.region,
        path_style=storage.path_style,
        access_key_id=_credential(f"{key}.access_key_id", storage.access_key_id, env),
        secret_access_key=_credential(f"{key}.secret_access_key", storage.secret_access_key, env),
    )


def _bundled(variable: str, section: str, env: Mapping[str, str]) -> str:
    value = env.get(variable)
    if not value:
        raise UserError(
            f"{section.split('.')[0]} is bundled, and {variable} does not say where",
            _BUNDLED_HINT.format(section=section),
        )
    return value


def _credential(key: str, reference: Reference | None, env: Mapping[str, str]) -> str | None:
    if reference is None:
        return None
    try:
        return resolve(reference, env)
    except UserError as error:
        raise UserError(f"{key}: {error.message}", error.hint) from error


def _file_value(path: Path) -> str:
    hint = "mount the file where platform.yaml says, readable by this process"
    try:
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UserError(f"file {path}: {error.strerror or error}", hint) from error
    except UnicodeDecodeError as error:
        raise UserError(f"file {path} is not UTF-8 text", hint) from error
    if not value:
        raise UserError(f"file {path} is empty", hint)
    return value
