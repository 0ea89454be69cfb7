"""One customer in one sync: what the next plan would do with them, and what the ledger says.

The plan is the engine's own, made in miniature (reverse_etl.miniature), so it says what a run would
say, and takes no longer for a million members.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from reverse_etl import ledger, miniature, plan
from reverse_etl.declarations import Sync
from reverse_etl.difference import (
    ASSIGNMENTS_TABLE,
    CONSENTS_TABLE,
    DEFINITIONS_TABLE,
    HELD_OUT,
)

SHOWN = 5


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
    with closing(ledger.connect(":memory:")) as con:
        miniature.plan_for(con, sync, published, customer_id)
        plan.attach(con, sync, published)
        return Standing(
            planned=_planned(con, customer_id),
            rows=_rows(con, sync),
            sent=_sent(con, sync),
            last_run=_last_run(con, sync),
            holdout=_holdout(con, sync, customer_id),
            consent=_consent(con, sync, customer_id),
        )


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
        WITH mine AS MATERIALIZED (
            SELECT identifier_type, identifier_value FROM published.marts.customer_identifiers
            WHERE customer_id = $customer
        ),
        spelt AS MATERIALIZED (
            SELECT DISTINCT identifier_type, given_value FROM published.identity.normalised_values
            WHERE (identifier_type, identifier_value) IN (FROM mine)
        ),
        in_force AS MATERIALIZED (
            SELECT consent_id FROM {CONSENTS_TABLE}
            WHERE customer_id = $customer AND purpose = $purpose AND channel = $channel
        )
        SELECT status, consented_at, consent_id, valid_from, valid_to,
            consent_id IN (FROM in_force) AS is_in_force
        FROM published.canonical.consents
        -- trimming a million values takes as long as all the rest: spaces are put on these few
        WHERE ((identifier_type, identifier_value) IN (
                SELECT identifier_type, unnest([given_value, given_value || ' ', ' ' || given_value])
                FROM spelt) OR consent_id IN (FROM in_force))
          AND purpose = $purpose AND channel = $channel
        ORDER BY is_in_force DESC, consented_at DESC, consent_id LIMIT {SHOWN}""",
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
