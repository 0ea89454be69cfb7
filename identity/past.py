"""The crosswalk's past: what each run changed, kept so that any former state can be read again.

crosswalk_history(node_key, customer_id, strict_customer_id, until_run): what a node's row said
before run number `until_run` changed it; nulls where there was no row. Only changes are kept, so a
run costs what it changed; the first run, before which there was nothing, costs nothing.

Invariant: a node's row after run R is the entry with the smallest until_run above R, and today's
row where there is none.
"""

from __future__ import annotations

import duckdb


def number_of(con: duckdb.DuckDBPyConnection, run_id: str) -> int | None:
    """Return the number of a run (from 1), by its id or the beginning of it; None if unknown.

    The beginning counts only where it is that of one run.
    """
    rows = con.execute(
        """
        select run_number
        from identity.runs
        where run_id = $1 or run_number::varchar = $1 or (length($1) >= 4
            and starts_with(run_id, $1))
        order by run_id = $1 desc, run_number::varchar = $1 desc
        """,
        [run_id],
    ).fetchall()
    exact = con.execute("select 1 from identity.runs where run_id = ?", [run_id]).fetchall()
    return int(rows[0][0]) if rows and (exact or len(rows) == 1) else None


def members_after(database: str, run_number: int) -> str:
    """Return a query (in parentheses) for the crosswalk as run `run_number` left it: node_key,
    customer_id, strict_customer_id. `database` is a quoted name.
    """
    return f"""(
        with undone as (
            select *
            from {database}.identity.crosswalk_history
            where until_run > {int(run_number)}
            qualify row_number() over (partition by node_key order by until_run) = 1
        )
        select node_key, customer_id, strict_customer_id
        from undone
        where customer_id is not null
        union all
        select node_key, customer_id, strict_customer_id
        from {database}.identity.crosswalk anti join undone using (node_key)
    )"""


def record(
    work: duckdb.DuckDBPyConnection, previous: str, run_number: int, within: str | None = None
) -> None:
    """Create new_crosswalk_history: what this run changes in `previous`, from `new_ids`.

    `within` is a table of the nodes that `new_ids` speaks of, if not of all.
    """
    crosswalk = f"{previous}.identity.crosswalk"
    if within is not None:
        crosswalk = f"(from {crosswalk} semi join {within} using (node_key))"
    work.execute(
        f"""
        create or replace table new_crosswalk_history as
        select
            coalesce(n.node_key, o.node_key) as node_key,
            o.customer_id, o.strict_customer_id, $1::bigint as until_run
        from new_ids as n
        full join {crosswalk} as o using (node_key)
        where $1 > 1 and (
            n.customer_id is distinct from o.customer_id
            or n.strict_customer_id is distinct from o.strict_customer_id)
        order by node_key
        """,
        [run_number],
    )
