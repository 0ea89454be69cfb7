"""What the checks of a sync say, on a published file with the ledger that real runs left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb
import pytest

from reverse_etl import projection, published, rhythms
from reverse_etl.published import Leaks, Parity

if TYPE_CHECKING:
    from conftest import Receiver, Runner, Warehouse


@contextmanager
def looking(run: Runner) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published file of today with the ledger in it, attached as `published`."""
    path = run.warehouse.publish()
    with duckdb.connect(str(path)) as con:
        projection.write(con, run.ledger)
    run.warehouse.published = ""  # the next run writes a new file, without the ledger
    with duckdb.connect(":memory:") as con:
        con.execute(f"ATTACH '{path}' AS published (READ_ONLY)")
        yield con


@pytest.fixture
def four(warehouse: Warehouse) -> Warehouse:
    for name in ("c1", "c2", "c3", "c4"):
        warehouse.add(name)
    warehouse.add("none", consent=None)
    warehouse.add("out")
    warehouse.held_out.append("out")
    return warehouse


def test_after_a_good_run_everything_holds(run: Runner, four: Warehouse) -> None:
    run()
    with looking(run) as con:
        assert published.leaks(con, run.sync()) == Leaks(held=0, kept=0)
        assert published.rejected_share(con, run.sync()).share == 0
        found = published.parity(con, run.sync())
        assert found == Parity(expected=4, held=4, refused=0, pending=0, missing=0, surplus=0)
        assert found.is_equal
        overview = published.overviews(con)[run.sync().name]
        assert (overview.status, overview.moved, overview.held) == ("succeeded", 4, 4)
        assert published.last_success(con, run.sync()) == overview.finished_at


def test_before_the_first_run_everybody_is_missing(run: Runner, four: Warehouse) -> None:
    with looking(run) as con:
        found = published.parity(con, run.sync())
        assert (found.expected, found.missing, found.is_equal) == (4, 4, False)
        assert published.overviews(con) == {}
        assert published.last_success(con, run.sync()) is None


def test_a_withdrawal_is_a_leak_until_it_is_sent(run: Runner, four: Warehouse) -> None:
    run()
    four.people["c1"]["consent"] = "withdrawn"
    with looking(run) as con:
        assert published.leaks(con, run.sync()) == Leaks(held=1, kept=0)
    run()
    with looking(run) as con:
        assert published.leaks(con, run.sync()) == Leaks(held=0, kept=0)
        assert published.parity(con, run.sync()).is_equal


def test_what_cannot_be_removed_is_told_apart(run: Runner, four: Warehouse) -> None:
    run()
    four.people["c1"]["consent"] = "withdrawn"
    with duckdb.connect(str(run.ledger)) as con:
        con.execute("UPDATE sync_state SET status = 'suppressed' WHERE row_key = 'c1'")
    with looking(run) as con:
        assert published.leaks(con, run.sync()) == Leaks(held=0, kept=1)
        assert published.leaks(con, run.sync(mode="events")) == Leaks(held=0, kept=0)


def test_who_left_is_surplus_in_a_mirror_alone(run: Runner, four: Warehouse) -> None:
    run()
    four.people["c1"]["in_audience"] = False
    with looking(run) as con:
        assert published.parity(con, run.sync()).surplus == 1
        assert not published.parity(con, run.sync()).is_equal
        assert published.parity(con, run.sync(mode="upsert")).is_equal


def test_refused_and_invalid_rows_are_no_difference(
    run: Runner, four: Warehouse, receiver: Receiver
) -> None:
    four.people["c1"]["email"] = None
    receiver.bad_keys = {"c2"}
    receiver.script = ["rows"] * 4
    sync = run.sync(required=("email",))
    run(sync)
    with looking(run) as con:
        found = published.parity(con, sync)
        assert (found.held, found.refused, found.is_equal) == (2, 2, True)
        share = published.rejected_share(con, sync)
        # an invalid row was never sent, so nobody refused it
        assert (share.rejected, share.rows) == (1, 4)


def test_what_is_pending_is_no_difference_either(
    run: Runner, four: Warehouse, receiver: Receiver
) -> None:
    receiver.script = ["ok", *["503"] * 20]
    assert run().status == "incomplete"
    with looking(run) as con:
        found = published.parity(con, run.sync())
        assert found.is_equal
        assert found.pending > 0


def test_one_customer_gone_from_the_ledger_is_found(run: Runner, four: Warehouse) -> None:
    run()
    with duckdb.connect(str(run.ledger)) as con:
        con.execute("DELETE FROM sync_state WHERE row_key = 'c3'")
    with looking(run) as con:
        found = published.parity(con, run.sync())
        assert (found.missing, found.is_equal) == (1, False)


@pytest.mark.parametrize(
    "text", ["hourly", "monthly", "0 5 * * *", "*/15 8-18 * * 1-5", "0 0 1,15 * *", "5/10 * * * 0"]
)
def test_schedules(text: str) -> None:
    assert rhythms.is_schedule(text)


@pytest.mark.parametrize(
    "text",
    ["", "sometimes", "* * * *", "60 * * * *", "0 5 * * MON", "5-1 * * * *", "*/0 * * * *",
     "0 5 31 2 *", "0 5 * * * *", "1- * * * *"],
)  # fmt: skip
def test_what_is_no_schedule(text: str) -> None:
    assert not rhythms.is_schedule(text)
