"""Dagster's event log in SQLite, with its files kept open.

Dagster opens the file, commits with a sync to disk, and closes it again, three times an event: half
of a small run. A run of the command line writes about a thousand events.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS

# The index, and the run that is being written; a page of the UI may read others in between.
OPEN_FILES = 4


class EventLog(SqliteEventLogStorage):
    """Named in DAGSTER_HOME/dagster.yaml; files are the same as those of the class it extends.

    With `synchronous = normal` a power cut may lose the last events, never the file: SQLite's
    documentation of write-ahead logs. What a run did is in the warehouse and the ledgers.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._engines: dict[str, sa.Engine] = {}
        super().__init__(*args, **kwargs)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return no settings: the files are where Dagster has them, wherever DAGSTER_HOME is moved."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> EventLog:  # noqa: ARG003
        """Open the log of DAGSTER_HOME."""
        folder = Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"
        return cls(base_dir=str(folder), inst_data=inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock:
            engine = self._engines.pop(shard, None) or _open(self.conn_string_for_shard(shard))
            self._engines[shard] = engine  # the dictionary's order is that of use
            if len(self._engines) > OPEN_FILES:
                self._engines.pop(next(iter(self._engines))).dispose()
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def dispose(self) -> None:
        """Close the files."""
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()
        super().dispose()


def _open(url: str) -> sa.Engine:
    engine = sa.create_engine(
        url,
        poolclass=sa.QueuePool,
        pool_size=1,
        connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
    )

    @sa.event.listens_for(engine, "connect")
    def _without_a_sync_for_each_commit(connection: Any, _: Any) -> None:
        connection.execute("pragma synchronous = normal")

    return engine
