"""A MySQL or MariaDB table: one transaction a batch, exactly once.

`ON DUPLICATE KEY UPDATE` would also overwrite somebody else's row that shares another unique value,
so rows are staged in a temporary table with the types of the table's columns, those that are there
are updated by the key column, and the others inserted. The session is strict: a value that does not
fit is refused and never cut. Moments go into DATETIME and TIMESTAMP columns in UTC; what a binary
column gets is read as base64. See reverse_etl.sql_rows for the promise.

`ca_file` makes the connection TLS, checked against that file.
"""

from __future__ import annotations

import binascii
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from reverse_etl import mysql_errors, sql_rows
from reverse_etl.destination import (
    Batch,
    Capabilities,
    DestinationError,
    RejectError,
    RetryError,
    StopError,
)
from reverse_etl.json_values import MOMENT, bound, family, parse
from reverse_etl.sql_dialect import Staged, Table

CONNECT_SECONDS = 10
INCOMING = "mainstem_incoming"
TEXT = "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
TYPES = {
    "integer": "bigint",
    # a column has one number of decimals here: as many as leave 26 digits before the point
    "decimal": "decimal(38,12)",
    "double": "double",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "datetime(6)",
    "blob": "longblob",
    "json": "json",
    "text": TEXT,
}


class Mysql(sql_rows.SqlTable):
    capabilities = Capabilities(
        max_rows=50_000,
        default_rows=5_000,
        modes=sql_rows.MODES,
        removal=True,
        connection_keys=frozenset({"url", "table"}),
        optional_connection_keys=sql_rows.TABLE_KEYS | {"password", "ca_file"},
        secret_keys=frozenset({"password"}),
        max_bytes=12_000_000,
        row_overhead=64,
        exactly_once=True,
        cannot=(
            f"{sql_rows.CANNOT} A row larger than the server's max_allowed_packet is refused; the "
            "table has to be InnoDB; keys are compared as the key column's collation does."
        ),
    )

    engine = "MySQL"
    mark = "%s"
    key_type = "varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    book_types = ("varchar(64)", "varchar(255)", "varchar(64)", "longtext", "datetime")
    now = "utc_timestamp()"
    long_ago = "utc_timestamp() - interval 90 day"
    drop_commits = True

    def __init__(self, connection: Mapping[str, str]) -> None:
        super().__init__(connection)
        try:
            self._url = urlsplit(connection["url"])
            _ = self._url.port
        except ValueError:
            self._url = urlsplit("")
        if self._url.scheme not in {"mysql", "mariadb"}:
            raise StopError(
                "connection.url is no URL such as mysql://user@host:3306/database", code="bad_url"
            )
        ca_file = connection.get("ca_file")
        if ca_file and not Path(ca_file).is_file():
            raise StopError("connection.ca_file names no file", code="bad_ca_file")
        self._con: Any = None
        self._largest = 0
        self._used_at = 0.0

    def open(self) -> None:
        if self._con is not None and time.monotonic() - self._used_at < self.seconds / 2:
            return
        self.close()
        try:
            import pymysql
        except ImportError:
            raise StopError(
                "the driver is not installed: pip install 'mainstem[mysql]'", code="no_driver"
            ) from None
        url = self._url
        ca_file = self.connection.get("ca_file")
        self._con = pymysql.connect(
            host=url.hostname or "127.0.0.1",
            port=url.port or 3306,
            user=unquote(url.username or "") or None,
            password=self.connection.get("password") or unquote(url.password or ""),
            database=unquote(url.path.lstrip("/")) or None,
            charset="utf8mb4",
            connect_timeout=CONNECT_SECONDS,
            read_timeout=self.seconds + 5,
            write_timeout=self.seconds + 5,
            ssl={"ca": ca_file} if ca_file else None,
            autocommit=False,
        )
        whole = max(1, int(self.seconds))
        self.run(
            "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), time_zone = '+00:00', "
            f"innodb_lock_wait_timeout = {whole}, lock_wait_timeout = {whole}, "
            # a client whose machine died must not keep the lock of its sync for hours
            f"wait_timeout = {whole + 5}"
        )
        self._used_at = time.monotonic()
        ((largest,),) = self.run("SELECT @@max_allowed_packet")
        self._largest = int(largest)

    def close(self) -> None:
        con, self._con = self._con, None
        if con is not None and con.open:
            # without a farewell, which would wait for a server that answers nothing
            con._force_close()

    def begin(self, sync_name: str) -> None:
        # the lock comes before the transaction, which sees what was committed until it begins
        lock = "mainstem_" + hashlib.sha256(sync_name.encode()).hexdigest()[:32]
        ((has_lock,),) = self.run(f"SELECT GET_LOCK('{lock}', {max(1, int(self.seconds))})")
        if has_lock != 1:
            raise RetryError(
                "another batch of this sync is at work in the database",
                code="busy",
                maybe_applied=False,
            )
        self.run("START TRANSACTION")

    def run(self, sql: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        with self._con.cursor() as cursor:
            cursor.execute(sql, tuple(values))
            return list(cursor.fetchall())

    def commit(self) -> None:
        self._con.commit()
        self.run("DO RELEASE_ALL_LOCKS()")
        self._used_at = time.monotonic()

    def quote(self, *parts: str) -> str:
        # the driver formats every statement, so a per cent sign is written twice
        return ".".join("`" + part.replace("`", "``").replace("%", "%%") + "`" for part in parts)

    def inspect(self, table: tuple[str, ...]) -> Table | None:
        *schema, name = table
        place = "table_schema = " + ("%s" if schema else "DATABASE()")
        columns = self.run(
            f"""
            SELECT c.column_name, c.column_type, c.character_set_name, c.collation_name, t.engine
            FROM information_schema.columns c
            JOIN information_schema.tables t USING (table_schema, table_name)
            WHERE {place} AND table_name = %s""",
            [*schema, name],
        )
        unique = self.run(
            f"""
            SELECT min(column_name) FROM information_schema.statistics
            WHERE {place} AND table_name = %s AND non_unique = 0
            GROUP BY index_name HAVING count(*) = 1 AND max(sub_part) IS NULL""",
            [*schema, name],
        )
        if not columns:
            return None
        if columns[0][-1] != "InnoDB":
            raise StopError(
                f"the table {name} is not an InnoDB table, and only those have transactions: run: "
                f"ALTER TABLE {self.quote(*table)} ENGINE = InnoDB",
                code="no_transactions",
            )
        return Table(
            {column: _type(kind, chars, order) for column, kind, chars, order, _ in columns},
            frozenset(column for (column,) in unique if column),
        )

    def stage(self, batch: Batch, table: Table, names: tuple[str, ...]) -> Staged:
        if any(len(row.fields) * 2 > self._largest for row in batch.rows):
            raise RejectError(
                "a row is too large for the server's max_allowed_packet", code="too_large"
            )
        types = {name: table.columns[name] for name in names}
        columns = {
            "operation": "varchar(10)",
            "row_text": TEXT,
            "row_key": table.columns[self._key],
        }
        columns |= {self.quote(name): kind for name, kind in types.items()}
        declared = ", ".join(f"{name} {kind} NULL" for name, kind in columns.items())
        self.run(f"DROP TEMPORARY TABLE IF EXISTS {INCOMING}")
        self.run(f"CREATE TEMPORARY TABLE {INCOMING} ({declared})")
        marks = ", ".join(["%s"] * (3 + len(names)))
        with self._con.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {INCOMING} VALUES ({marks})",
                [
                    (row.operation, row.key, row.key, *_bound(parse(row.fields), types))
                    for row in batch.rows
                ],
            )
        return Staged(INCOMING, names)

    def upsert(self, into: str, staged: Staged) -> None:
        self.update(into, staged)
        self.add(into, staged)

    def add(self, into: str, staged: Staged) -> None:
        key = self.quote(self._key)
        self.run(
            f"{self._insert(into, staged)} "
            f"AND NOT EXISTS (SELECT 1 FROM {into} AS t WHERE t.{key} = s.row_key)"
        )

    def update(self, into: str, staged: Staged) -> None:
        names = [self.quote(name) for name in staged.names]
        if names:
            self.run(
                f"UPDATE {into} AS t JOIN {staged.source} AS s ON t.{self.quote(self._key)} = "
                f"s.row_key SET {', '.join(f't.{name} = s.{name}' for name in names)} "
                "WHERE s.operation = 'upsert'"
            )

    def remove(self, into: str, staged: Staged) -> None:
        # by a join, for MariaDB runs the subquery of a DELETE once a row
        self.run(
            f"DELETE t FROM {into} AS t JOIN {staged.source} AS s "
            f"ON t.{self.quote(self._key)} = s.row_key WHERE s.operation = 'remove'"
        )

    def remove_others(self, target: str, kept: str) -> None:
        key = self.quote(self._key)
        self.run(
            f"DELETE t FROM {target} AS t LEFT JOIN {kept} AS k ON k.{key} = t.{key} "
            f"WHERE k.{key} IS NULL"
        )

    def make_like(self, new: tuple[str, ...]) -> None:
        name = self.quote(*new)
        self.run(f"DROP TABLE IF EXISTS {name}")
        self.run(f"CREATE TABLE {name} LIKE {self.quote(*self._target)}")

    def column_type(self, duckdb_type: str) -> str:
        kind = family(duckdb_type)
        is_exact = kind == "decimal" and duckdb_type.upper().startswith("DECIMAL(")
        return duckdb_type.lower() if is_exact else TYPES[kind]

    def explain(self, error: Exception, *, at_commit: bool) -> DestinationError | None:
        if isinstance(error, UnicodeError | binascii.Error):
            return RejectError(f"a value is no text ({type(error).__name__})", code="bad_value")
        known = {column for table in self._known.values() for column in table.columns}
        return mysql_errors.explained(error, known, at_commit=at_commit)


def _type(kind: str | bytes, characters: str | None, collation: str | None) -> str:
    """A column's type as a statement may repeat it (the driver formats: % is written twice)."""
    text = (kind.decode() if isinstance(kind, bytes) else kind).replace("%", "%%")
    return f"{text} CHARACTER SET {characters} COLLATE {collation}" if characters else text


def _bound(fields: Mapping[str, Any], types: Mapping[str, str]) -> list[Any]:
    values: list[Any] = []
    for name, kind in types.items():
        value = bound(fields.get(name), is_binary="binary" in kind or "blob" in kind)
        if kind.startswith(("datetime", "timestamp")) and MOMENT.fullmatch(str(value)):
            value = str(value).replace("T", " ").removesuffix("Z")
        values.append(value)
    return values
