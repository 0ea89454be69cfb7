"""What stops a sync, what goes all the same, and how it is let through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from reverse_etl.declarations import Guards

if TYPE_CHECKING:
    from conftest import Receiver, Runner, Warehouse


@pytest.fixture
def thirty(warehouse: Warehouse) -> Warehouse:
    for number in range(30):
        warehouse.add(f"c{number:02}")
    return warehouse


def leave(warehouse: Warehouse, count: int) -> None:
    for number in range(count):
        warehouse.people[f"c{number:02}"]["in_audience"] = False


def test_too_many_removals_stop_the_sync_but_not_withdrawals(
    run: Runner, thirty: Warehouse, receiver: Receiver
) -> None:
    sync = run.sync(batch_rows=10)
    run(sync)
    leave(thirty, 7)
    thirty.people["c29"]["consent"] = "withdrawn"
    del thirty.people["c28"]
    thirty.add("c99")
    for _ in range(2):
        result = run(sync)
        assert result.status == "blocked"
        assert "7 of" in str(result.error)
        assert "mainstem sync cart_to_email_tool --accept" in str(result.error)
        assert result.rows_pending == 8
    # who withdrew and who was deleted are gone; nobody else was touched, nobody was added
    assert set(receiver.members) == {f"c{number:02}" for number in range(28)}
    result = run(sync, accept=True)
    assert (result.status, result.rows_removed, result.rows_added) == ("succeeded", 7, 1)
    assert run(sync).requests == 0


def test_within_the_limit_and_for_small_audiences_nothing_is_stopped(
    run: Runner, thirty: Warehouse, receiver: Receiver
) -> None:
    sync = run.sync(batch_rows=10)
    run(sync)
    leave(thirty, 6)
    assert run(sync).rows_removed == 6
    leave(thirty, 30)
    generous = run.sync(batch_rows=10, guards=Guards(max_removed_percent=100, allow_empty=True))
    assert run(generous).rows_removed == 24
    for number in range(5):
        thirty.people[f"c{number:02}"]["in_audience"] = True
    run(sync)
    leave(thirty, 5)
    assert run(sync).rows_removed == 5


@pytest.mark.parametrize("mode", ["mirror", "upsert"])
def test_an_empty_source_stops_the_sync(
    run: Runner, thirty: Warehouse, receiver: Receiver, mode: str
) -> None:
    sync = run.sync(batch_rows=10, mode=mode, guards=Guards(max_removed_percent=100))
    run(sync)
    leave(thirty, 30)
    result = run(sync)
    assert (result.status, len(receiver.members)) == ("blocked", 30)
    assert "aud_cart has no row" in str(result.error)


def test_a_table_of_consents_without_a_row_is_no_withdrawal(
    run: Runner, thirty: Warehouse, receiver: Receiver
) -> None:
    # an audience may well be empty; that nobody ever consented is another matter
    sync = run.sync(batch_rows=10, guards=Guards(allow_empty=True))
    run(sync)
    with duckdb.connect(str(thirty.path)) as con:
        con.execute("DELETE FROM marts.customer_consents")
    result = run(sync)
    assert (result.status, len(receiver.members)) == ("blocked", 30)
    assert "marts.customer_consents" in str(result.error)


def test_other_fields_and_types_are_to_be_looked_at(
    run: Runner, thirty: Warehouse, receiver: Receiver
) -> None:
    run(run.sync(batch_rows=10))
    changed = run.sync(batch_rows=10, fields=(("email", "first_name"), ("cart", "cart_value")))
    result = run(changed)
    assert (result.status, result.rows_updated) == ("blocked", 0)
    assert "email: email VARCHAR → first_name VARCHAR" in str(result.error)
    assert "name: first_name VARCHAR → not there" in str(result.error)
    assert run(changed, dry_run=True).rows_updated == 30
    assert run(changed, accept=True).rows_updated == 30
    with duckdb.connect(str(thirty.path)) as con:
        con.execute("ALTER TABLE audiences.aud_cart ALTER cart_value TYPE DOUBLE")
        con.execute("UPDATE audiences.aud_cart SET cart_value = cart_value + 0.5")
    assert "DECIMAL(18,2) → cart_value DOUBLE" in str(run(changed).error)


def test_replace_that_is_stopped_removes_who_must_go_one_by_one(
    run: Runner, thirty: Warehouse, receiver: Receiver
) -> None:
    sync = run.sync(batch_rows=10, mode="replace")
    run(sync)
    leave(thirty, 20)
    thirty.people["c29"]["consent"] = "withdrawn"
    receiver.requests.clear()
    assert run(sync).status == "blocked"
    assert receiver.operations() == [("remove", "c29")]
