"""The compute-log manager that dagster.yaml names: captures output and keeps it in the S3 of platform.yaml."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from dagster import DagsterInstance
from dagster._core.storage.compute_log_manager import (
    CapturedLogContext,
    CapturedLogMetadata,
    CapturedLogSubscription,
    ComputeIOType,
    ComputeLogManager,
)
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from slipway import aws, config
from slipway.config.presence import development_folder, is_development
from slipway.logs.capture import captured
from slipway.logs.files import LocalLogs
from slipway.logs.patience import Patience
from slipway.logs.settings import LogSettings, log_settings
from slipway.logs.shipment import Shipment
from slipway.logs.store import StoreUnavailable
from slipway.logs.subscriptions import Subscriptions
from slipway.logs.ticks import TickLogs

RUN_LOGS = "compute_logs"
"""Second part of the log key of a run's step: run id, this, and a name that is new for each attempt."""


class ComputeLogNotStored(Exception):
    """A step's log is not in S3. Dagster shows it among the run's events; the run goes on."""


class SlipwayComputeLogManager(ComputeLogManager[DagsterInstance], ConfigurableClass):
    """Logs in S3: partly there while a step runs, whole when it ends, is cancelled or fails.

    S3 never fails a step, and a run waits at most some seconds in all for one that does not answer.
    """

    def __init__(self, settings: LogSettings, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._store = settings.store
        self._interval = settings.interval
        self._files = LocalLogs(settings.local_dir)
        self._ticks = TickLogs(settings.store)
        self._subscriptions = Subscriptions(self.is_capture_complete)

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """Dagster's record of where this class was configured."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is configured in dagster.yaml."""
        return {}

    @classmethod
    def from_config_value(  # type: ignore[override]  # Dagster takes any compute-log manager
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> ComputeLogManager[DagsterInstance]:
        """Made by Dagster when logs are first used; its own local manager where platform.yaml turns S3 off.

        Local too under `dg dev`, where there is no platform.

        Raises:
            UserError: platform.yaml cannot be used.
        """
        if is_development(os.environ):
            return LocalComputeLogManager(str(development_folder(Path.cwd()) / "logs"), inst_data=inst_data)
        settings = log_settings(config.current(), os.environ)
        if not settings.enabled:
            return LocalComputeLogManager(str(settings.local_dir), inst_data=inst_data)
        return cls(settings, inst_data=inst_data)

    # Writing

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        """Capture this process's output.

        Raises:
            OSError: the local folder cannot be written; Dagster shows it and runs the step without a log.
            ComputeLogNotStored: at the end, when S3 did not take the log.
        """
        files = self._files.create(log_key)
        aws.load()
        shipment = Shipment(self._store, log_key, files, self._interval)
        shipment.start()
        problem: StoreUnavailable | None = None
        try:
            with captured(files[ComputeIOType.STDOUT], files[ComputeIOType.STDERR]):
                yield CapturedLogContext(log_key)
        finally:
            problem = self._finish(log_key, shipment)
        if problem is not None:
            raise ComputeLogNotStored(str(problem))

    def _finish(self, log_key: Sequence[str], shipment: Shipment) -> StoreUnavailable | None:
        patience = Patience(self._files.folder / log_key[0] / "waited")
        problem = shipment.finish(patience.begin())
        patience.end(in_vain=problem is not None)
        if problem is None:
            self._files.remove(log_key)
        self._files.remove_leftovers()
        return problem

    @contextmanager
    def open_log_stream(  # type: ignore[override]  # upstream's annotation says bytes, its callers write text
        self, log_key: Sequence[str], io_type: ComputeIOType
    ) -> Generator[IO[str] | None, None, None]:
        """A stream for what a sensor, schedule or backfill logs."""
        with self._ticks.stream(log_key, io_type) as stream:
            yield stream

    # Reading

    def is_capture_complete(self, log_key: Sequence[str]) -> bool:
        """Whether nothing more will come: the log is whole, or its run has ended without that."""
        try:
            if self._store.is_finished(log_key):
                return True
        except StoreUnavailable:
            return False
        return self._run_has_ended(log_key)

    def _run_has_ended(self, log_key: Sequence[str]) -> bool:
        if not _is_of_run(log_key) or not self.has_instance:
            return False
        run = self._instance.get_run_by_id(log_key[0])
        return run is None or run.is_finished

    def get_log_data_for_type(
        self, log_key: Sequence[str], io_type: ComputeIOType, offset: int, max_bytes: int | None
    ) -> tuple[bytes | None, int]:
        """Bytes of a log from an offset on, and the offset behind them.

        Where S3 refuses or does not answer, the log says so, and shows what it missed when S3 is back.
        """
        data = self._files.read(log_key, io_type, offset, max_bytes)
        if data is None:
            try:
                data = self._store.read(log_key, io_type, offset, max_bytes)
            except StoreUnavailable as error:
                return _notice(log_key, io_type, str(error)), offset
        return data, offset + len(data or b"")

    def get_log_metadata(self, log_key: Sequence[str]) -> CapturedLogMetadata:
        """Where a log is, and links to it that work in a browser outside the platform's network."""
        return CapturedLogMetadata(
            stdout_location=self._store.location(log_key, ComputeIOType.STDOUT),
            stderr_location=self._store.location(log_key, ComputeIOType.STDERR),
            stdout_download_url=self._link(log_key, ComputeIOType.STDOUT),
            stderr_download_url=self._link(log_key, ComputeIOType.STDERR),
        )

    def _link(self, log_key: Sequence[str], io_type: ComputeIOType) -> str | None:
        try:
            return self._store.link(log_key, io_type)
        except StoreUnavailable:
            return None

    def get_log_keys_for_log_key_prefix(
        self, log_key_prefix: Sequence[str], io_type: ComputeIOType
    ) -> Sequence[list[str]]:
        """The logs right below a prefix, unfinished ones too. Raises StoreUnavailable when S3 cannot tell."""
        names = self._store.names(log_key_prefix, io_type) | self._files.names(log_key_prefix, io_type)
        return [[*log_key_prefix, name] for name in sorted(names)]

    def subscribe(self, log_key: Sequence[str], cursor: str | None = None) -> CapturedLogSubscription:
        """What the UI shows of a log that is being written."""
        subscription = CapturedLogSubscription(self, log_key, cursor)
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: CapturedLogSubscription) -> None:
        """The UI shows something else."""
        self._subscriptions.remove(subscription)

    # Removing

    def delete_logs(self, log_key: Sequence[str] | None = None, prefix: Sequence[str] | None = None) -> None:
        """Delete one log, or all below a prefix. Raises StoreUnavailable when S3 does not."""
        if log_key:
            self._files.remove(log_key)
            self._store.delete(log_key)
        elif prefix:
            self._files.remove_below(prefix)
            self._store.delete_below(prefix)
        else:
            raise ValueError("delete_logs needs a log_key or a prefix")

    def dispose(self) -> None:
        """End the news for subscribers."""
        self._subscriptions.stop()


def _is_of_run(log_key: Sequence[str]) -> bool:
    return len(log_key) == 3 and log_key[1] == RUN_LOGS


def _notice(log_key: Sequence[str], io_type: ComputeIOType, reason: str) -> bytes | None:
    """A log in place of one that cannot be read, in the form in which it is shown."""
    if io_type is not ComputeIOType.STDERR:
        return None
    text = f"This log is not shown: {reason}"
    if _is_of_run(log_key):
        return f"{text}\n".encode()
    record = {"msg": text, "levelname": "ERROR", "levelno": logging.ERROR, "created": time.time()}
    return f"{json.dumps(record)}\n".encode()
