"""A cursor's window, read again: only its rows, safe to repeat, and no regular load is misled."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ingestion import declarations, fetch, ledger, load, windows
from ingestion.sources import FetchError, LoadResult, Partition
from ingestion.windows import Window

COLUMNS = {"id": "bigint", "total": "bigint", "at": "timestamp"}
MAY = Window(datetime(2026, 5, 1), datetime(2026, 6, 1))
MOMENTS = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2027, 12, 31))


class Till:
    """A SQLite file with orders, and the table that they are loaded into."""

    def __init__(self, project: Any) -> None:
        self.project, self.runs = project, 0
        self.database = sqlite3.connect(project.root / "till.db", isolation_level=None)
        self.database.execute("create table orders (id integer primary key, total integer, at)")
        self.table = self.declare()

    def declare(self, columns: Any = COLUMNS, **ingest: Any) -> Any:
        block = {
            "connector": "database", "table": "orders", "key": "id", "location": None,
            "connection": {"url": "sqlite:///till.db"}, "cursor": {"column": "at"}, **ingest,
        }  # fmt: skip
        return self.project.declare(block, columns)

    def put(self, *rows: tuple[int, int, str]) -> None:
        self.database.executemany("insert or replace into orders values (?, ?, ?)", rows)

    def bring(self, window: Window | None = None) -> LoadResult:
        """Load as usual, or a window; each a minute after the one before."""
        self.runs += 1
        since = window or ledger.high_water(self.project.con, self.table)
        root = self.project.root
        found = fetch.fetch(
            self.table, project_root=root, downloads=root / "d", env={}, since=since
        )
        now = datetime(2026, 7, 1) + timedelta(minutes=self.runs)
        (result,) = load.load(self.project.con, self.table, found, run_id="r", now=now)
        assert result.error is None
        assert (
            result.rows_read == result.rows_loaded + result.rows_duplicate + result.rows_quarantined
        )
        return result

    def stored(self) -> list[tuple[Any, ...]]:
        return self.project.rows("select id, total from raw_crm.people order by id")

    def counted(self) -> list[tuple[int, int]]:
        """Rows that the ledger says are loaded, and rows that are there."""
        return self.project.rows(
            "select sum(rows_loaded)::int, (select count(*) from raw_crm.people) from ops.loads"
            " where status = 'loaded'"
        )


@pytest.fixture
def till(project: Any) -> Any:
    till = Till(project)
    yield till
    till.database.close()


def test_only_the_window_is_read_and_its_ends_are_half_open(till: Till) -> None:
    """Times in whatever form SQLite has them, midnight in and midnight after out."""
    till.put(
        (1, 1, "2026-04-30 23:59:59"), (2, 1, "2026-05-01"), (3, 1, "2026-05-01T00:00:00Z"),
        (4, 1, "2026-05-31 23:59:59.999"), (5, 1, "2026-06-01 01:30:00+02:00"),
        (6, 1, "2026-06-01"), (7, 1, "2026-06-01 00:00:00"),
    )  # fmt: skip
    result = till.bring(MAY)
    assert result.origin == "sqlite:///till.db/orders[2026-05-01, 2026-06-01)"
    assert [row[0] for row in till.stored()] == [2, 3, 4, 5]
    noon = Window(datetime(2026, 5, 1, 12), datetime(2026, 6, 1, 0, 0, 0))
    assert till.bring(noon).rows_read == 2
    assert till.stored() == [(2, 1), (3, 1), (4, 1), (5, 1)]
    assert till.counted() == [(4, 4)]


def test_a_correction_that_kept_its_time_comes_in_and_later_changes_still_win(till: Till) -> None:
    till.put((1, 10, "2026-05-02 08:00:00"), (2, 20, "2026-05-20 08:00:00"))
    till.bring()
    till.put((3, 30, "2026-06-02 08:00:00"))
    till.bring()
    till.put((1, 11, "2026-05-02 08:00:00"), (2, 21, "2026-05-20 08:00:00"))
    assert till.bring().rows_read == 1, "the usual load does not look back"
    assert till.stored() == [(1, 10), (2, 20), (3, 30)]
    assert till.bring(MAY).rows_read == 2
    assert till.stored() == [(1, 11), (2, 21), (3, 30)]
    assert till.counted() == [(3, 3)]
    assert till.bring(MAY).status == "unchanged"
    # Delivered again in another cut: the newest delivery counts, whatever its name.
    till.put((2, 22, "2026-05-20 08:00:00"))
    till.bring(Window(datetime(2026, 4, 1), datetime(2026, 6, 1)))
    assert till.stored() == [(1, 11), (2, 22), (3, 30)]
    till.put((1, 12, "2026-06-03 08:00:00"))
    till.bring()
    till.bring(MAY)
    assert till.stored() == [(1, 12), (2, 22), (3, 30)]
    assert till.counted() == [(3, 3)]


def test_where_the_usual_load_goes_on_is_left_alone(till: Till) -> None:
    """Neither forward over a gap, nor back when a window took over the newest rows."""
    till.put((1, 1, "2026-05-02 08:00:00"))
    till.bring(MAY)
    assert ledger.high_water(till.project.con, till.table) is None, "there was no usual load yet"
    till.bring()
    high = ledger.high_water(till.project.con, till.table)
    assert high == "2026-05-02 08:00:00"
    till.bring(MAY)
    assert ledger.high_water(till.project.con, till.table) == high
    till.put((2, 2, "2026-06-02 08:00:00"), (3, 3, "2026-07-02 08:00:00"))
    till.bring(Window(datetime(2026, 7, 1), datetime(2026, 8, 1)))
    assert ledger.high_water(till.project.con, till.table) == high, "June is not there yet"
    till.bring()
    assert till.stored() == [(1, 1), (2, 2), (3, 3)]
    assert till.counted() == [(3, 3)]


def test_windows_are_of_time(till: Till) -> None:
    till.table = till.declare(cursor={"column": "total"})
    assert not windows.can_backfill(till.table)
    with pytest.raises(FetchError, match=r"cursor\.column: total"):
        till.bring(MAY)
    dates = till.declare({**COLUMNS, "at": "date"})
    afternoon = Window(datetime(2026, 5, 1, 12), datetime(2026, 5, 3, 12))
    assert windows.bounds(dates, afternoon) == ("2026-05-02", "2026-05-04"), "a date is midnight"


def test_a_partition_of_a_cursor_of_numbers_is_said_to_be_wrong(project: Any) -> None:
    block = {
        "connector": "database", "connection": {"url": "sqlite:///t.db"}, "table": "t", "key": "id",
        "cursor": {"column": "id"}, "partition": {"every": "daily", "start": "2026-01-01"},
    }  # fmt: skip
    table = {
        "name": "t",
        "config": {"meta": {"ingest": block}},
        "columns": [{"name": "id", "data_type": "bigint"}],
    }
    (project.staging / "_t.yml").write_text(
        yaml.safe_dump({"sources": [{"name": "t", "tables": [table]}]})
    )
    (problem,) = declarations.read(project.staging).problems
    assert "`partition` is a time, and id is not" in problem.message


@given(
    every=st.sampled_from(["hourly", "daily", "weekly", "monthly"]),
    first=MOMENTS,
    hours=st.integers(0, 24 * 40),
)
def test_pieces_make_up_the_window(every: str, first: datetime, hours: int) -> None:
    whole = Window(first, first + timedelta(hours=hours))
    partition = Partition(every, datetime(2019, 1, 1))
    found = list(windows.pieces(partition, whole))
    assert all(before.end == after.start for before, after in pairwise(found))
    assert all(windows.is_partition(partition, piece) for piece in found[1:-1])
    assert all(whole.start <= piece.start < piece.end <= whole.end for piece in found)
    if hours:
        assert (found[0].start, found[-1].end) == (whole.start, whole.end)
    assert list(windows.pieces(None, whole)) == ([whole] if hours else [])
