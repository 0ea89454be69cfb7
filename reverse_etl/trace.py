"""One customer in one sync: what the next plan would do with them, and what the ledger says.

The plan is the engine's own, made on a published file in miniature, which has the rows of this
customer and of those who share a row key with them. So it takes no longer for a million members, and
says what a run would say.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from reverse_etl import ledger, plan, quoting
from reverse_etl.declarations import Sync
from reverse_etl.difference import (
    ASSIGNMENTS_TABLE,
    CONSENTS_TABLE,
    DEFINITIONS_TABLE,
    GOLDEN_TABLE,
    HELD_OUT,
    PUBLISHED,
    source_table,
)

MINIATURE = "miniature"
SHOWN = 5
OF_CUSTOMERS = {
    "history": "from_customer_id",
    "experiment_assignments": "unit_id",
    "definitions": None,
    "experiments": None,
}
"""The column that says whose a row is, where it is not customer_id."""


@dataclass(frozen=True)
class Planned:
    """What the next run would do with a row, and why; `owner` has the key of a duplicate."""

    customer_id: str
    row_key: str
    kind: str
    reason: str | None
    owner: str | None


@dataclass(frozen=True)
class Row:
    """A row of the ledger's `sync_state`."""

    customer_id: str
    row_key: str
    status: str
    is_held: bool
    attempts: int
    error_code: str | None
    error: str | None
    first_failed_at: datetime | None
    synced_at: datetime | None


@dataclass(frozen=True)
class Sent:
    """A line of the ledger's log of their rows."""

    row_key: str
    operation: str
    status: str
    reason: str | None
    error: str | None
    sent_at: datetime | None


@dataclass(frozen=True)
class LastRun:
    """The newest run of the sync; times in UTC."""

    status: str
    rows_pending: int
    started_at: datetime
    finished_at: datetime | None
    error: str | None


@dataclass(frozen=True)
class Holdout:
    """A running experiment in whose control arm the customer is."""

    experiment_id: str
    assigned_at: datetime


@dataclass(frozen=True)
class Decision:
    """A decision about the sync's purpose and channel; `is_in_force` for the one that counts."""

    status: str
    decided_at: datetime
    record: str
    valid_from: datetime
    valid_to: datetime | None
    is_in_force: bool


@dataclass(frozen=True)
class Consent:
    """Decisions of a customer, the one in force first, and everything that they granted (`purpose
    by channel`)."""

    is_granted: bool
    decisions: tuple[Decision, ...]
    grants: tuple[str, ...]

    @property
    def in_force(self) -> Decision | None:
        return next((one for one in self.decisions if one.is_in_force), None)


@dataclass(frozen=True)
class Standing:
    """Everything that this sync knows of a customer."""

    planned: tuple[Planned, ...]
    rows: tuple[Row, ...]
    sent: tuple[Sent, ...]
    last_run: LastRun | None
    holdout: Holdout | None
    consent: Consent


def standing(published: Path, sync: Sync, customer_id: str) -> Standing:
    """How a customer stands in a sync, by today's published file. Raises plan.PlanError."""
    with (
        tempfile.TemporaryDirectory(prefix="mainstem_trace_") as folder,
        closing(ledger.connect(":memory:")) as con,
    ):
        plan.attach(con, sync, published)
        _concern(con, sync, customer_id)
        miniature = Path(folder) / published.name
        _shrink(con, sync, miniature)
        con.execute(f"DETACH {PUBLISHED}")
        plan.make(con, sync, miniature)
        plan.attach(con, sync, published)
        return Standing(
            planned=_planned(con, customer_id),
            rows=_rows(con, sync),
            sent=_sent(con, sync),
            last_run=_last_run(con, sync),
            holdout=_holdout(con, sync, customer_id),
            consent=_consent(con, sync, customer_id),
        )


def _concern(con: duckdb.DuckDBPyConnection, sync: Sync, customer_id: str) -> None:
    """Temporary tables: `former` ids of the customer, their row `keys`, and all customers
    `concerned`; and what the ledger has of them, as `sync_state`."""
    con.execute(
        """
        CREATE TEMP TABLE former AS
            SELECT customer_id FROM published.identity.resolve_forward
            WHERE current_customer_id = $1 UNION SELECT $1""",
        [customer_id],
    )
    audience = f"{source_table(sync)} a LEFT JOIN {GOLDEN_TABLE} g USING (customer_id)"
    key = f"{_key_sql(con, sync)}::VARCHAR"
    con.execute(
        f"""
        CREATE TEMP TABLE keys AS
            SELECT DISTINCT {key} AS row_key FROM {audience} WHERE a.customer_id = $1""",
        [customer_id],
    )
    con.execute(
        f"""
        CREATE TEMP TABLE concerned AS
            SELECT a.customer_id FROM {audience} WHERE {key} IN (FROM keys) UNION FROM former"""
    )
    con.execute(
        """
        INSERT INTO sync_state BY NAME
        FROM published.reverse_etl.sync_state
        WHERE sync_name = ? AND (customer_id IN (FROM former) OR row_key IN (FROM keys))""",
        [sync.name],
    )


def _key_sql(con: duckdb.DuckDBPyConnection, sync: Sync) -> str:
    """The row key as SQL over the audience `a` and golden_customers `g`."""
    mine = con.execute(
        """
        SELECT 1 FROM duckdb_columns() WHERE database_name = ? AND schema_name = ?
        AND table_name = ? AND column_name = ?""",
        [PUBLISHED, sync.audience_schema, sync.audience_table, sync.row_key],
    ).fetchall()
    return quoting.name("a" if mine else "g", sync.row_key)


