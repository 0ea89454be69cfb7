"""A load as a run does it: the warehouse is closed while files are fetched and put away."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb

from ingestion import fetch
from ingestion.sources import Column, Cursor, FetchError, Format, Ingest, SourceTable
from orchestration.defs import loads


class Run:
    """What `loads` asks of a run."""

    def __init__(self, root: Path) -> None:
        self.home = SimpleNamespace(root=root, downloads=root / "downloads")
        self.now = datetime(2026, 7, 1)
        self.is_open = False
        self.left_out: list[str] = []

    def environment(self) -> dict[str, str]:
        return {}

    def leave_out(self, what: str) -> None:
        self.left_out.append(what)

    @contextmanager
    def warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect(str(self.home.root / "w.duckdb")) as con:
            self.is_open = True
            yield con
        self.is_open = False


def orders() -> SourceTable:
    ingest = Ingest(
        "database", "orders", Format(type="parquet"), ("id",), "at",
        connection={"url": "sqlite:///shop.db"}, options={"table": "orders"}, cursor=Cursor("at"),
    )  # fmt: skip
    columns = (Column("id", "integer"), Column("at", "timestamp"))
    return SourceTable("shop", "orders", "raw_shop", Path("x.yml"), 1, columns, ingest)


def load(run: Any, table: SourceTable) -> list[tuple[str, str, int]]:
    found, _ = loads.load_one(run, table, None, "run")
    return [(result.status, result.origin, result.rows_read) for result in found]


def test_the_cursor_goes_from_the_warehouse_to_the_source_and_never_both_open(
    tmp_path, monkeypatch
):
    run, calls = Run(tmp_path), []
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("create table orders (id, at)")
        shop.execute("insert into orders values (1, '2026-06-01 10:00:00')")
    shop.close()
    for name in ("fetch", "settle"):
        real = getattr(fetch, name)

        def watched(*args: Any, _name: str = name, _real: Any = real, **rest: Any) -> Any:
            assert not run.is_open
            calls.append((_name, rest.get("since")))
            return _real(*args, **rest)

        monkeypatch.setattr(fetch, name, watched)
    assert load(run, orders()) == [("loaded", "sqlite:///shop.db/orders", 1)]
    window = "sqlite:///shop.db/orders?at>=2026-06-01 10:00:00"
    assert load(run, orders()) == [("loaded", window, 1)]
    assert load(run, orders()) == [("unchanged", window, 1)]
    since = "2026-06-01 10:00:00"
    assert [call[1] for call in calls if call[0] == "fetch"] == [None, since, since]
    assert len(calls) == 6


def test_a_source_that_was_away_is_whole_again_when_it_is_back(tmp_path):
    run = Run(tmp_path)
    ((status, origin, _),) = load(run, orders())
    assert (status, origin) == ("failed", "orders")
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("create table orders (id, at)")
    shop.close()
    assert [status for status, _, _ in load(run, orders())] == ["loaded"]
    with run.warehouse() as con:
        failed = con.execute("select count(*) from ops.loads where status = 'failed'").fetchall()
    assert failed == [(0,)]


def test_a_settling_that_fails_leaves_the_run_incomplete_and_the_rows_loaded(tmp_path, monkeypatch):
    run = Run(tmp_path)
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("create table orders (id, at)")
    shop.close()

    def fails(*args: Any, **rest: Any) -> None:
        raise FetchError("no room there")

    monkeypatch.setattr(fetch, "settle", fails)
    assert [status for status, _, _ in load(run, orders())] == ["loaded"]
    assert run.left_out == ["shop.orders: no room there"]
