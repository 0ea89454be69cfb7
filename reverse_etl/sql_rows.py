"""Destinations that are a table of a SQL database: exactly once, whichever database it is.

A batch and its idempotency key, in `mainstem_sync_batches` beside the table, are written in one
transaction. A batch that is sent again finds its key there and is answered as before, so nothing is
repeated. A lock per sync makes a try that was given up, and may still be at work in the database,
end before the next begins.

Rows are staged first and written set by set: removals, then upserts. An upsert goes by the key
column alone, so a row that offends another unique column is refused and overwrites nobody. Mode
`replace` collects the session in a table made like the target and swaps its content in at the last
batch, in one transaction: readers see all of the old rows or all of the new ones.
"""

import hashlib
import json
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from reverse_etl.declarations import nearest
from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    Body,
    DestinationError,
    RejectError,
    RetryError,
    RowAnswer,
    StopError,
)
from reverse_etl.json_values import column_types
from reverse_etl.sql_dialect import SqlDialect, Staged, Table

BOOK = "mainstem_sync_batches"
# PostgreSQL: a table of that name, or its type, is there by now
IS_THERE = frozenset({"42P07", "42710"})
BOOK_COLUMNS = ("idempotency_key", "sync_name", "sync_run_id", "answers", "applied_at")
MODES = frozenset({"mirror", "upsert", "add_only", "update_only", "replace", "events"})
TABLE_KEYS = frozenset({"schema", "key_column", "create_table", "timeout_seconds"})
CANNOT = (
    "Removing somebody deletes the row with that key, whoever wrote it; mode replace deletes every "
    "row that it did not send."
)


