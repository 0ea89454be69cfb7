"""The plan of a sync: the difference between who should be there and what was sent, as one query.

`make` leaves a temporary table `plan` in the ledger's connection, one row a row key: row_key,
customer_id, kind (add | update | remove | suppressed | invalid | unchanged), reason, payload (JSON
text, only for what is sent), payload_hash, position (the order of sending; NULL for what is not
sent), is_held (the destination has it, or may), is_news (the ledger has to note something).

Consent is compiled in: only customers whose decision in force for (the audience's purpose, the
sync's channel) is `granted` are sent. Who was sent before and is not granted any more is removed,
in every mode, before anything else is sent; in mode `mirror`, who left the audience is too.

Whom a running experiment of the audience holds out is suppressed with the reason `holdout`, and in
mode `mirror` removed if the destination has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from reverse_etl import quoting
from reverse_etl.declarations import GOLDEN, Sync, nearest
from reverse_etl.ledger import OpenRun

PUBLISHED = "published"
GOLDEN_TABLE = quoting.name(PUBLISHED, "marts", GOLDEN)
CONSENTS_TABLE = quoting.name(PUBLISHED, "marts", "customer_consents")
HISTORY_TABLE = quoting.name(PUBLISHED, "identity", "history")
DEFINITIONS_TABLE = quoting.name(PUBLISHED, "audiences", "definitions")
EXPERIMENTS_TABLE = quoting.name(PUBLISHED, "canonical", "experiments")
ASSIGNMENTS_TABLE = quoting.name(PUBLISHED, "canonical", "experiment_assignments")
NEEDED = (
    ("marts", GOLDEN),
    ("marts", "customer_consents"),
    ("identity", "history"),
    ("audiences", "definitions"),
    ("canonical", "experiments"),
    ("canonical", "experiment_assignments"),
)


class PlanError(Exception):
    """The plan cannot be made; the message names the sync's file and what to look at."""


@dataclass(frozen=True)
class Columns:
    """Column name → DuckDB type of the two relations that a payload draws from."""

    audience: dict[str, str]
    golden: dict[str, str]


def make(
    con: duckdb.DuckDBPyConnection, sync: Sync, published: Path, run: OpenRun | None = None
) -> None:
    """Write the temporary table `plan`; the published file is closed again when this returns.

    `run` is the run that the plan is for; rows it has already been answered about are not planned a
    second time. Raises PlanError.
    """
    attach(con, sync, published)
    try:
        write(con, sync, run)
    finally:
        con.execute(f"DETACH {PUBLISHED}")


def write(con: duckdb.DuckDBPyConnection, sync: Sync, run: OpenRun | None = None) -> None:
    """The same where the published tables are attached already, as `published`."""
    try:
        columns = _columns(con, sync)
        con.execute(
            _plan_sql(sync, columns),
            {
                "name": sync.name,
                "mode": sync.mode,
                "purpose": sync.consent_purpose,
                "channel": sync.channel,
                "audience": sync.audience_id,
                "run": run.sync_run_id if run else None,
            },
        )
    except duckdb.Error as error:
        # DuckDB's messages can quote values of rows, so only their kind is passed on
        raise PlanError(
            f"{sync.path}: exposure {sync.name}: its rows cannot be computed from the "
            f"published file ({type(error).__name__}): look at {sync.audience_id} and at "
            "config.meta.sync.fields"
        ) from None


def attach(
    con: duckdb.DuckDBPyConnection, sync: Sync, published: Path, name: str = PUBLISHED
) -> None:
    """Attach the published file read-only; raises PlanError if it is not there or is locked."""
    try:
        con.execute(f"ATTACH {quoting.text(str(published))} AS {name} (READ_ONLY)")
    except duckdb.Error as error:
        hint = "does not exist" if not published.exists() else f"opens not ({type(error).__name__})"
        raise PlanError(
            f"{sync.path}: exposure {sync.name}: the published file {published.name} {hint}: "
            "run `mainstem run`"
        ) from None


def no_longer_allowed(
    con: duckdb.DuckDBPyConnection, sync: Sync, published: Path, run: OpenRun
) -> list[int]:
    """Numbers of the batches in flight that hold an upsert of somebody who withdrew or is held out."""
    attach(con, sync, published)
    try:
        _columns(con, sync)
        rows = con.execute(
            f"""
            SELECT DISTINCT batch_number FROM planned_rows p
            JOIN sync_batches b USING (sync_run_id, batch_number)
            WHERE sync_run_id = $run AND b.status = 'sent' AND p.kind <> 'remove'
              AND (p.customer_id NOT IN ({granted_sql()})
                   OR p.customer_id IN ({held_out_sql()}))
            ORDER BY ALL""",
            {
                "run": run.sync_run_id,
                "purpose": sync.consent_purpose,
                "channel": sync.channel,
                "audience": sync.audience_id,
            },
        ).fetchall()
    finally:
        con.execute(f"DETACH {PUBLISHED}")
    return [number for (number,) in rows]


