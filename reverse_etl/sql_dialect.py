"""How a SQL database is spoken to: what differs between them, and the statements most of them share.

`reverse_etl.sql_rows` keeps the promise by these means; a database's file fills in the rest.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reverse_etl.destination import Batch, Destination, DestinationError, StopError

DEFAULT_KEY_COLUMN = "customer_id"
SECONDS = 60.0


@dataclass(frozen=True)
class Table:
    """A table as the database describes it: its columns' types, and columns unique by themselves."""

    columns: Mapping[str, str]
    unique: frozenset[str]


@dataclass(frozen=True)
class Staged:
    """Where a batch's rows stand: `source` goes after FROM, and has operation, row_text (the key as
    sent), row_key (the key as the table has it) and a column for each of `names`."""

    source: str
    names: tuple[str, ...]


class SqlDialect(Destination):
    """One table in one database, by whatever driver there is."""

    engine = ""
    #: What stands for a bound value, for instance `%s`; `{}` is its number.
    mark = "?"
    #: Family of a type (see reverse_etl.json_values) → this database's type.
    types: Mapping[str, str]
    key_type = "text"
    book_types: tuple[str, ...] = ("text", "text", "text", "text", "timestamp")
    now = "CURRENT_TIMESTAMP"
    #: Batches applied before that are forgotten: nobody sends them again.
    long_ago = "datetime('now', '-90 days')"
    has_schemas = True
    #: Whether dropping a table ends the transaction, so that it has to wait until after it.
    drop_commits = False

    def __init__(self, connection: Mapping[str, str]) -> None:
        self.connection = dict(connection)
        schema, table = connection.get("schema") or "", connection["table"]
        if self.has_schemas and not schema and table.count(".") == 1:
            schema, table = table.split(".")
        if not table:
            raise StopError("connection.table is empty", code="bad_table")
        self._place = (schema,) if schema else ()
        self._target = (*self._place, table)
        self._key = connection.get("key_column") or DEFAULT_KEY_COLUMN
        wish = (connection.get("create_table") or "false").lower()
        if wish not in {"true", "false"}:
            raise StopError("connection.create_table is neither true nor false", code="bad_option")
        self._may_create = wish == "true"
        self.seconds = seconds_of(connection, SECONDS)
        self._known: dict[tuple[str, ...], Table] = {}

    @abstractmethod
    def open(self) -> None:
        """Connect, unless connected; raises what `explain` can read."""

    @abstractmethod
    def close(self) -> None:
        """Drop the connection, in whatever state it is; raises nothing."""

    @abstractmethod
    def begin(self, sync_name: str) -> None:
        """Begin a transaction, alone for this sync."""

    @abstractmethod
    def run(self, sql: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """The rows of one statement; of one that gives none, an empty list."""

    @abstractmethod
    def commit(self) -> None:
        """End the transaction."""

    @abstractmethod
    def explain(self, error: Exception, *, at_commit: bool) -> DestinationError | None:
        """What a driver's error means; no value is in it. None for an error of ours."""

    @abstractmethod
    def inspect(self, table: tuple[str, ...]) -> Table | None:
        """The table as it is there; None if it is not."""

    @abstractmethod
    def stage(self, batch: Batch, table: Table, names: tuple[str, ...]) -> Staged:
        """Bring a batch's rows over, typed as the table's columns are."""

    @abstractmethod
    def make_like(self, new: tuple[str, ...]) -> None:
        """An empty table like the target, in place of an older one of that name."""

    def quote(self, *parts: str) -> str:
        """A quoted identifier."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in parts)

    def upsert(self, into: str, staged: Staged) -> None:
        """Insert the staged upserts into a table, or update those that are there."""
        names = [self.quote(name) for name in staged.names]
        changes = ", ".join(f"{name} = excluded.{name}" for name in names)
        self.run(
            f"{self._insert(into, staged)} ON CONFLICT ({self.quote(self._key)}) "
            f"DO {f'UPDATE SET {changes}' if changes else 'NOTHING'}"
        )

    def add(self, into: str, staged: Staged) -> None:
        """Insert the staged upserts that are not there; those that are stay as they are."""
        self.run(f"{self._insert(into, staged)} ON CONFLICT ({self.quote(self._key)}) DO NOTHING")

    def update(self, into: str, staged: Staged) -> None:
        """Update the rows that are there from the staged upserts."""
        names = [self.quote(name) for name in staged.names]
        if names:
            self.run(
                f"UPDATE {into} AS t SET {', '.join(f'{name} = s.{name}' for name in names)} "
                f"FROM {staged.source} AS s WHERE t.{self.quote(self._key)} = s.row_key "
                "AND s.operation = 'upsert'"
            )

    def remove(self, into: str, staged: Staged) -> None:
        """Delete the staged removals."""
        self.run(
            f"DELETE FROM {into} WHERE {self.quote(self._key)} IN "
            f"(SELECT s.row_key FROM {staged.source} AS s WHERE s.operation = 'remove')"
        )

    def remove_others(self, target: str, kept: str) -> None:
        """Delete the rows of one table whose key another table does not have."""
        key = self.quote(self._key)
        self.run(
            f"DELETE FROM {target} AS t "
            f"WHERE NOT EXISTS (SELECT 1 FROM {kept} AS k WHERE k.{key} = t.{key})"
        )

    @abstractmethod
    def column_type(self, duckdb_type: str) -> str:
        """This database's type for what DuckDB calls `duckdb_type`."""

    def _insert(self, into: str, staged: Staged) -> str:
        names = [self.quote(name) for name in staged.names]
        columns = ", ".join((self.quote(self._key), *names))
        picked = ", ".join(("s.row_key", *(f"s.{name}" for name in names)))
        return (
            f"INSERT INTO {into} ({columns}) SELECT {picked} FROM {staged.source} AS s "
            "WHERE s.operation = 'upsert'"
        )


def seconds_of(connection: Mapping[str, str], default: float) -> float:
    """`timeout_seconds` of a connection; raises StopError for what is no number above 0."""
    try:
        seconds = float(connection.get("timeout_seconds") or default)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise StopError("connection.timeout_seconds is not a number above 0", code="bad_timeout")
    return seconds
