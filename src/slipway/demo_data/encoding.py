"""Rows as bytes: CSV, JSON lines and Parquet, gzipped or not, the same bytes for the same rows."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path

import duckdb

from slipway.demo_data.plan import COLUMNS, Row


class Encoder:
    """Writes rows as bytes. Use it as a context manager: it keeps a DuckDB and a scratch folder."""

    def __enter__(self) -> Encoder:
        """Open DuckDB and the scratch folder."""
        self._connection = duckdb.connect(config={"threads": 1})
        self._scratch = tempfile.TemporaryDirectory()
        return self

    def __exit__(self, *exception: object) -> None:
        """Remove them."""
        self._connection.close()
        self._scratch.cleanup()

    def encode(self, entity: str, rows: list[Row], suffix: str) -> bytes:
        """The rows of an entity in the format that a file name's suffix says."""
        kind, _, packing = suffix.partition(".")
        data = {"csv": as_csv, "jsonl": as_json_lines, "parquet": self._as_parquet}[kind](entity, rows)
        return gzip.compress(data, mtime=0) if packing == "gz" else data

    def _as_parquet(self, entity: str, rows: list[Row]) -> bytes:
        source, target = (Path(self._scratch.name) / name for name in ("rows.csv", "rows.parquet"))
        source.write_bytes(as_csv(entity, rows))
        self._connection.read_csv(str(source), header=True, columns=COLUMNS[entity]).write_parquet(
            str(target)
        )
        return target.read_bytes()


def as_csv(entity: str, rows: list[Row]) -> bytes:
    """The rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(COLUMNS[entity]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_json_lines(entity: str, rows: list[Row]) -> bytes:
    """The rows as one JSON object a line; numbers are numbers."""
    types = COLUMNS[entity]

    def value(column: str, text: str) -> str | float:
        return float(text) if types[column] == "DOUBLE" else text

    return b"".join(
        json.dumps({column: value(column, text) for column, text in row.items()}).encode() + b"\n"
        for row in rows
    )