def key_sql(con: duckdb.DuckDBPyConnection, sync: Sync, database: str) -> str:
    """The row key as SQL over the audience `a` and golden_customers `g`. Raises PlanError."""
    return _source(sync.row_key, _columns(con, sync, database))[0]


def _columns(con: duckdb.DuckDBPyConnection, sync: Sync, database: str = PUBLISHED) -> Columns:
    """The columns at hand; raises PlanError for a relation or a column that is not there."""
    rows = con.execute(
        "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = ? ORDER BY ALL",
        [database],
    ).fetchall()
    relations: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, data_type in rows:
        relations.setdefault((schema, table), {})[column] = data_type
    audience = (sync.audience_schema, sync.audience_table)
    for relation in (audience, *NEEDED):
        if relation not in relations:
            raise PlanError(
                f"{sync.path}: exposure {sync.name}: {'.'.join(relation)} is not in the published "
                "file: run `mainstem run` and look at what failed before publishing"
            )
    columns = Columns(relations[audience], relations["marts", GOLDEN])
    known = columns.audience.keys() | columns.golden.keys()
    for column in ("customer_id", sync.row_key, *(column for _, column in sync.fields)):
        if column not in known:
            raise PlanError(
                f"{sync.path}: exposure {sync.name}, config.meta.sync: no column {column} in "
                f"{sync.audience_id} or {GOLDEN}; {nearest(column, known)}"
            )
    return columns


def granted_sql() -> str:
    """Customers whose decision in force for ($purpose, $channel) is `granted`."""
    return f"""SELECT customer_id FROM {CONSENTS_TABLE}
                WHERE purpose = $purpose AND channel = $channel AND status = 'granted'
                  AND customer_id IS NOT NULL"""


def held_out_sql(columns: str = "unit_id") -> str:
    """Customers in the control arm of a running experiment of $audience."""
    return f"""SELECT {columns} FROM {ASSIGNMENTS_TABLE}
                JOIN {EXPERIMENTS_TABLE} USING (experiment_id)
                WHERE variant = 'control' AND is_running AND kind = 'audience_holdout'
                  AND experiment_id IN (SELECT experiment_id FROM {DEFINITIONS_TABLE}
                                        WHERE audience_id = $audience)"""


