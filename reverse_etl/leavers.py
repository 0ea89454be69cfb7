"""Who is held by a destination, is wanted there no more and has to go, and why."""

from reverse_etl.declarations import Sync
from reverse_etl.destination import Capabilities
from reverse_etl.difference import (
    GOLDEN_TABLE,
    GRANTED,
    HISTORY_TABLE,
    LEAVING_MODES,
    given_key,
    members_sql,
    source_join,
    wanted_sql,
)
from reverse_etl.payload import Columns


def leavers_sql(
    sync: Sync, capabilities: Capabilities, columns: Columns, *, any_shared: bool, any_held: bool
) -> str:
    """The statement that makes the temporary table `leavers`: who is held, is wanted no more and has
    to go, and why. What became of a customer who was merged is asked of whom they became.

    Where nobody is held (`any_held`) DuckDB sees that nobody leaves, and reads nothing."""
    keys = (
        f"SELECT {given_key(sync, columns)} AS row_key FROM {source_join(sync)}"
        if not any_shared
        else f"WITH {members_sql(sync, capabilities, columns, any_shared=True)}, {wanted_sql(True)} "
        "SELECT row_key FROM wanted"
    )
    leaves = "true" if sync.mode in LEAVING_MODES else "false"
    return f"""
CREATE OR REPLACE TEMP TABLE leavers AS
WITH RECURSIVE gone AS MATERIALIZED (
    SELECT k.* FROM sync_state k ANTI JOIN ({keys}) w ON w.row_key = k.row_key
    WHERE k.sync_name = $name AND k.is_held AND {any_held and sync.mode != "events"}
),
merges AS (
    SELECT from_customer_id, to_customer_id FROM {HISTORY_TABLE} WHERE event = 'merge'
),
onward AS (
    SELECT from_customer_id AS customer_id, to_customer_id
    FROM merges WHERE from_customer_id IN (SELECT customer_id FROM gone)
    UNION
    SELECT o.customer_id, m.to_customer_id
    FROM onward o JOIN merges m ON m.from_customer_id = o.to_customer_id
),
granted AS MATERIALIZED (
    SELECT customer_id FROM ({GRANTED})
    WHERE customer_id IN (SELECT customer_id FROM gone UNION ALL SELECT to_customer_id FROM onward)
),
survivors AS (
    SELECT customer_id, bool_or(to_customer_id IN (FROM granted)) AS is_granted
    FROM onward GROUP BY ALL
),
there AS (
    SELECT customer_id FROM {GOLDEN_TABLE} WHERE customer_id IN (SELECT customer_id FROM gone)
),
told AS (
    SELECT g.*, coalesce(g.customer_id IN (FROM granted), false) AS is_granted,
        CASE WHEN s.is_granted THEN 'merged'
             WHEN g.customer_id IN (FROM granted) THEN 'left_audience'
             WHEN s.customer_id IS NULL AND g.customer_id NOT IN (FROM there) THEN 'deleted'
             ELSE 'no_consent' END AS reason
    FROM gone g LEFT JOIN survivors s ON s.customer_id = g.customer_id
)
SELECT * FROM told WHERE NOT is_granted OR {leaves}"""
