"""Nobody whom a running experiment holds out is ever sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reverse_etl import ledger, plan

if TYPE_CHECKING:
    from conftest import Receiver, Runner, Warehouse


@pytest.fixture
def three(warehouse: Warehouse) -> Warehouse:
    for key in ("c1", "c2", "c3"):
        warehouse.add(key)
    return warehouse


def test_held_out_members_are_suppressed_and_counted(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    three.held_out = ["c2"]
    result = run()
    assert set(receiver.members) == {"c1", "c3"}
    assert (result.rows_added, result.rows_suppressed) == (2, 1)
    assert result.rows_planned == 3
    with ledger.connect(run.ledger) as con:
        plan.make(con, run.sync(), three.path)
        assert con.execute("SELECT row_key, reason FROM plan WHERE kind = 'suppressed'").fetchall() == [
            ("c2", "holdout")
        ]  # fmt: skip


def test_who_was_sent_before_the_experiment_is_removed_and_comes_back_after_it(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    run()
    three.held_out = ["c2"]
    assert run().rows_removed == 1
    assert set(receiver.members) == {"c1", "c3"}
    assert dict(run.rows("SELECT row_key, reason FROM sync_log WHERE operation = 'remove'")) == {
        "c2": "holdout"
    }
    three.is_experiment_running = False
    assert run().rows_added == 1
    assert set(receiver.members) == {"c1", "c2", "c3"}


def test_upsert_leaves_what_a_destination_has_but_sends_nothing_new(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    sync = run.sync(mode="upsert")
    run(sync)
    three.held_out = ["c2"]
    three.people["c2"]["first_name"] = "Changed"
    before = dict(receiver.members)
    result = run(sync)
    assert (result.rows_removed, result.rows_updated, result.rows_suppressed) == (0, 0, 1)
    assert receiver.members == before


def test_withdrawing_goes_before_being_held_out(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    run()
    three.held_out = ["c1", "c2"]
    three.people["c2"]["consent"] = "withdrawn"
    run()
    assert receiver.operations()[-2:] == [("remove", "c2"), ("remove", "c1")]
    reasons = dict(run.rows("SELECT row_key, reason FROM sync_log WHERE operation = 'remove'"))
    assert reasons == {"c1": "holdout", "c2": "no_consent"}
