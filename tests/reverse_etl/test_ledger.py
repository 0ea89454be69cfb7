"""A ledger of an earlier layout goes on as if it had always been of today's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest

from reverse_etl import ledger, projection, room

if TYPE_CHECKING:
    from conftest import Receiver, Runner, Warehouse

FORMER = """
    CREATE TABLE sync_runs (
        sync_run_id VARCHAR PRIMARY KEY, sync_name VARCHAR, destination VARCHAR,
        audience_id VARCHAR, status VARCHAR, rows_planned BIGINT DEFAULT 0,
        rows_added BIGINT DEFAULT 0, rows_updated BIGINT DEFAULT 0, rows_removed BIGINT DEFAULT 0,
        rows_rejected BIGINT DEFAULT 0, rows_invalid BIGINT DEFAULT 0,
        rows_suppressed BIGINT DEFAULT 0, rows_unchanged BIGINT DEFAULT 0,
        rows_pending BIGINT DEFAULT 0, requests BIGINT DEFAULT 0, bytes_sent BIGINT DEFAULT 0,
        started_at TIMESTAMP, finished_at TIMESTAMP, error VARCHAR, run_id VARCHAR);
    CREATE TABLE sync_state (
        sync_name VARCHAR, row_key VARCHAR, customer_id VARCHAR, payload_hash VARCHAR,
        status VARCHAR, is_held BOOLEAN, remote_id VARCHAR, attempts INTEGER,
        last_error_code VARCHAR, last_error VARCHAR,
        first_failed_at TIMESTAMP, synced_at TIMESTAMP, run_id VARCHAR,
        PRIMARY KEY (sync_name, row_key));
    CREATE TABLE sync_log (
        sync_run_id VARCHAR, row_key VARCHAR, operation VARCHAR, status VARCHAR, reason VARCHAR,
        http_status INTEGER, attempts INTEGER, error VARCHAR, idempotency_key VARCHAR,
        sent_at TIMESTAMP);
    CREATE TABLE planned_rows (
        sync_run_id VARCHAR, batch_number INTEGER, position BIGINT, row_key VARCHAR,
        customer_id VARCHAR, kind VARCHAR, reason VARCHAR, payload VARCHAR, payload_hash VARCHAR);
    CREATE TABLE sync_batches (
        sync_run_id VARCHAR, batch_number INTEGER, idempotency_key VARCHAR, status VARCHAR,
        row_count BIGINT, attempts INTEGER, sent_at TIMESTAMP, field_names VARCHAR[],
        PRIMARY KEY (sync_run_id, batch_number));
    CREATE VIEW dead_letters AS SELECT sync_name, row_key FROM sync_state WHERE status = 'parked';
    -- a run that was killed: c1 was answered, c2 is in flight, c3 was not sent
    INSERT INTO sync_runs (sync_run_id, sync_name, destination, status, rows_planned, rows_added,
        rows_pending, requests) VALUES ('old', 'cart_to_email_tool', 'webhook', 'running', 3, 1, 2, 1);
    INSERT INTO sync_batches VALUES
        ('old', 1, 'k1', 'acknowledged', 1, 1, now(), ['email', 'name', 'cart']),
        ('old', 2, 'k2', 'sent', 1, 1, now(), ['email', 'name', 'cart']),
        ('old', 3, 'k3', 'planned', 1, 0, NULL, ['email', 'name', 'cart']);
    INSERT INTO planned_rows
        SELECT 'old', i, i, 'c' || i, 'c' || i, 'add', NULL, payload, sha256(payload)[:32]
        FROM (SELECT i, '{"cart":' || (i - 1) || '.00,"email":"c' || i || '@example.com","name":"Name'
            || (i - 1) || '"}' AS payload FROM range(1, 4) t(i));
    INSERT INTO sync_state
        SELECT 'cart_to_email_tool', row_key, row_key, payload_hash, 'synced', true, NULL, 0, NULL,
            NULL, NULL, now(), 'r' FROM planned_rows WHERE row_key = 'c1';
    INSERT INTO sync_log VALUES ('old', 'c1', 'upsert', 'ok', NULL, 200, 1, NULL, 'k1', now());
"""


@pytest.fixture
def former(run: Runner, warehouse: Warehouse) -> None:
    for name in ("c1", "c2", "c3"):
        warehouse.add(name)
    run.ledger.parent.mkdir(parents=True)
    with duckdb.connect(str(run.ledger)) as con:
        con.execute(FORMER)


@pytest.mark.usefixtures("former")
def test_a_run_that_was_killed_under_the_former_layout_is_finished(
    run: Runner, receiver: Receiver
) -> None:
    result = run()
    assert (result.status, result.is_resumed, result.sync_run_id) == ("succeeded", True, "old")
    assert (result.rows_planned, result.rows_added, result.rows_unchanged) == (3, 3, 0)
    assert receiver.requests[0].key == "k2"
    assert set(receiver.members) == {"c2", "c3"}
    assert run.rows("SELECT count(*), count(DISTINCT row_key) FROM sync_log") == [(3, 3)]
    assert run.rows("SELECT row_key, status FROM sync_state ORDER BY 1") == [
        ("c1", "synced"),
        ("c2", "synced"),
        ("c3", "synced"),
    ]
    assert run().requests == 0
    # another run, so that the defaults are seen to have survived
    run.warehouse.people["c1"]["first_name"] = "Changed"
    assert run().rows_updated == 1


@pytest.mark.usefixtures("former")
def test_both_layouts_are_projected_with_the_same_columns(run: Runner) -> None:
    columns = """SELECT table_name, column_name, data_type FROM duckdb_columns()
        WHERE schema_name = 'reverse_etl' ORDER BY ALL"""
    with duckdb.connect() as con:
        projection.write(con, run.ledger.with_name("none.duckdb"))
        none = con.execute(columns).fetchall()
        projection.write(con, run.ledger)
        assert con.execute(columns).fetchall() == none
        assert con.execute("SELECT count(*) FROM reverse_etl.sync_state").fetchall() == [(1,)]
    with ledger.connect(run.ledger) as con:
        keys = "FROM duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY'"
        assert con.execute(keys).fetchall() == []


def test_work_that_needs_more_memory_gets_it_and_not_without_end() -> None:
    tried: list[str] = []
    with ledger.connect(":memory:") as con:

        def work(enough: int) -> None:
            ((limit,),) = con.execute("SELECT current_setting('memory_limit')").fetchall()
            tried.append(limit)
            if len(tried) < enough:
                raise duckdb.OutOfMemoryException("not enough")

        room.with_room(con, 10, lambda: work(3))
        assert len(set(tried)) == 3
        tried.clear()
        with pytest.raises(duckdb.OutOfMemoryException):
            room.with_room(con, 1_000_000, lambda: work(9))
        assert len(tried) == 2