class SqlTable(SqlDialect):
    """A table that rows are written to; a database's file adds how it is spoken to."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, batch: Batch) -> BatchAnswer:
        answers = self.guarded(lambda: self._apply_once(batch))
        told = {key: _row_answer(code) for key, code in answers.items()}
        size = sum(len(row.fields.encode()) + len(row.key.encode()) for row in batch.rows)
        return BatchAnswer(bytes_sent=size, rows=told)

    def guarded(self, work: Any) -> Any:
        """Do some work in the database; whatever goes wrong is raised as a DestinationError."""
        self._is_committing = False
        try:
            self.open()
            return work()
        except Exception as error:
            ours = error if isinstance(error, DestinationError) else None
            explained = ours or self.explain(error, at_commit=self._is_committing)
            # what state the connection is in after trouble is anybody's guess: the next try opens anew
            self._known.clear()
            self.close()
            if ours or explained is None:
                raise
        raise explained from None

    def _apply_once(self, batch: Batch) -> dict[str, str]:
        """Error codes by row key, of this try or of the one that was committed before."""
        book = self._book()
        leftover = None
        self.begin(batch.sync_name)
        done = self.run(
            f"SELECT answers FROM {book} WHERE idempotency_key = {self.mark.format(1)}",
            [batch.idempotency_key],
        )
        if done:
            answers: dict[str, str] = json.loads(done[0][0])
        else:
            answers, leftover = self._apply(batch)
            marks = ", ".join(self.mark.format(at) for at in range(1, 5))
            self.run(
                f"INSERT INTO {book} ({', '.join(BOOK_COLUMNS)}) VALUES ({marks}, {self.now})",
                [
                    batch.idempotency_key,
                    batch.sync_name,
                    batch.sync_run_id,
                    json.dumps(answers, ensure_ascii=False),
                ],
            )
            if batch.position == 1:
                self.run(
                    f"DELETE FROM {book} WHERE applied_at < {self.long_ago} "
                    f"AND sync_name = {self.mark.format(1)}",
                    [batch.sync_name],
                )
        if leftover and not self.drop_commits:
            self.run(f"DROP TABLE {leftover}")
        self._is_committing = True
        self.commit()
        self._is_committing = False
        if leftover and self.drop_commits:
            self.run(f"DROP TABLE IF EXISTS {leftover}")
        return answers

    def _apply(self, batch: Batch) -> tuple[dict[str, str], str | None]:
        """Write a batch's rows; answers error codes by row key, and a table that is done with."""
        table = self._described(batch)
        names = tuple(name for name in batch.field_names if name != self._key)
        into = self.quote(*self._target)
        if batch.mode == "replace":
            into = self._session(batch)
        staged = self.stage(batch, table, names)
        key = self.quote(self._key)
        self.remove(into, staged)
        if batch.mode == "update_only":
            absent = self.run(
                f"SELECT s.row_text FROM {staged.source} AS s WHERE s.operation = 'upsert' AND "
                f"NOT EXISTS (SELECT 1 FROM {into} AS t WHERE t.{key} = s.row_key)"
            )
            self.update(into, staged)
            return {str(row_key): "not_there" for (row_key,) in absent}, None
        if batch.mode in {"add_only", "events"}:
            self.add(into, staged)
        else:
            self.upsert(into, staged)
        if batch.mode == "replace" and batch.position >= batch.of:
            self._swap(batch, into, names)
            return {}, into
        return {}, None

    def _session(self, batch: Batch) -> str:
        """The table that a replacing session collects its rows in."""
        mark = hashlib.sha256("\x1f".join((*self._target, batch.sync_name)).encode()).hexdigest()
        new = (*self._place, f"mainstem_replace_{mark[:12]}")
        if batch.position == 1:
            self.make_like(new)
        elif self.inspect(new) is None:
            raise StopError(
                "the rows that this replacing session sent before are gone from the database: run "
                "the sync again with --full",
                code="broken_session",
            )
        return self.quote(*new)

    def _swap(self, batch: Batch, staging: str, names: tuple[str, ...]) -> None:
        ((arrived,),) = self.run(f"SELECT count(*) FROM {staging}")
        if batch.total_rows and arrived != batch.total_rows:
            raise StopError(
                f"{arrived} of the {batch.total_rows} rows of this replacing session arrived, so "
                "the table was left as it was: run the sync again with --full",
                code="broken_session",
            )
        target, key = self.quote(*self._target), self.quote(self._key)
        self.remove_others(target, staging)
        columns = ", ".join(self.quote(name) for name in (self._key, *names))
        source = f"(SELECT {columns}, {key} AS row_key, 'upsert' AS operation FROM {staging})"
        self.upsert(target, Staged(source, names))

    def bodies(self, batch: Batch) -> Sequence[Body]:
        lines = (
            f'{{"operation":"{row.operation}","key":{json.dumps(row.key, ensure_ascii=False)},'
            f'"fields":{row.fields}}}'
            for row in batch.rows
        )
        title = f"{batch.mode} {'.'.join(self._target)} by {self._key} ({self.engine})"
        return [Body(title, "\n".join(lines))]

    def check(self) -> str:
        try:
            table = self.guarded(lambda: self._inspected(self._target))
        finally:
            self.close()
        name = ".".join(self._target)
        if table is None:
            if not self._may_create:
                raise StopError(f"there is no table {name}", code="no_table")
            return f"{self.engine}: connected; {name} will be made by the first run"
        self._check_key(table)
        return f"{self.engine}: {name} has {len(table.columns)} columns, {self._key} is unique"

    def _inspected(self, table: tuple[str, ...]) -> Table | None:
        if table not in self._known and (found := self.inspect(table)):
            self._known[table] = found
        return self._known.get(table)

    def _described(self, batch: Batch) -> Table:
        """The target, made if it may be; raises StopError for what has to be put right there."""
        name = ".".join(self._target)
        table = self._inspected(self._target)
        if table is None:
            statement = self._create_statement(batch)
            if not self._may_create:
                raise StopError(
                    f"there is no table {name}: write `create_table: true` into connection, or "
                    f"run: {statement}",
                    code="no_table",
                )
            self._make(statement)
            table = self._inspected(self._target)
        if table is None:
            raise StopError(f"the table {name} was made and is not there", code="no_table")
        for column in (self._key, *batch.field_names):
            if column not in table.columns:
                where = "connection.key_column" if column == self._key else "fields"
                raise StopError(
                    f"{where}: the table {name} has no column {column}; "
                    f"{nearest(column, table.columns)}",
                    code="no_column",
                )
        self._check_key(table)
        return table

    def _check_key(self, table: Table) -> None:
        if self._key not in table.unique:
            place, key = self.quote(*self._target), self.quote(self._key)
            raise StopError(
                f"nothing makes {self._key} of {'.'.join(self._target)} unique, so rows could be "
                f"repeated: run: CREATE UNIQUE INDEX {self.quote('mainstem_key')} ON {place} ({key})",
                code="no_unique_key",
            )

    def _create_statement(self, batch: Batch) -> str:
        columns = [f"{self.quote(self._key)} {self.key_type} PRIMARY KEY"]
        for name, duckdb_type in column_types(batch).items():
            if name != self._key:
                columns.append(f"{self.quote(name)} {self.column_type(duckdb_type)}")
        return f"CREATE TABLE {self.quote(*self._target)} ({', '.join(columns)})"

    def _book(self) -> str:
        """The table of idempotency keys, made if it is missing."""
        name = (*self._place, BOOK)
        if self._inspected(name) is None:
            pairs = zip(BOOK_COLUMNS, self.book_types, strict=True)
            columns = ", ".join(f"{column} {kind}" for column, kind in pairs)
            self._make(
                f"CREATE TABLE IF NOT EXISTS {self.quote(*name)} "
                f"({columns}, PRIMARY KEY (idempotency_key))"
            )
            self.commit()
        return self.quote(*name)

    def _make(self, statement: str) -> None:
        try:
            self.run(statement)
        except Exception as error:
            explained = self.explain(error, at_commit=False)
            if isinstance(explained, RejectError) or getattr(explained, "code", "") in IS_THERE:
                # no row is to blame: another sync makes the same table at the same moment
                raise RetryError(
                    f"a table is being made by somebody else: {explained}",
                    code="being_made",
                    maybe_applied=False,
                ) from None
            raise


def _row_answer(code: str) -> RowAnswer:
    return RowAnswer(code, "the table has no row with this key, and the mode only updates")
