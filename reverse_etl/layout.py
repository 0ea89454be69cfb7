"""The tables of the sync ledger, and how an older ledger gets to be like them."""

import duckdb

from reverse_etl import catalog

# the tables that are projected into the warehouse: one home for their columns
TABLES = {
    "sync_runs": {
        "sync_run_id": "VARCHAR",
        "sync_name": "VARCHAR",
        "destination": "VARCHAR",
        "audience_id": "VARCHAR",
        "status": "VARCHAR",
        "rows_planned": "BIGINT DEFAULT 0",
        "rows_added": "BIGINT DEFAULT 0",
        "rows_updated": "BIGINT DEFAULT 0",
        "rows_removed": "BIGINT DEFAULT 0",
        "rows_rejected": "BIGINT DEFAULT 0",
        "rows_invalid": "BIGINT DEFAULT 0",
        "rows_suppressed": "BIGINT DEFAULT 0",
        "rows_unchanged": "BIGINT DEFAULT 0",
        "rows_pending": "BIGINT DEFAULT 0",
        "requests": "BIGINT DEFAULT 0",
        "bytes_sent": "BIGINT DEFAULT 0",
        "started_at": "TIMESTAMP",
        "finished_at": "TIMESTAMP",
        "error": "VARCHAR",
        "run_id": "VARCHAR",
    },
    "sync_state": {
        "sync_name": "VARCHAR",
        "row_key": "VARCHAR",
        "customer_id": "VARCHAR",
        "payload_hash": "VARCHAR",
        "status": "VARCHAR",
        "is_held": "BOOLEAN",
        "remote_id": "VARCHAR",
        "attempts": "INTEGER",
        "last_error_code": "VARCHAR",
        "last_error": "VARCHAR",
        "first_failed_at": "TIMESTAMP",
        "synced_at": "TIMESTAMP",
        "run_id": "VARCHAR",
    },
    "sync_log": {
        "sync_run_id": "VARCHAR",
        "row_key": "VARCHAR",
        "operation": "VARCHAR",
        "status": "VARCHAR",
        "reason": "VARCHAR",
        "http_status": "INTEGER",
        "attempts": "INTEGER",
        "error": "VARCHAR",
        "idempotency_key": "VARCHAR",
        "sent_at": "TIMESTAMP",
    },
}
# columns of the tables above that stay in the ledger: a hash a field, to send only what changed
HIDDEN = {"sync_state": {"field_hashes": "MAP(VARCHAR, UBIGINT)"}}
# differ in every row: packing them takes longer than sending them, and saves half of their room
UNPACKED = {"sync_state": ("row_key", "customer_id", "payload_hash"), "sync_log": ("row_key",)}
INTERNAL = {
    "planned_rows": {
        "sync_run_id": "VARCHAR",
        "batch_number": "INTEGER",
        "position": "BIGINT",
        "row_key": "VARCHAR",
        "customer_id": "VARCHAR",
        "kind": "VARCHAR",
        "reason": "VARCHAR",
        "payload": "VARCHAR",
        "payload_hash": "VARCHAR",
        "field_hashes": "MAP(VARCHAR, UBIGINT)",
        "remote_id": "VARCHAR",
        "is_new": "BOOLEAN",
    },
    # status: planned → sent → answered → acknowledged (settled); or split (its halves are batches
    # of their own), abandoned (in flight, and must not be sent again). http_status of what is in
    # flight is 500 if that is all it was answered in its last tries (reverse_etl.halving)
    "sync_batches": {
        "sync_run_id": "VARCHAR",
        "batch_number": "INTEGER",
        "idempotency_key": "VARCHAR",
        "status": "VARCHAR",
        "row_count": "BIGINT",
        "payload_bytes": "BIGINT",
        "attempts": "INTEGER",
        "sent_at": "TIMESTAMP",
        "field_names": "VARCHAR[]",
        "field_types": "VARCHAR[]",
        "stage": "INTEGER",
        "place": "INTEGER",
        "of_places": "INTEGER",
        "total_rows": "BIGINT",
        "mode": "VARCHAR",
        "max_attempts": "INTEGER",
        "job_id": "VARCHAR",
        "http_status": "INTEGER",
        "requests": "BIGINT",
        "bytes_sent": "BIGINT",
        "answered_at": "TIMESTAMP",
    },
    # answers as they come, until they are settled: to append is all that is done while others are
    # under way
    "batch_answers": {
        "sync_run_id": "VARCHAR",
        "batch_number": "INTEGER",
        "http_status": "INTEGER",
        "requests": "BIGINT",
        "bytes_sent": "BIGINT",
        "answered_at": "TIMESTAMP",
    },
    # what was said about single rows of these batches
    "row_answers": {
        "sync_run_id": "VARCHAR",
        "batch_number": "INTEGER",
        "row_key": "VARCHAR",
        "error_code": "VARCHAR",
        "error": "VARCHAR",
        "remote_id": "VARCHAR",
        "is_there": "BOOLEAN",
    },
    # the fields and types that a destination was last brought up to date with, as JSON
    "sync_shapes": {"sync_name": "VARCHAR", "shape": "VARCHAR", "seen_at": "TIMESTAMP"},
}
DEAD_LETTERS = """
    SELECT sync_name, row_key, coalesce(last_error, last_error_code) AS reason, payload_hash,
        first_failed_at, attempts, status
    FROM sync_state WHERE status IN ('rejected', 'parked')"""


def ddl(columns: dict[str, str]) -> str:
    """Columns as they stand in CREATE TABLE."""
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


def lay_out(con: duckdb.DuckDBPyConnection) -> None:
    """Make what is missing; an older ledger gets its new columns and loses its keys.

    Rows are unique by construction; an index over a million of them would have to be in memory.
    """
    wanted = {name: columns | HIDDEN.get(name, {}) for name, columns in TABLES.items()} | INTERNAL
    for table, names in UNPACKED.items():
        for name in names:
            wanted[table][name] += " USING COMPRESSION uncompressed"
    # all of it is made in one transaction, so without the first there is none
    asked = (*wanted, "dead_letters") if catalog.columns(con, "sync_runs") else ()
    found = {table: catalog.columns(con, table) for table in asked}
    there = {table: set(columns) for table, columns in found.items() if columns}
    keyed = sorted(
        table for table in there if any(column.is_key for column in found[table].values())
    )
    con.begin()
    for table in keyed:
        con.execute(f"CREATE TABLE without_key ({ddl(wanted[table])})")
        con.execute(f"INSERT INTO without_key BY NAME FROM {table}")
        con.execute(f"DROP TABLE {table}")
        con.execute(f"ALTER TABLE without_key RENAME TO {table}")
        there[table] = set(wanted[table])
    for table, columns in wanted.items():
        if table not in there:
            con.execute(f"CREATE TABLE {table} ({ddl(columns)})")
        for name in [name for name in columns if table in there and name not in there[table]]:
            con.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} {columns[name]}")
    if "status" not in there.get("dead_letters", ()):
        con.execute(f"CREATE OR REPLACE VIEW dead_letters AS {DEAD_LETTERS}")
    con.commit()
