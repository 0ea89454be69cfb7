"""How PostgreSQL is spoken to: see reverse_etl.destinations.postgres, which keeps its time.

A row's fields travel as JSON, and PostgreSQL itself turns them into the types of the table's
columns (`json_populate_record`): numbers keep their digits, lists become arrays or JSON, objects
JSON; what a `bytea` column gets is read as base64.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as driver
import pyarrow as pa

from reverse_etl import quoting, sql_rows
from reverse_etl.deadline import Deadline
from reverse_etl.destination import (
    Batch,
    DestinationError,
    RejectError,
    RetryError,
    StopError,
)
from reverse_etl.json_values import family
from reverse_etl.sql_dialect import Staged, Table

CONNECT_SECONDS = 10
INCOMING = "mainstem_incoming"
TYPES = {
    "integer": "bigint",
    "decimal": "numeric",
    "double": "double precision",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamptz",
    "blob": "bytea",
    "json": "jsonb",
    "text": "text",
}
# https://www.postgresql.org/docs/current/errcodes-appendix.html, by class or whole code
# (54: a value too long for an index; P0: what a trigger of the user's raises)
REJECTED = ("21", "22", "23", "44", "54", "P0")
RETRIED = ("08", "40", "53", "55P03", "57014", "57P", "58", "25P03")
# what the server says, without a code, while a login would be in order a little later
BUSY = re.compile(r"starting up|shutting down|recovery|too many|slots|not yet accepting")


class PostgresTable(sql_rows.SqlTable):
    """The table over one connection. `deadline` is asked whether a commit still counts."""

    engine = "PostgreSQL"
    mark = "${}"
    book_types = ("text", "text", "text", "text", "timestamptz")
    now = "now()"
    long_ago = "now() - interval '90 days'"

    def __init__(self, connection: Mapping[str, str]) -> None:
        super().__init__(connection)
        self._address = _address(connection)
        self._con: Any = None
        self.deadline = Deadline()

    def open(self) -> None:
        if self._con is None:
            self._con = driver.connect(self._address)

    def close(self) -> None:
        con, self._con = self._con, None
        if con is not None:
            for end in (con.rollback, con.close):
                try:
                    end()
                except adbc_driver_manager.Error:
                    continue

    def begin(self, sync_name: str) -> None:
        # a snapshot from before the lock would not show the batch that held it
        self._con.rollback()
        self.run("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        # set for the transaction and not for the session, so that poolers are no trouble
        milliseconds = str(int(self.seconds * 1000))
        for name, value in (
            ("statement_timeout", milliseconds),
            ("lock_timeout", milliseconds),
            # a client whose machine died must not keep the lock of its sync
            ("idle_in_transaction_session_timeout", milliseconds),
            ("TimeZone", "UTC"),
        ):
            self.run(f"SET LOCAL {self.quote(name)} = '{value}'")
        self.run(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))::text", [f"mainstem {sync_name}"]
        )

    def run(self, sql: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        with self._con.cursor() as cursor:
            cursor.execute(sql, tuple(values) or None)
            return cursor.fetchall() if cursor.description else []

    def commit(self) -> None:
        if self._is_committing:
            self.deadline.may_commit()
        self._con.commit()

    def inspect(self, table: tuple[str, ...]) -> Table | None:
        place = self.quote(*table)
        columns = self.run(
            """
            -- without a length, for a cast to varchar(80) would cut a key in silence
            SELECT attname::text, format_type(atttypid, -1) FROM pg_attribute
            WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped""",
            [place],
        )
        unique = self.run(
            """
            SELECT a.attname::text FROM pg_index i
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indimmediate
              AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL""",
            [place],
        )
        return Table(dict(columns), frozenset(name for (name,) in unique)) if columns else None

    def stage(self, batch: Batch, table: Table, names: tuple[str, ...]) -> Staged:
        self.run(
            f"CREATE TEMP TABLE IF NOT EXISTS {INCOMING} "
            "(operation text, row_text text, fields json) ON COMMIT DROP"
        )
        rows = pa.table(
            {
                "operation": pa.array([row.operation for row in batch.rows], pa.string()),
                "row_text": pa.array([row.key for row in batch.rows], pa.string()),
                "fields": pa.array([row.fields for row in batch.rows], pa.string()),
            }
        )
        with self._con.cursor() as cursor:
            cursor.adbc_ingest(INCOMING, rows, mode="append", temporary=True)
        values = "".join(
            f", decode(i.fields ->> {quoting.text(name)}, 'base64') AS {self.quote(name)}"
            if table.columns[name] == "bytea"
            else f", r.{self.quote(name)}"
            for name in names
        )
        key_type = table.columns[self._key]
        record = f"json_populate_record(NULL::{self.quote(*self._target)}, i.fields)"
        return Staged(
            f"(SELECT i.operation, i.row_text, i.row_text::{key_type} AS row_key{values} "
            f"FROM pg_temp.{INCOMING} AS i CROSS JOIN LATERAL {record} AS r)",
            names,
        )

    def make_like(self, new: tuple[str, ...]) -> None:
        name = self.quote(*new)
        self.run(f"DROP TABLE IF EXISTS {name}")
        self.run(f"CREATE TABLE {name} (LIKE {self.quote(*self._target)} INCLUDING ALL)")

    def column_type(self, duckdb_type: str) -> str:
        kind = family(duckdb_type)
        is_exact = kind == "decimal" and duckdb_type.upper().startswith("DECIMAL(")
        return duckdb_type.lower().replace("decimal", "numeric") if is_exact else TYPES[kind]

    def explain(self, error: Exception, *, at_commit: bool) -> DestinationError | None:
        if isinstance(error, UnicodeError | pa.ArrowInvalid):
            return RejectError(f"a value is no text ({type(error).__name__})", code="bad_value")
        if not isinstance(error, adbc_driver_manager.Error):
            return None
        code = error.sqlstate or ""
        if not code:
            return _lost(str(error), at_commit=at_commit)
        named: dict[Any, bytes] = dict(error.details)
        about = " and ".join(
            f"{kind} {named[field].decode(errors='replace')}"
            for kind, field in (
                ("column", b"PG_DIAG_COLUMN_NAME"),
                ("constraint", b"PG_DIAG_CONSTRAINT_NAME"),
            )
            if field in named
        )
        said = f"SQLSTATE {code}{f', {about}' if about else ''}"
        if code.startswith(REJECTED):
            refusal = RejectError(f"PostgreSQL refuses a value ({said})", code=code)
            refusal.detail = named.get(b"PG_DIAG_MESSAGE_PRIMARY", b"").decode(errors="replace")
            return refusal
        if code.startswith(RETRIED):
            return RetryError(
                f"PostgreSQL is busy or stopped the statement ({said}); it may take "
                f"{self.seconds:g} s (connection.timeout_seconds)",
                code=code,
                # the server said itself that the transaction came to nothing
                maybe_applied=at_commit and code.startswith(("08", "57P")),
            )
        return StopError(
            f"PostgreSQL refuses ({said}): look at connection.table, at its columns' types and at "
            "the rights of the user in connection.url",
            code=code,
        )


def _lost(message: str, *, at_commit: bool) -> DestinationError:
    """An error of the connection itself; its text names the host, and may name the user."""
    if "Failed to connect" in message and "FATAL:" in message and not BUSY.search(message):
        return StopError(
            "PostgreSQL refused the login: look at connection.url (user, database) and "
            "connection.password",
            code="refused_login",
        )
    return RetryError(
        "the answer to a commit is missing: the connection to PostgreSQL broke"
        if at_commit
        else "PostgreSQL in connection.url cannot be reached, or the connection broke",
        code="connection_lost",
        # what is not committed is rolled back
        maybe_applied=at_commit,
    )


def _address(connection: Mapping[str, str]) -> str:
    """libpq's URI with the password and our settings in it; raises StopError for no URL."""
    try:
        url = urlsplit(connection["url"])
    except ValueError:
        url = urlsplit("")
    if url.scheme not in {"postgresql", "postgres"}:
        raise StopError(
            "connection.url is no URL such as postgresql://user@host:5432/database", code="bad_url"
        )
    password = connection.get("password") or unquote(url.password or "")
    login = (url.username or "") + (f":{quote(password, safe='')}" if password else "")
    query = {
        "connect_timeout": str(CONNECT_SECONDS),
        "tcp_user_timeout": "30000",
        "keepalives_idle": "30",
        "application_name": "mainstem",
        **dict(parse_qsl(url.query)),
    }
    place = url.netloc.rpartition("@")[2]
    at = f"{login}@" if login else ""
    return f"postgresql://{at}{place}{url.path}?{urlencode(query, quote_via=quote)}"
