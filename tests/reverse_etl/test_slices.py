"""A plan that is made in slices is the plan that is made in one piece, and is sent as one."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from reverse_etl import ledger, plan, room

if TYPE_CHECKING:
    from conftest import Receiver, Runner, Warehouse

    from reverse_etl.declarations import Sync


@pytest.fixture
def few_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SLICE_ROWS", 8)


def planned(con: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return con.execute(
        "SELECT row_key, customer_id, kind, reason, payload, payload_hash, field_hashes, phase,"
        " remote_id, is_held, is_news FROM plan ORDER BY ALL"
    ).fetchall()


def fill(warehouse: Warehouse) -> Path:
    """Sixty people: without consent, held out, without a name, and with names that others have."""
    for n in range(60):
        warehouse.add(
            f"cus_{n:02}",
            consent=("granted", "granted", "withdrawn", None)[n % 4],
            email=None if n % 7 == 0 else f"{n}@example.com",
            first_name=f"Name{n % 50}" if n % 11 else None,
        )
    warehouse.held_out = ["cus_04", "cus_05"]
    return warehouse.publish()


def hold(con: duckdb.DuckDBPyConnection, sync: Sync) -> None:
    """What the destination has: some of them, and some who are wanted no more."""
    con.execute(
        """
        INSERT INTO sync_state BY NAME
        SELECT $name AS sync_name, 'cus_' || lpad(n::VARCHAR, 2, '0') AS row_key, row_key AS customer_id,
            'old' AS payload_hash, if(n % 5 = 0, 'rejected', 'synced') AS status, n % 5 <> 1 AS is_held
        FROM range(0, 80, 3) t(n)""",
        {"name": sync.name},
    )


@pytest.mark.parametrize("row_key", ["customer_id", "email", "first_name"])
@pytest.mark.parametrize("mode", ["mirror", "upsert"])
def test_slices_are_the_whole(
    run: Runner, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, row_key: str, mode: str
) -> None:
    path = fill(warehouse)
    sync = run.sync(mode=mode, row_key=row_key, required=("email",))
    found = []
    for rows in (plan.SLICE_ROWS, 8, 1):
        monkeypatch.setattr(plan, "SLICE_ROWS", rows)
        with ledger.connect(":memory:") as con:
            hold(con, sync)
            plan.make(con, sync, path)
            found.append(planned(con))
            order = con.execute(
                "SELECT position, phase, kind FROM plan WHERE position IS NOT NULL ORDER BY position"
            ).fetchall()
        assert [position for position, _, _ in order] == list(range(1, len(order) + 1))
        ranks = [(phase, kind == "add") for _, phase, kind in order]
        assert sorted(ranks, key=lambda rank: rank[0]) == ranks
        assert {kind for _, _, kind in order} >= {"add"}
    assert found[0] == found[1] == found[2]


def test_what_is_sent_in_slices_is_everybody_once_and_in_order(
    few_a_slice: None, run: Runner, warehouse: Warehouse, receiver: Receiver
) -> None:
    sync = run.sync(batch_rows=7, guards=run.sync().guards)
    for n in range(60):
        warehouse.add(f"cus_{n:02}")
    assert run(sync).rows_added == 60
    assert sorted(key for _, key in receiver.operations()) == sorted(warehouse.people)
    assert {len(request.body["rows"]) for request in receiver.requests} == {7, 4}
    assert all(
        row["fields"]["email"] == f"{row['key']}@example.com"
        for request in receiver.requests
        for row in request.body["rows"]
    )
    receiver.requests.clear()
    assert run(sync).rows_unchanged == 60
    assert receiver.requests == []
    for n in range(60):
        if n % 10 == 0:
            warehouse.people[f"cus_{n:02}"]["consent"] = "withdrawn"
        elif n % 10 == 1:
            warehouse.people[f"cus_{n:02}"]["in_audience"] = False
        elif n % 10 == 2:
            warehouse.people[f"cus_{n:02}"]["first_name"] = "Other"
    warehouse.add("cus_99")
    result = run(sync)
    assert (result.rows_removed, result.rows_updated, result.rows_added) == (12, 6, 1)
    sent = receiver.operations()
    told = [
        key
        for key, _ in itertools.groupby(int(key[-1]) if key != "cus_99" else 3 for _, key in sent)
    ]
    assert told == [0, 1, 2, 3]
    assert sorted(receiver.members) == sorted(
        key
        for key, person in warehouse.people.items()
        if person["consent"] == "granted" and person["in_audience"]
    )


def test_a_guard_and_an_interruption_meet_slices(
    few_a_slice: None, run: Runner, warehouse: Warehouse, receiver: Receiver
) -> None:
    """A plan of which only a part is to be sent is numbered anew over all of its slices."""
    sync = run.sync(batch_rows=4)
    for n in range(40):
        warehouse.add(f"cus_{n:02}")
    receiver.script = ["ok", "ok", "401"]
    stopped = run(sync)
    assert (stopped.status, stopped.rows_added, stopped.rows_pending) == ("incomplete", 8, 32)
    warehouse.add("cus_50")
    resumed = run(sync, resume=True)
    assert (resumed.rows_added, "cus_50" in receiver.members) == (32, False)
    assert run(sync).rows_added == 1
    receiver.requests.clear()
    for n in range(40):
        warehouse.people[f"cus_{n:02}"]["in_audience"] = n >= 30
    for n in range(5):
        warehouse.people[f"cus_{n:02}"]["consent"] = "withdrawn"
    blocked = run(sync)
    assert (blocked.status, blocked.rows_removed) == ("blocked", 5)
    assert sorted(receiver.operations()) == [("remove", f"cus_{n:02}") for n in range(5)]


def test_a_slice_that_needs_more_memory_is_made_again_and_not_twice(
    few_a_slice: None, run: Runner, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fill(warehouse)
    monkeypatch.setattr(room, "MEMORY", ("160MB", "400MB"))
    real, calls = plan.with_room, itertools.count()

    def scarce(con: duckdb.DuckDBPyConnection, rows: int, work: Any) -> None:
        number, tries = next(calls), itertools.count()

        def meagre() -> None:
            if number % 2 and next(tries) == 0:
                raise duckdb.OutOfMemoryException("not enough")
            work()

        real(con, rows, meagre)

    monkeypatch.setattr(plan, "with_room", scarce)
    with ledger.connect(":memory:") as con:
        plan.make(con, run.sync(), path)
        ((rows, keys),) = con.execute(
            "SELECT count(*), count(DISTINCT row_key) FROM plan"
        ).fetchall()
    assert rows == keys == 60


def test_settling_that_runs_out_of_memory_is_done_again_in_more(
    run: Runner, warehouse: Warehouse, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a transaction; everything is counted once."""
    from reverse_etl import settling

    real, calls = settling._end_batches, itertools.count()

    def scarce(*given: Any) -> None:
        if next(calls) == 0:
            raise duckdb.OutOfMemoryException("not enough")
        real(*given)

    monkeypatch.setattr(settling, "_end_batches", scarce)
    for n in range(5):
        warehouse.add(f"cus_{n}")
    assert run().rows_added == 5
    assert run.rows("SELECT count(*), count(DISTINCT row_key) FROM sync_log") == [(5, 5)]