def _plan_sql(sync: Sync, columns: Columns) -> str:
    audience = quoting.name(PUBLISHED, sync.audience_schema, sync.audience_table)
    return f"""
CREATE OR REPLACE TEMP TABLE plan AS
WITH granted AS (
    SELECT DISTINCT customer_id FROM ({granted_sql()})
),
held_out AS (
    SELECT DISTINCT unit_id AS customer_id FROM ({held_out_sql()})
),
merged AS (
    SELECT DISTINCT from_customer_id AS customer_id FROM {HISTORY_TABLE} WHERE event = 'merge'
),
members AS (
    SELECT
        a.customer_id::VARCHAR AS customer_id,
        nullif({_source(sync.row_key, columns)[0]}::VARCHAR, '') AS given_key,
        {_payload_sql(sync.fields, columns)} AS payload,
        {_missing_sql(sync, columns)} AS missing,
        c.customer_id IS NOT NULL AS is_granted,
        h.customer_id IS NOT NULL AS is_held_out
    FROM {audience} a
    LEFT JOIN {GOLDEN_TABLE} g ON g.customer_id = a.customer_id
    LEFT JOIN granted c ON c.customer_id = a.customer_id
    LEFT JOIN held_out h ON h.customer_id = a.customer_id
),
shared_keys AS (
    SELECT given_key FROM members GROUP BY given_key HAVING count(*) > 1 OR given_key IS NULL
),
sharers AS (
    -- of several customers with one key one who may be sent owns it, then the smallest id
    SELECT m.*, row_number() OVER (
        PARTITION BY m.given_key
        ORDER BY is_granted AND NOT is_held_out DESC, is_granted DESC, customer_id, payload) AS nth
    FROM members m JOIN shared_keys k ON m.given_key IS NOT DISTINCT FROM k.given_key
),
wanted AS (
    SELECT given_key AS row_key, customer_id, payload, missing, is_granted, is_held_out
    FROM members WHERE given_key NOT IN (FROM shared_keys WHERE given_key IS NOT NULL)
    UNION ALL
    SELECT
        CASE WHEN given_key IS NOT NULL AND nth = 1 THEN given_key
             ELSE concat('customer_id=', customer_id, '#', nth) END,
        customer_id, payload,
        CASE WHEN given_key IS NULL THEN 'no_row_key'
             WHEN nth > 1 THEN 'duplicate_row_key' ELSE missing END,
        is_granted, is_held_out
    FROM sharers
),
hashed AS (
    SELECT *, sha256(payload)[:32] AS payload_hash FROM wanted
),
known AS (
    SELECT s.*, g.customer_id IS NOT NULL AS still_granted, m.customer_id IS NOT NULL AS is_merged
    FROM sync_state s
    LEFT JOIN granted g ON g.customer_id = s.customer_id
    LEFT JOIN merged m ON m.customer_id = s.customer_id
    WHERE s.sync_name = $name
),
compared AS (
    SELECT
        coalesce(w.row_key, k.row_key) AS row_key,
        coalesce(w.customer_id, k.customer_id) AS customer_id,
        w.payload, w.payload_hash, coalesce(k.is_held, false) AS is_held,
        CASE
            WHEN w.row_key IS NULL AND NOT k.is_held THEN NULL
            WHEN w.row_key IS NULL AND (NOT k.still_granted OR $mode = 'mirror') THEN 'remove'
            WHEN w.row_key IS NULL THEN NULL
            WHEN NOT w.is_granted AND k.is_held THEN 'remove'
            WHEN w.is_held_out AND k.is_held AND $mode = 'mirror' THEN 'remove'
            WHEN NOT w.is_granted OR w.is_held_out THEN 'suppressed'
            WHEN w.missing IS NOT NULL THEN 'invalid'
            WHEN k.row_key IS NULL OR NOT k.is_held THEN 'add'
            WHEN k.status = 'synced' AND k.payload_hash = w.payload_hash THEN 'unchanged'
            ELSE 'update'
        END AS kind,
        CASE
            WHEN w.row_key IS NULL AND k.is_merged THEN 'merged'
            WHEN w.row_key IS NULL AND k.still_granted THEN 'left_audience'
            WHEN w.row_key IS NULL OR NOT w.is_granted THEN 'no_consent'
            WHEN w.is_held_out THEN 'holdout'
            ELSE w.missing
        END AS reason,
        k.status AS known_status, k.payload_hash AS known_hash, k.last_error_code AS known_error,
        k.customer_id AS known_customer
    FROM hashed w FULL JOIN known k ON k.row_key = w.row_key
),
answered AS (
    SELECT DISTINCT row_key, status FROM sync_log
    WHERE sync_run_id = $run AND status IN ('ok', 'rejected')
),
due AS (
    -- a run that goes on after a kill does not count again what it has been answered about
    SELECT c.*
    FROM compared c LEFT JOIN answered d ON d.row_key = c.row_key
    WHERE c.kind IS NOT NULL AND NOT coalesce(
        (d.status = 'ok' AND c.kind IN ('unchanged', 'suppressed'))
        OR (d.status = 'rejected' AND c.known_status = 'rejected'
            AND c.payload_hash IS NOT DISTINCT FROM c.known_hash), false)
)
SELECT
    row_key, customer_id, kind, reason,
    CASE kind WHEN 'add' THEN payload WHEN 'update' THEN payload WHEN 'remove' THEN '{{}}' END
        AS payload,
    CASE WHEN kind <> 'remove' THEN payload_hash END AS payload_hash,
    CASE WHEN kind IN ('add', 'update', 'remove') THEN row_number() OVER (
        PARTITION BY kind IN ('add', 'update', 'remove')
        ORDER BY CASE WHEN kind = 'remove' AND reason = 'no_consent' THEN 0
                      WHEN kind = 'remove' THEN 1 WHEN kind = 'update' THEN 2 ELSE 3 END,
            row_key) END AS position,
    is_held,
    CASE kind
        WHEN 'invalid' THEN known_status IS DISTINCT FROM 'parked'
            OR known_error IS DISTINCT FROM reason OR known_hash IS DISTINCT FROM payload_hash
        WHEN 'unchanged' THEN known_customer IS DISTINCT FROM customer_id
        ELSE false
    END AS is_news
FROM due"""


def _source(column: str, columns: Columns) -> tuple[str, str]:
    """A column as SQL, and its type: the audience's own, else that of golden_customers."""
    if column in columns.audience:
        return quoting.name("a", column), columns.audience[column]
    return quoting.name("g", column), columns.golden[column]


def _payload_sql(fields: Sequence[tuple[str, str]], columns: Columns) -> str:
    """The payload as stable JSON text: sorted by field, so that the order in YAML is no change."""
    pairs = (
        f"{quoting.text(target)}, {_json_value(*_source(column, columns))}"
        for target, column in sorted(fields)
    )
    return f"json_object({', '.join(pairs)})::VARCHAR"


def _json_value(value: str, data_type: str) -> str:
    """A value for JSON: UTC times as ISO 8601, bytes as base64, no NaN; decimals are exact."""
    if data_type.startswith("TIMESTAMP") and not data_type.endswith("[]"):
        zone = "" if "TIME ZONE" in data_type else "::TIMESTAMP"
        return f"strftime({value}{zone}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    if data_type in {"DOUBLE", "FLOAT"}:
        return f"CASE WHEN isfinite({value}) THEN {value} END"
    if data_type == "BLOB":
        return f"base64({value})"
    return value


def _missing_sql(sync: Sync, columns: Columns) -> str:
    """The first required field without a value, as a reason; NULL if there is none."""
    sources = dict(sync.fields)
    whens = "".join(
        f" WHEN nullif(trim({_source(sources[target], columns)[0]}::VARCHAR), '') IS NULL"
        f" THEN {quoting.text(f'missing_{target}')}"
        for target in sync.required
    )
    return f"CASE{whens} END" if whens else "NULL::VARCHAR"
