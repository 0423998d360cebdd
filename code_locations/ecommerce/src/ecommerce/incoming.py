"""Reading landed files into DuckDB: together where they are sound, one by one where one is not."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable, Sequence

import duckdb
from slipway.landing import LandedFile

from ecommerce.entities import ENTITIES, Entity, entity_of
from ecommerce.tables import texts

CHUNK_BYTES = 1024 * 1024

Quarantine = Callable[[LandedFile, str], None]


class Incoming:
    """The rows of a batch of files, in tables `<entity>` of the connection's own in-memory database.

    Each table has the entity's columns and the file's `_key` and `_version`. `files` says which files are in them.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, quarantine: Quarantine) -> None:
        self._connection = connection
        self._quarantine = quarantine
        self.files: dict[str, list[LandedFile]] = {name: [] for name in ENTITIES}
        connection.execute("CREATE TABLE memory.main._files (path VARCHAR, key VARCHAR, version VARCHAR)")
        for entity in ENTITIES.values():
            columns = ", ".join(f'"{name}" {kind}' for name, kind in entity.columns.items())
            connection.execute(
                f"CREATE TABLE memory.main.{entity.name} ({columns}, _key VARCHAR, _version VARCHAR)"
            )

    def read(self, files: Sequence[LandedFile]) -> None:
        """Read files, of two versions of one key the later; what cannot be read is quarantined with its error."""
        newest = {file.key: file for file in files}.values()
        known: list[tuple[str, str, LandedFile]] = []
        for file in newest:
            try:
                known.append((entity_of(file.key).name, _form(file.key), file))
            except ValueError as error:
                self._quarantine(file, str(error))
        landed = [file for _, _, file in known]
        self._connection.execute(f"""
            INSERT INTO memory.main._files
            SELECT unnest({texts(str(file.path) for file in landed)}),
                   unnest({texts(file.key for file in landed)}), unnest({texts(file.version for file in landed)})
        """)
        known.sort(key=lambda item: item[:2])
        for (name, form), group in itertools.groupby(known, key=lambda item: item[:2]):
            self._load(ENTITIES[name], form, [file for _, _, file in group])

    def _load(self, entity: Entity, form: str, files: list[LandedFile]) -> None:
        """Load files at once; when that fails, halve them until the one that fails is alone."""
        try:
            for file in files:
                _check(entity, form, file)
            self._connection.execute(_insert(entity, form, files))
        except (duckdb.Error, ValueError, OSError, EOFError) as error:
            if len(files) == 1:
                self._quarantine(files[0], _said(error, files[0]))
                return
            middle = len(files) // 2
            self._load(entity, form, files[:middle])
            self._load(entity, form, files[middle:])
        else:
            self.files[entity.name].extend(files)


def _form(key: str) -> str:
    name = key.removesuffix(".gz")
    for form in ("csv", "jsonl", "parquet"):
        if name.endswith(f".{form}"):
            return form
    raise ValueError("not a .csv, .jsonl or .parquet file, nor one of these with .gz")


def _check(entity: Entity, form: str, file: LandedFile) -> None:
    """What DuckDB lets pass: a gzip that ends too soon, and a CSV whose header is another than the columns given.

    Raises:
        ValueError: the header is not the entity's.
        EOFError, OSError: the gzip is cut off or damaged.
    """
    zipped = file.path.name.endswith(".gz")
    with gzip.open(file.path) if zipped else file.path.open("rb") as content:
        header = content.readline().decode(errors="replace").strip()
        while zipped and content.read(CHUNK_BYTES):
            pass
    if form == "csv" and header != ",".join(entity.columns):
        raise ValueError(f"the header is {header[:200]!r}, expected {','.join(entity.columns)!r}")


def _insert(entity: Entity, form: str, files: list[LandedFile]) -> str:
    paths = texts(str(file.path) for file in files)
    columns = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in entity.columns.items()) + "}"
    source = {
        "csv": f"""read_csv({paths}, header = true, auto_detect = false, delim = ',', quote = '"', escape = '"',
                            columns = {columns}, filename = true)""",
        "jsonl": f"read_json({paths}, format = 'newline_delimited', columns = {columns}, filename = true)",
        "parquet": f"read_parquet({paths}, filename = true)",
    }[form]
    keys = " AND ".join(f'rows."{column}" IS NOT NULL' for column in entity.key)
    values = ", ".join(f'CAST(rows."{name}" AS {kind})' for name, kind in entity.columns.items())
    return f"""
        INSERT INTO memory.main.{entity.name}
        SELECT {values}, file.key,
               CASE WHEN {keys} THEN file.version ELSE error('a row without {", ".join(entity.key)}') END
        FROM {source} rows JOIN memory.main._files file ON file.path = rows.filename
    """


def _said(error: BaseException, file: LandedFile) -> str:
    text = str(error).replace(str(file.path), file.key)
    return f"{type(error).__name__}: {text[:1000]}"
