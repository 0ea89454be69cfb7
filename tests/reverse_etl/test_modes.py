"""What each mode sends, and what becomes of who has to go."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb
import pytest

from reverse_etl.destinations.webhook import Webhook

if TYPE_CHECKING:
    from conftest import Receiver, Runner, Warehouse


@pytest.fixture
def three(warehouse: Warehouse) -> Warehouse:
    for name in ("c1", "c2", "c3"):
        warehouse.add(name)
    return warehouse


def test_add_only_never_updates_but_removes_who_withdrew(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    sync = run.sync(mode="add_only")
    run(sync)
    three.people["c1"]["first_name"] = "Changed"
    three.people["c2"]["in_audience"] = False
    three.people["c3"]["consent"] = "withdrawn"
    three.add("c4")
    result = run(sync)
    assert (result.rows_added, result.rows_updated, result.rows_removed) == (1, 0, 1)
    assert set(receiver.members) == {"c1", "c2", "c4"}
    assert receiver.members["c1"]["name"] == "Name0"


def test_update_only_counts_who_is_not_there_and_asks_again_a_few_times(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    receiver.always, receiver.bad_keys, receiver.code = "rows", {"c2"}, "not_there"
    sync = run.sync(mode="update_only", max_attempts=2)
    for _ in range(2):
        result = run(sync)
        assert (result.status, result.rows_suppressed, result.rows_rejected) == ("succeeded", 1, 0)
        assert ("upsert", "c2") in receiver.operations()
        receiver.requests.clear()
    result = run(sync)
    assert (result.rows_suppressed, result.requests) == (1, 0)
    assert run.rows("FROM dead_letters") == []
    three.people["c2"]["first_name"] = "Changed"
    receiver.bad_keys = set()
    assert run(sync).rows_updated == 1
    three.people["c2"]["in_audience"] = False
    assert run(sync).requests == 0


def test_replace_sends_everyone_when_anything_changed(
    run: Runner, three: Warehouse, receiver: Receiver, sent: list[tuple[int, int, int]]
) -> None:
    sync = run.sync(mode="replace")
    assert run(sync).rows_added == 3
    assert sent == [(1, 2, 3), (2, 2, 3)]
    assert run(sync).requests == 0
    three.people["c1"]["consent"] = "withdrawn"
    three.people["c2"]["in_audience"] = False
    three.add("c4")
    sent.clear()
    receiver.requests.clear()
    result = run(sync)
    assert set(receiver.operations()) == {("upsert", "c3"), ("upsert", "c4")}
    assert (result.rows_added, result.rows_removed, result.rows_unchanged) == (1, 2, 1)
    assert sent == [(1, 1, 2)]
    assert dict(run.rows("SELECT row_key, reason FROM sync_log WHERE operation = 'remove'")) == {
        "c1": "no_consent",
        "c2": "left_audience",
    }
    held = "SELECT row_key FROM sync_state WHERE is_held ORDER BY 1"
    assert run.rows(held) == [("c3",), ("c4",)]
    assert run(sync).requests == 0


def test_an_interrupted_session_is_begun_anew(
    run: Runner, three: Warehouse, receiver: Receiver, sent: list[tuple[int, int, int]]
) -> None:
    sync = run.sync(mode="replace", batch_rows=1)
    receiver.script = ["ok", "401"]
    first = run(sync)
    assert (first.status, first.rows_added, first.rows_pending) == ("incomplete", 0, 3)
    # it is not known what a part of a session did
    assert run.rows("SELECT DISTINCT status, is_held FROM sync_state") == [("unknown", True)]
    sent.clear()
    second = run(sync)
    assert (second.status, second.rows_planned, second.is_resumed) == ("succeeded", 3, False)
    assert sent == [(1, 3, 3), (2, 3, 3), (3, 3, 3)]
    assert run(sync).requests == 0


def test_replace_with_nobody_sends_one_empty_batch(
    run: Runner, three: Warehouse, receiver: Receiver
) -> None:
    sync = run.sync(mode="replace")
    run(sync)
    for person in three.people.values():
        person["in_audience"] = False
    receiver.requests.clear()
    assert run(sync).rows_removed == 3
    assert [request.body["rows"] for request in receiver.requests] == [[]]
    assert run(sync).requests == 0


def test_events_are_sent_once_and_never_taken_back(
    run: Runner, warehouse: Warehouse, receiver: Receiver
) -> None:
    for name in ("c1", "c2"):
        warehouse.add(name, consent="granted" if name == "c1" else "denied")
    sync = run.sync(
        mode="events",
        row_key="order_id",
        fields=(("amount", "amount"),),
        audience_id="orders",
        audience_schema="marts",
        audience_table="orders",
    )
    path = warehouse.publish()
    with duckdb.connect(str(path)) as con:
        con.execute("""
            CREATE TABLE marts.orders AS SELECT * FROM (VALUES
                ('o1', 'c1', 1.5), ('o2', 'c1', 2.5), ('o3', 'c2', 3.5))
                orders(order_id, customer_id, amount)""")
    result = run(sync)
    assert (result.rows_added, result.rows_suppressed) == (2, 1)
    with duckdb.connect(str(path)) as con:
        con.execute("UPDATE marts.orders SET amount = 9 WHERE order_id = 'o1'")
        con.execute("DELETE FROM marts.orders WHERE order_id = 'o2'")
        con.execute("DELETE FROM marts.customer_consents WHERE customer_id = 'c1'")
    result = run(sync)
    assert (result.rows_updated, result.rows_removed, result.requests) == (0, 0, 0)
    assert receiver.operations() == [("upsert", "o1"), ("upsert", "o2")]


def test_who_cannot_be_removed_is_kept_counted_and_never_sent_again(
    run: Runner, three: Warehouse, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    capabilities = replace(Webhook.capabilities, removal=False)
    monkeypatch.setattr(Webhook, "capabilities", capabilities)
    sync = run.sync(mode="upsert")
    run(sync)
    three.people["c1"] |= {"consent": "withdrawn", "first_name": "Changed"}
    three.people["c2"]["in_audience"] = False
    receiver.requests.clear()
    for _ in range(2):
        result = run(sync)
        assert (result.rows_suppressed, result.rows_unchanged, result.requests) == (1, 1, 0)
    state = (
        "SELECT row_key, last_error_code FROM sync_state WHERE status = 'suppressed' AND is_held"
    )
    assert run.rows(state) == [("c1", "no_consent")]
    three.people["c1"]["consent"] = "granted"
    assert run(sync).rows_updated == 1
    assert receiver.members["c1"]["name"] == "Changed"


def test_an_update_carries_only_what_changed_where_the_destination_allows_it(
    run: Runner, three: Warehouse, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    capabilities = replace(Webhook.capabilities, changed_fields=True)
    monkeypatch.setattr(Webhook, "capabilities", capabilities)
    run()
    assert receiver.members["c1"] == {"email": "c1@example.com", "name": "Name0", "cart": 0}
    three.people["c1"]["first_name"] = 'Zoë "Z"'
    three.people["c2"]["email"] = None
    three.people["c3"]["cart_value"] = "12345678901234.50"
    receiver.requests.clear()
    assert run().rows_updated == 3
    assert {row["key"]: row["fields"] for r in receiver.requests for row in r.body["rows"]} == {
        "c1": {"name": 'Zoë "Z"'},
        "c2": {"email": None},
        "c3": {"cart": 12345678901234.50},
    }
    assert b'"cart":12345678901234.50' in b"".join(r.raw for r in receiver.requests)
    # what is not known to have arrived is sent whole
    receiver.script = ["500 after"] * 3
    three.people["c1"]["first_name"] = "Anna"
    run()
    three.people["c1"]["first_name"] = "Bert"
    receiver.requests.clear()
    run()
    assert receiver.requests[-1].body["rows"][0]["fields"] == {
        "name": "Bert"
    }  # the repeat was answered, so what is known is what it said
    assert run(full=True).rows_updated == 3
    assert receiver.members["c1"] == {"email": "c1@example.com", "name": "Bert", "cart": 0}


def test_one_of_the_identifiers_is_enough_and_none_is_invalid(
    run: Runner, three: Warehouse, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    capabilities = replace(
        Webhook.capabilities, one_of_fields=frozenset({"email", "name", "phone"})
    )
    monkeypatch.setattr(Webhook, "capabilities", capabilities)
    three.people["c1"] |= {"email": None}
    three.people["c2"] |= {"email": None, "first_name": " "}
    result = run()
    assert (result.rows_added, result.rows_invalid) == (2, 1)
    assert run.rows("SELECT reason FROM dead_letters") == [("missing_email_or_name_or_phone",)]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """(position, of, total_rows) of every batch that is sent."""
    found: list[tuple[int, int, int]] = []
    calls = Webhook.calls

    def noted(self: Webhook, batch: object) -> object:
        found.append((batch.position, batch.of, batch.total_rows))  # type: ignore[attr-defined]
        return calls(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(Webhook, "calls", noted)
    return found
