"""A table in a SQLite file: one transaction a batch, exactly once.

SQLite has no decimals and no moments: numbers are bound as text, so that a TEXT column keeps every
digit (an INTEGER, REAL or NUMERIC one makes its own kind of number of it), moments stay ISO 8601
text, booleans are 1 and 0, lists and objects JSON; what a BLOB column gets is read as base64. See
reverse_etl.sql_rows for the promise.
"""

from __future__ import annotations

import binascii
import re
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reverse_etl import sql_rows
from reverse_etl.destination import (
    Batch,
    Capabilities,
    DestinationError,
    RejectError,
    RetryError,
    StopError,
)
from reverse_etl.json_values import bound, family, parse
from reverse_etl.sql_dialect import Staged, Table

INCOMING = "temp.mainstem_incoming"
TYPES = {
    "integer": "INTEGER",
    "double": "REAL",
    "boolean": "BOOLEAN",
    "blob": "BLOB",
}
# the messages that name columns and never a value
NAMED = re.compile(r"(?:UNIQUE|NOT NULL) constraint failed: [\w., ]+")


class Sqlite(sql_rows.SqlTable):
    capabilities = Capabilities(
        max_rows=100_000,
        default_rows=10_000,
        modes=sql_rows.MODES,
        removal=True,
        connection_keys=frozenset({"path", "table"}),
        optional_connection_keys=sql_rows.TABLE_KEYS - {"schema"},
        max_bytes=64_000_000,
        row_overhead=64,
        exactly_once=True,
        cannot=f"{sql_rows.CANNOT} The file has to be on a disk of this machine.",
    )

    engine = "SQLite"
    has_schemas = False

    def __init__(self, connection: Mapping[str, str]) -> None:
        super().__init__(connection)
        self._path = Path(connection["path"]).expanduser().absolute()
        self._con: Any = None

    def open(self) -> None:
        if self._con is not None:
            return
        # a mistyped path must not become a new file
        if not self._path.exists() and not self._may_create:
            raise StopError("connection.path names no file", code="bad_path")
        mode = "rwc" if self._may_create else "rw"
        self._con = sqlite3.connect(
            f"{self._path.as_uri()}?mode={mode}",
            uri=True,
            timeout=self.seconds,
            isolation_level=None,
            # one try at a time, but not always in the thread that opened
            check_same_thread=False,
        )

    def close(self) -> None:
        con, self._con = self._con, None
        if con is not None:
            con.close()

    def begin(self, sync_name: str) -> None:
        # the file has one writer at a time: that is the lock
        self.run("BEGIN IMMEDIATE")

    def run(self, sql: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._con.execute(sql, values).fetchall()
        return rows

    def commit(self) -> None:
        self._con.commit()

    def inspect(self, table: tuple[str, ...]) -> Table | None:
        (name,) = table
        columns = self.run("SELECT name, type, pk FROM pragma_table_info(?)", [name])
        if not columns:
            return None
        unique = self.run(
            """
            SELECT min(c.name) FROM pragma_index_list(?) i, pragma_index_info(i.name) c
            WHERE i."unique" AND NOT i.partial GROUP BY i.name HAVING count(*) = 1""",
            [name],
        )
        primary = [column for column, _, place in columns if place]
        alone = {str(column) for (column,) in unique if column}
        return Table(
            {str(column): str(kind) for column, kind, _ in columns},
            frozenset(alone | (set(primary) if len(primary) == 1 else set())),
        )

    def stage(self, batch: Batch, table: Table, names: tuple[str, ...]) -> Staged:
        columns = "".join(f", {self.quote(name)}" for name in names)
        self.run(f"DROP TABLE IF EXISTS {INCOMING}")
        self.run(f"CREATE TABLE {INCOMING} (operation, row_text, row_key{columns})")
        blobs = {name for name in names if "BLOB" in table.columns[name].upper()}
        marks = ", ".join("?" * (3 + len(names)))
        self._con.executemany(
            f"INSERT INTO {INCOMING} VALUES ({marks})",
            (
                (row.operation, row.key, row.key, *_values(row.fields, names, blobs))
                for row in batch.rows
            ),
        )
        return Staged(INCOMING, names)

    def make_like(self, new: tuple[str, ...]) -> None:
        name, key = self.quote(*new), self.quote(self._key)
        self.run(f"DROP TABLE IF EXISTS {name}")
        self.run(f"CREATE TABLE {name} AS SELECT * FROM {self.quote(*self._target)} LIMIT 0")
        self.run(f"CREATE UNIQUE INDEX {self.quote(f'{new[-1]}_key')} ON {name} ({key})")

    def column_type(self, duckdb_type: str) -> str:
        return TYPES.get(family(duckdb_type), "TEXT")

    def explain(self, error: Exception, *, at_commit: bool) -> DestinationError | None:
        if isinstance(error, UnicodeError | binascii.Error):
            return RejectError(f"a value is no text ({type(error).__name__})", code="bad_value")
        if not isinstance(error, sqlite3.Error):
            return None
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        if name.startswith(("SQLITE_CONSTRAINT", "SQLITE_MISMATCH", "SQLITE_TOOBIG")):
            columns = NAMED.fullmatch(str(error))
            about = columns.group() if columns else name
            refusal = RejectError(f"SQLite refuses a value ({about})", code=name)
            refusal.detail = str(error)
            return refusal
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_FULL")):
            return RetryError(
                f"the file in connection.path is busy or cannot be written ({name})",
                code=name,
                maybe_applied=at_commit and name.startswith("SQLITE_IOERR"),
            )
        return StopError(
            f"SQLite refuses ({name}): look at connection.path and connection.table", code=name
        )


def _values(fields: str, names: Sequence[str], blobs: set[str]) -> list[Any]:
    parsed = parse(fields)
    return [bound(parsed.get(name), is_binary=name in blobs) for name in names]
