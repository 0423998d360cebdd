"""Addresses and credentials: what platform.yaml names, with its references resolved."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from slipway.config.errors import UserError
from slipway.config.model import (
    EnvReference,
    FileReference,
    Platform,
    Reference,
    SecretReference,
    Storage,
)

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


def secret_variable(name: str, key: str) -> str:
    """The variable in which a pod has the value of a key of a Kubernetes Secret.

    The chart's templates and the launcher give it to the pods that need it, and `resolve` reads it. It is made of
    both names, which may hold what a variable's name may not.
    """
    digest = hashlib.sha256(f"{name}/{key}".encode()).hexdigest()
    return f"SLIPWAY_SECRET_{digest[:16].upper()}"


def resolve(reference: Reference, env: Mapping[str, str] = os.environ) -> str:
    """The value that a reference stands for.

    Raises:
        UserError: there is none here: the variable is not set, the file cannot be read or is empty, or the
            value is in a Kubernetes Secret, which only the chart can give to a process.
    """
    on_kubernetes = env.get("SLIPWAY_RUNTIME") == "kubernetes"
    if isinstance(reference, EnvReference):
        return _variable_value(reference.env, env, on_kubernetes)
    if isinstance(reference, FileReference):
        hint = "mount the file where platform.yaml says, readable by this process"
        if on_kubernetes:
            hint = "a pod has no files of yours: use {secret: {name: NAME, key: KEY}} or {env: NAME} on Kubernetes"
        return _file_value(Path(reference.file), hint)
    return _secret_value(reference, env, on_kubernetes)


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


def _variable_value(name: str, env: Mapping[str, str], on_kubernetes: bool) -> str:
    value = env.get(name)
    if value:
        return value
    hint = f"set {name} for the process that needs it, or change the reference in platform.yaml"
    if on_kubernetes and (secret := env.get("SLIPWAY_ENVIRONMENT_SECRET")):
        hint = f"give the Secret {secret} a key {name}, or change the reference in platform.yaml"
    raise UserError(f"environment variable {name} is {'not set' if value is None else 'empty'}", hint)


def _secret_value(reference: SecretReference, env: Mapping[str, str], on_kubernetes: bool) -> str:
    secret = reference.secret
    what = f"key {secret.key} of the Kubernetes Secret {secret.name}"
    variable = secret_variable(secret.name, secret.key)
    value = env.get(variable)
    if value:
        return value
    if value is not None:
        raise UserError(f"{what} is empty", "give it a value, and start the pods that use it again")
    if on_kubernetes:
        raise UserError(
            f"{what} is not given to this pod ({variable} is not set)",
            "`helm upgrade` with this platform.yaml gives it to the pods that use it",
        )
    raise UserError(
        f"{what} cannot be read outside Kubernetes",
        "use {env: NAME} or {file: PATH} where the platform does not run on Kubernetes",
    )


def _file_value(path: Path, hint: str) -> str:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UserError(f"file {path}: {error.strerror or error}", hint) from error
    except UnicodeDecodeError as error:
        raise UserError(f"file {path} is not UTF-8 text", hint) from error
    if not value:
        raise UserError(f"file {path} is empty", hint)
    return value
