"""What stops a sync before it does something that nobody may have meant: too many removals, an
empty source, fields that are not what they were."""

import json
from dataclasses import dataclass
from datetime import datetime

import duckdb

from reverse_etl.declarations import Sync
from reverse_etl.difference import MUST_GO
from reverse_etl.plan import Basis

# a small audience may well lose a fifth of itself, or everybody
FEW_ROWS = 20


@dataclass(frozen=True)
class _Stake:
    held: int
    leaving: int
    is_anything_due: bool


def objection(con: duckdb.DuckDBPyConnection, sync: Sync, basis: Basis) -> str | None:
    """Why the plan that was just made (the temporary view `plan`) should be looked at first.

    Withdrawals of consent and customers deleted at their source are nobody's mistake here: they
    do not count, and are removed whatever is said.
    """
    stake = _stake(con, sync)
    reasons = [
        reason
        for reason in (
            _emptiness(sync, basis, stake),
            _departures(sync, stake),
            _reshaping(con, sync, basis, stake),
        )
        if reason
    ]
    if not reasons:
        return None
    return (
        f"{'; '.join(reasons)}. Nothing was sent but removals of those who withdrew consent. "
        f"Look at it with `mainstem sync {sync.name} --dry-run`; if it is meant, let it through "
        f"once with `mainstem sync {sync.name} --accept`"
    )


def nothing_known(con: duckdb.DuckDBPyConnection, sync: Sync, basis: Basis) -> str | None:
    """Why not even removals can be trusted: a table without a row says that nobody consented."""
    empty = [
        name
        for name, rows in (
            ("marts.customer_consents", basis.consents),
            ("marts.golden_customers", basis.customers),
        )
        if rows == 0
    ]
    if not empty or _stake(con, sync).held <= FEW_ROWS:
        return None
    return f"{' and '.join(empty)} in the published file has no row"


def remember_shape(con: duckdb.DuckDBPyConnection, sync: Sync, basis: Basis, at: datetime) -> None:
    """Note the fields and types that the destination has been brought up to date with."""
    con.execute("DELETE FROM sync_shapes WHERE sync_name = ?", [sync.name])
    con.execute("INSERT INTO sync_shapes VALUES (?, ?, ?)", [sync.name, basis.shape, at])


def _stake(con: duckdb.DuckDBPyConnection, sync: Sync) -> _Stake:
    (found,) = con.execute(
        f"""
        SELECT (SELECT count(*) FROM sync_state WHERE sync_name = ? AND is_held),
            count(*) FILTER (kind = 'remove' AND reason NOT IN {MUST_GO}),
            count(*) FILTER (kind IN ('add', 'update', 'remove')) > 0
        FROM plan""",
        [sync.name],
    ).fetchall()
    return _Stake(*found)


def _emptiness(sync: Sync, basis: Basis, stake: _Stake) -> str | None:
    if basis.source_rows or sync.guards.allow_empty or stake.held <= FEW_ROWS:
        return None
    return (
        f"{sync.audience_id} has no row, and {sync.destination} holds {stake.held:,} "
        "(guards.allow_empty)"
    )


def _departures(sync: Sync, stake: _Stake) -> str | None:
    if stake.held <= FEW_ROWS:
        return None
    percent = 100 * stake.leaving / stake.held
    if percent <= sync.guards.max_removed_percent:
        return None
    return (
        f"{stake.leaving:,} of {stake.held:,} rows would be removed ({percent:.0f} %, "
        f"guards.max_removed_percent is {sync.guards.max_removed_percent:g})"
    )


def _reshaping(
    con: duckdb.DuckDBPyConnection, sync: Sync, basis: Basis, stake: _Stake
) -> str | None:
    rows = con.execute("SELECT shape FROM sync_shapes WHERE sync_name = ?", [sync.name]).fetchall()
    if not rows or not stake.held or not stake.is_anything_due or rows[0][0] == basis.shape:
        return None
    before, now = json.loads(rows[0][0]), json.loads(basis.shape)
    changes = [
        f"{field}: {before.get(field, 'not there')} → {now.get(field, 'not there')}"
        for field in sorted(before.keys() | now.keys())
        if before.get(field) != now.get(field)
    ]
    return f"the fields are not those of the last run ({', '.join(changes)})"