def _shrink(con: duckdb.DuckDBPyConnection, sync: Sync, path: Path) -> None:
    """Write what a plan reads into a file of its own, with the rows of those concerned."""
    con.execute(f"ATTACH {quoting.text(str(path))} AS {MINIATURE}")
    for schema, table in ((sync.audience_schema, sync.audience_table), *plan.NEEDED):
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {quoting.name(MINIATURE, schema)}")
        of_whom = OF_CUSTOMERS.get(table, "customer_id")
        where = f"WHERE {of_whom} IN (FROM concerned)" if of_whom else ""
        con.execute(
            f"CREATE TABLE {quoting.name(MINIATURE, schema, table)} AS "
            f"FROM {quoting.name(PUBLISHED, schema, table)} {where}"
        )
    con.execute(f"DETACH {MINIATURE}")


def _planned(con: duckdb.DuckDBPyConnection, customer_id: str) -> tuple[Planned, ...]:
    rows = con.execute(
        f"""
        SELECT p.customer_id, p.row_key, p.kind, p.reason, owner.customer_id
        FROM plan p
        LEFT JOIN plan owner
            ON p.reason = 'duplicate_row_key' AND owner.customer_id <> p.customer_id
            AND owner.row_key IN (FROM keys)
        WHERE p.customer_id IN (FROM former)
        ORDER BY p.customer_id <> $1, p.row_key LIMIT {SHOWN}""",
        [customer_id],
    ).fetchall()
    return tuple(Planned(*row) for row in rows)


def _rows(con: duckdb.DuckDBPyConnection, sync: Sync) -> tuple[Row, ...]:
    rows = con.execute(
        f"""
        SELECT customer_id, row_key, status, is_held, attempts, last_error_code, last_error, first_failed_at,
            synced_at
        FROM sync_state WHERE sync_name = ? AND customer_id IN (FROM former)
        ORDER BY is_held DESC, synced_at DESC NULLS LAST, row_key LIMIT {SHOWN}""",
        [sync.name],
    ).fetchall()
    return tuple(Row(*row) for row in rows)


def _sent(con: duckdb.DuckDBPyConnection, sync: Sync) -> tuple[Sent, ...]:
    rows = con.execute(
        f"""
        SELECT row_key, operation, status, reason, error, sent_at
        FROM published.reverse_etl.sync_log
        WHERE sync_run_id IN (
                SELECT sync_run_id FROM published.reverse_etl.sync_runs
                WHERE sync_name = ?)
            AND row_key IN (FROM keys UNION
                SELECT row_key FROM sync_state WHERE customer_id IN (FROM former))
        ORDER BY sent_at DESC NULLS LAST, row_key LIMIT {SHOWN}""",
        [sync.name],
    ).fetchall()
    return tuple(Sent(*row) for row in rows)


def _last_run(con: duckdb.DuckDBPyConnection, sync: Sync) -> LastRun | None:
    rows = con.execute(
        """
        SELECT status, rows_pending, started_at, finished_at, error
        FROM published.reverse_etl.sync_runs
        WHERE sync_name = ? ORDER BY started_at DESC, sync_run_id LIMIT 1""",
        [sync.name],
    ).fetchall()
    return LastRun(*rows[0]) if rows else None


def _holdout(con: duckdb.DuckDBPyConnection, sync: Sync, customer_id: str) -> Holdout | None:
    rows = con.execute(
        f"""
        SELECT experiment_id, assigned_at FROM {ASSIGNMENTS_TABLE}
        WHERE unit_id = $customer AND variant = 'control' AND unit_id IN ({HELD_OUT})
          AND experiment_id IN (
                SELECT experiment_id FROM {DEFINITIONS_TABLE} WHERE audience_id = $audience)
        ORDER BY ALL LIMIT 1""",
        {"audience": sync.audience_id, "customer": customer_id},
    ).fetchall()
    return Holdout(*rows[0]) if rows else None


def _consent(con: duckdb.DuckDBPyConnection, sync: Sync, customer_id: str) -> Consent:
    """Decisions by any of the customer's identifiers, as marts.customer_consents finds them."""
    decisions = con.execute(
        f"""
        SELECT DISTINCT c.status, c.consented_at, c.consent_id, c.valid_from, c.valid_to,
            coalesce(c.consent_id = (
                SELECT consent_id FROM {CONSENTS_TABLE}
                WHERE customer_id = $customer AND purpose = $purpose AND channel = $channel
            ), false) AS is_in_force
        FROM published.canonical.consents c
        JOIN published.identity.normalised_values n
            ON n.identifier_type = c.identifier_type AND n.given_value = trim(c.identifier_value)
        JOIN published.marts.customer_identifiers i
            ON i.identifier_type = n.identifier_type AND i.identifier_value = n.identifier_value
        WHERE i.customer_id = $customer AND c.purpose = $purpose AND c.channel = $channel
        ORDER BY is_in_force DESC, c.consented_at DESC, c.consent_id LIMIT {SHOWN}""",
        {"customer": customer_id, "purpose": sync.consent_purpose, "channel": sync.channel},
    ).fetchall()
    grants = con.execute(
        f"""
        SELECT DISTINCT purpose || ' by ' || channel FROM {CONSENTS_TABLE}
        WHERE customer_id = ? AND status = 'granted' ORDER BY ALL""",
        [customer_id],
    ).fetchall()
    names = tuple(name for (name,) in grants)
    return Consent(
        is_granted=f"{sync.consent_purpose} by {sync.channel}" in names,
        decisions=tuple(Decision(*row) for row in decisions),
        grants=names,
    )
