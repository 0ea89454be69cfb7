"""Backfill jobs as the UI starts them: a partition of a cursor's table is a window of it."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb

from ingestion.sources import Column, Cursor, Format, Ingest, Partition, SourceTable
from orchestration.defs import backfills

CURSOR = Ingest(
    "database", "orders", Format(type="parquet"), ("id",), "at",
    connection={"url": "sqlite:///shop.db"}, options={"table": "orders"}, cursor=Cursor("at"),
)  # fmt: skip
COLUMNS = (Column("id", "integer"), Column("at", "timestamp"))
PLAIN = SourceTable("shop", "orders", "raw_shop", Path("x.yml"), 1, COLUMNS, CURSOR)
MONTHLY = replace(
    PLAIN, ingest=replace(CURSOR, partition=Partition("monthly", datetime(2026, 1, 1)))
)


def started(table: SourceTable, root: Path, **how: Any) -> tuple[bool, dict[str, Any]]:
    """Start the table's job; whether it succeeded, and what it noted."""

    @contextmanager
    def warehouse() -> Any:
        with duckdb.connect(str(root / "w.duckdb")) as con:
            yield con

    run = SimpleNamespace(
        home=SimpleNamespace(root=root, downloads=root / "downloads"),
        now=datetime(2026, 7, 1), environment=dict, warehouse=warehouse, facts={},
    )  # fmt: skip
    (job,) = backfills.build([table])
    result = job.execute_in_process(resources={"mainstem": run}, raise_on_error=False, **how)
    return result.success, run.facts.get(backfills.FACT, {})


def test_a_partition_is_a_window_and_a_window_needs_no_partition(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("create table orders (id, at)")
        shop.executemany(
            "insert into orders values (?, ?)",
            [(1, "2026-04-30 23:59:59"), (2, "2026-05-01 00:00:00"), (3, "2026-06-01 00:00:00")],
        )
    shop.close()
    done, facts = started(MONTHLY, tmp_path, partition_key="2026-05-01")
    assert (done, facts["rows_read"]) == (True, 1)
    given = {"from": "2026-04-01", "to": "2026-06-01 00:00:00"}
    config = {"ops": {backfills.op_name(PLAIN): {"config": given}}}
    for table in (PLAIN, MONTHLY):
        done, facts = started(table, tmp_path, run_config=config)
        assert (done, facts["rows_read"]) == (True, 2)
    wrong = {"ops": {backfills.op_name(PLAIN): {"config": {**given, "to": "May"}}}}
    assert started(PLAIN, tmp_path, run_config=wrong) == (False, {})
    with duckdb.connect(str(tmp_path / "w.duckdb")) as con:
        origins = con.execute("select origin from ops.loads order by 1").fetchall()
    place = "sqlite:///shop.db/orders"
    assert origins == [
        (f"{place}[2026-04-01, 2026-06-01)",), (f"{place}[2026-05-01, 2026-06-01)",),
    ]  # fmt: skip


def test_a_cursor_of_numbers_has_no_past_to_choose(tmp_path: Path) -> None:
    numbers = replace(PLAIN, ingest=replace(CURSOR, cursor=Cursor("id")))
    assert backfills.build([numbers]) == []
