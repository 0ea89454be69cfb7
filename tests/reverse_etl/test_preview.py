"""A look ahead: counts, masked samples, exact bodies; nothing is sent and nothing written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reverse_etl import engine

if TYPE_CHECKING:
    from conftest import Receiver, Runner, Warehouse


def look(run: Runner, **arguments: object) -> engine.Preview:
    sync = arguments.pop("sync", None) or run.sync()
    given = {"published": run.warehouse.publish(), "ledger": run.ledger, "env": run.env}
    return engine.preview(sync, **(given | arguments))  # type: ignore[arg-type]


def test_counts_samples_and_bodies(run: Runner, warehouse: Warehouse, receiver: Receiver) -> None:
    for number in range(8):
        warehouse.add(f"c{number}", consent="denied" if number == 0 else "granted")
    seen = look(run, bodies=1)
    assert (seen.status, dict(seen.counts), seen.batches) == (
        "ready",
        {"add": 7, "suppressed": 1},
        4,
    )
    assert [sample.kind for sample in seen.samples] == ["add"] * 5 + ["suppressed"]
    assert dict(seen.samples[0].fields) == {"cart": 1.0, "email": "c…(14)", "name": "N…(5)"}
    assert seen.samples[-1].reason == "no_consent"
    assert "example.com" not in str(seen)
    (body,) = seen.bodies
    assert [row["key"] for row in json.loads(body.content)["rows"]] == ["c1", "c2"]
    assert not run.ledger.exists()
    assert receiver.requests == []
    # what is shown is what is sent
    run()
    assert receiver.requests[0].raw.decode() == body.content


def test_nothing_is_written_and_a_guard_is_heard(
    run: Runner, warehouse: Warehouse, receiver: Receiver
) -> None:
    for number in range(30):
        warehouse.add(f"c{number:02}")
    sync = run.sync(batch_rows=10)
    run(sync)
    for person in warehouse.people.values():
        person["in_audience"] = False
    tables = ("sync_runs", "sync_state", "sync_log", "sync_batches", "planned_rows")
    before = [run.rows(f"FROM {table} ORDER BY ALL") for table in tables]
    seen = look(run, sync=sync, bodies=2)
    assert (seen.status, dict(seen.counts)) == ("blocked", {"remove": 30})
    assert "--accept" in str(seen.error)
    assert [run.rows(f"FROM {table} ORDER BY ALL") for table in tables] == before
    full = look(run, sync=run.sync(batch_rows=10, audience_table="aud_gone"))
    assert full.status == "failed"


def test_full_is_seen_before_it_is_sent(run: Runner, warehouse: Warehouse) -> None:
    warehouse.add("c1")
    run()
    assert dict(look(run).counts) == {"unchanged": 1}
    assert dict(look(run, full=True).counts) == {"update": 1}
    assert run(full=True).rows_updated == 1


def test_a_missing_variable_is_said_when_bodies_are_asked_for(
    run: Runner, warehouse: Warehouse
) -> None:
    warehouse.add("c1")
    seen = look(run, bodies=1, env={})
    assert (seen.status, dict(seen.counts)) == ("failed", {"add": 1})
    assert "connection.url" in str(seen.error)


def test_row_keys_that_are_personal_data_are_masked(run: Runner, warehouse: Warehouse) -> None:
    warehouse.add("c1", first_name="+49 151 2345678")
    warehouse.add("c2", first_name="Zoë", consent="denied")
    seen = look(run, sync=run.sync(row_key="first_name"))
    assert [(sample.row_key, sample.customer_id) for sample in seen.samples] == [
        ("+…(15)", "c1"),
        ("Z…(3)", "c2"),
    ]
    assert look(run).samples[0].row_key == "c1"
