"""The plan of a sync for one customer: the engine's own, on a published file in miniature.

The miniature has the rows of this customer and of those who share a row key with them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb

from reverse_etl import catalog, plan, quoting
from reverse_etl.declarations import Sync
from reverse_etl.difference import GOLDEN_TABLE, PUBLISHED, source_table

MINIATURE = "miniature"
OF_CUSTOMERS = {
    "history": "from_customer_id",
    "experiment_assignments": "unit_id",
    "definitions": None,
    "experiments": None,
}
"""The column that says whose a row is, where it is not customer_id."""


def plan_for(con: duckdb.DuckDBPyConnection, sync: Sync, published: Path, customer_id: str) -> None:
    """Make the temporary view `plan` for one customer in a new ledger, `con`, in memory.

    Leaves there too: `former`, the ids that stand for the customer today; `keys`, their row keys;
    and in `sync_state` what the published ledger has of them. Raises plan.PlanError.
    """
    plan.attach(con, sync, published)
    _concern(con, sync, customer_id)
    with tempfile.TemporaryDirectory(prefix="mainstem_trace_") as folder:
        small = Path(folder) / published.name
        _shrink(con, sync, small)
        con.execute(f"DETACH {PUBLISHED}")
        plan.make(con, sync, small)


def _concern(con: duckdb.DuckDBPyConnection, sync: Sync, customer_id: str) -> None:
    con.execute(
        """
        CREATE TEMP TABLE former AS
            SELECT customer_id FROM published.identity.resolve_forward
            WHERE current_customer_id = $1 UNION SELECT $1""",
        [customer_id],
    )
    key, members = _keys_sql(con, sync)
    con.execute(
        f"CREATE TEMP TABLE keys AS SELECT DISTINCT {key} AS row_key FROM {members} "
        "WHERE a.customer_id = $1",
        [customer_id],
    )
    con.execute(
        f"CREATE TEMP TABLE concerned AS SELECT a.customer_id FROM {members} "
        f"WHERE {key} IN (FROM keys) UNION FROM former"
    )
    con.execute(
        """
        INSERT INTO sync_state BY NAME
        FROM published.reverse_etl.sync_state
        WHERE sync_name = ? AND (customer_id IN (FROM former) OR row_key IN (FROM keys))""",
        [sync.name],
    )


def _keys_sql(con: duckdb.DuckDBPyConnection, sync: Sync) -> tuple[str, str]:
    """The row key as SQL, and what it is selected from: the audience `a`, and golden_customers `g`
    where the audience has no such column."""
    audience = (PUBLISHED, sync.audience_schema, sync.audience_table)
    has_key = sync.row_key in catalog.columns(con, *audience)
    members = f"{source_table(sync)} a"
    if not has_key:
        members += f" LEFT JOIN {GOLDEN_TABLE} g USING (customer_id)"
    return f"{quoting.name('a' if has_key else 'g', sync.row_key)}::VARCHAR", members


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
