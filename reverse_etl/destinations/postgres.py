"""A PostgreSQL table: COPY to a temporary table, then one transaction; exactly once.

See reverse_etl.sql_rows for the promise, and reverse_etl.postgres_table for how values travel.

Timeouts: of connecting, of statements and of waiting for locks in the server, of the network
(`tcp_user_timeout`), and of the whole batch here, for a server that answers nothing at all: then
its connection is left to the thread that waits on it, and the next try opens another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from reverse_etl import sql_rows
from reverse_etl.deadline import Deadline, LateError
from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    Body,
    Capabilities,
    Destination,
    RetryError,
)
from reverse_etl.postgres_table import CONNECT_SECONDS, PostgresTable

Result = TypeVar("Result")


class Postgres(Destination):
    capabilities = Capabilities(
        max_rows=100_000,
        default_rows=10_000,
        modes=sql_rows.MODES,
        removal=True,
        connection_keys=frozenset({"url", "table"}),
        optional_connection_keys=sql_rows.TABLE_KEYS | {"password"},
        secret_keys=frozenset({"password"}),
        max_bytes=64_000_000,
        row_overhead=64,
        exactly_once=True,
        cannot=sql_rows.CANNOT,
    )

    def __init__(self, connection: Mapping[str, str]) -> None:
        self._connection = dict(connection)
        self._table = PostgresTable(connection)

    def __exit__(self, *_: object) -> None:
        with suppress(LateError):
            Deadline().run(self._table.close, CONNECT_SECONDS)

    def send(self, batch: Batch) -> BatchAnswer:
        return self._in_time(lambda table: table.send(batch))

    def bodies(self, batch: Batch) -> Sequence[Body]:
        return self._table.bodies(batch)

    def check(self) -> str:
        return self._in_time(lambda table: table.check())

    def _in_time(self, work: Callable[[PostgresTable], Result]) -> Result:
        table = self._table
        table.deadline = Deadline()
        try:
            return table.deadline.run(lambda: work(table), table.seconds + CONNECT_SECONDS)
        except LateError as error:
            self._table = PostgresTable(self._connection)
            raise RetryError(
                f"PostgreSQL gave no answer in {table.seconds:g} s (connection.timeout_seconds)",
                code="timeout",
                maybe_applied=error.maybe_applied,
            ) from None
