"""What the published file says of syncs: the last run of each, what is held, and what must hold.

Every query is asked of a connection that has the file attached as `published`, and counts: no row
of a customer leaves this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from reverse_etl.declarations import Sync
from reverse_etl.difference import GRANTED, HELD_OUT, LEAVING_MODES, source_table


@dataclass(frozen=True)
class Overview:
    """The last run of a sync (None before the first), and rows by what the ledger says of them."""

    status: str | None = None
    moved: int = 0
    pending: int = 0
    requests: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None
    held: int = 0
    rejected: int = 0
    parked: int = 0


@dataclass(frozen=True)
class Share:
    """Rows that the destination refused, of all rows the ledger has an opinion about (0..1)."""

    rejected: int
    rows: int

    @property
    def share(self) -> float:
        return self.rejected / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Leaks:
    """Rows without consent: `held` that have to be removed, `kept` where nothing can be removed."""

    held: int
    kept: int


@dataclass(frozen=True)
class Parity:
    """The audience against what the destination holds, in customers.

    `expected` are members with consent who are not held out; `missing` those of them who are
    neither there nor refused, invalid or pending; `surplus` (mode mirror) those who are there and
    are no members, or are held out, although nothing is pending.
    """

    expected: int
    held: int
    refused: int
    pending: int
    missing: int
    surplus: int

    @property
    def is_equal(self) -> bool:
        return self.missing + self.surplus <= self.pending


def overviews(con: duckdb.DuckDBPyConnection) -> dict[str, Overview]:
    """By sync name, declared or not, what is known of it."""
    rows = con.execute(
        """
        WITH last AS (
            SELECT * FROM published.reverse_etl.sync_runs
            QUALIFY row_number() OVER (
                PARTITION BY sync_name ORDER BY started_at DESC, sync_run_id) = 1
        ),
        state AS (
            SELECT sync_name, count(*) FILTER (is_held) AS held,
                count(*) FILTER (status = 'rejected') AS rejected,
                count(*) FILTER (status = 'parked') AS parked
            FROM published.reverse_etl.sync_state GROUP BY ALL
        )
        SELECT coalesce(last.sync_name, state.sync_name), status,
            coalesce(rows_added + rows_updated + rows_removed, 0), coalesce(rows_pending, 0),
            coalesce(requests, 0), started_at, finished_at, error,
            coalesce(held, 0), coalesce(rejected, 0), coalesce(parked, 0)
        FROM last FULL JOIN state USING (sync_name)
        ORDER BY ALL"""
    ).fetchall()
    return {name: Overview(*told) for name, *told in rows}


def last_success(con: duckdb.DuckDBPyConnection, sync: Sync) -> datetime | None:
    """When a run that had something to do succeeded last (UTC)."""
    ((at,),) = con.execute(
        "SELECT max(finished_at) FROM published.reverse_etl.sync_runs "
        "WHERE sync_name = ? AND status = 'succeeded'",
        [sync.name],
    ).fetchall()
    return at if isinstance(at, datetime) else None


def rejected_share(con: duckdb.DuckDBPyConnection, sync: Sync) -> Share:
    """How much of what should be there was refused and has not got through since."""
    ((rejected, rows),) = con.execute(
        """
        SELECT count(*) FILTER (status = 'rejected' OR (status = 'parked' AND attempts > 0)),
            count(*)
        FROM published.reverse_etl.sync_state WHERE sync_name = ?""",
        [sync.name],
    ).fetchall()
    return Share(rejected, rows)


def leaks(con: duckdb.DuckDBPyConnection, sync: Sync) -> Leaks:
    """Rows that the destination holds of customers without a granted decision in force.

    An event is of the past: what was sent under a consent of then is none.
    """
    if sync.mode == "events":
        return Leaks(0, 0)
    ((held, kept),) = con.execute(
        f"""
        SELECT count(*) FILTER (status <> 'suppressed'), count(*) FILTER (status = 'suppressed')
        FROM published.reverse_etl.sync_state
        WHERE sync_name = $name AND is_held
          AND (customer_id IS NULL OR customer_id NOT IN ({GRANTED}))""",
        {"name": sync.name, "purpose": sync.consent_purpose, "channel": sync.channel},
    ).fetchall()
    return Leaks(held, kept)


def parity(con: duckdb.DuckDBPyConnection, sync: Sync) -> Parity:
    """Whether audience and ledger say the same."""
    ((expected, held, refused, pending, missing, surplus),) = con.execute(
        f"""
        WITH members AS (SELECT DISTINCT customer_id FROM {source_table(sync)}),
        expected AS (
            SELECT customer_id FROM members
            WHERE customer_id IN ({GRANTED})
              AND customer_id NOT IN ({HELD_OUT})
        ),
        state AS (
            SELECT customer_id, bool_or(is_held) AS is_held,
                bool_or(status IN ('rejected', 'parked')
                    -- update_only: the destination does not have it
                    OR (status = 'suppressed' AND last_error_code = 'not_there')) AS is_refused
            FROM published.reverse_etl.sync_state WHERE sync_name = $name GROUP BY ALL
        )
        SELECT
            (SELECT count(*) FROM expected),
            (SELECT count(*) FROM state WHERE is_held),
            (SELECT count(*) FROM state WHERE is_refused AND NOT is_held),
            coalesce((SELECT rows_pending FROM published.reverse_etl.sync_runs
                      WHERE sync_name = $name ORDER BY started_at DESC, sync_run_id LIMIT 1), 0),
            (SELECT count(*) FROM expected ANTI JOIN (
                FROM state WHERE is_held OR is_refused) USING (customer_id)),
            (SELECT count(*) FROM state ANTI JOIN expected USING (customer_id) WHERE is_held)""",
        {
            "name": sync.name,
            "purpose": sync.consent_purpose,
            "channel": sync.channel,
            "audience": sync.audience_id,
        },
    ).fetchall()
    # only a mirror removes who has left; who may not be there at all is what `leaks` counts
    return Parity(
        expected,
        held,
        refused,
        pending,
        missing,
        surplus if sync.mode in LEAVING_MODES else 0,
    )
