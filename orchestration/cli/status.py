"""`mainstem status`: what was loaded, resolved and sent last, out of the published file."""

from __future__ import annotations

import json
from typing import Any

import click
import duckdb

from orchestration import lock
from orchestration.cli import report
from orchestration.home import find_home
from orchestration.warehouse import read_published

LOADS = """
    select source || '.' || table_name as "table", max(finished_at) as loaded_at,
        sum(rows_loaded)::bigint as rows, sum(rows_quarantined)::bigint as quarantined,
        count(*) as files, count(*) filter (where status = 'failed') as failed
    from ops.loads where status in ('loaded', 'failed')
    group by all order by all
"""
FAILURES = """
    select source || '.' || table_name as "table", error from ops.loads
    where status = 'failed' order by all
"""
IDENTITY = """
    select run_id, finished_at, nodes, edges, customers, merges, splits, largest_cluster
    from identity.runs order by finished_at desc limit 1
"""
SYNCS = """
    select sync_name, status, rows_added, rows_updated, rows_removed, rows_rejected,
        rows_suppressed, finished_at
    from reverse_etl.sync_runs
    qualify row_number() over (partition by sync_name order by started_at desc, sync_run_id) = 1
    order by sync_name
"""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(as_json: bool) -> None:
    """Show what is published: loads, customers, audiences, syncs, and who is writing now."""
    home = find_home()
    with read_published(home.published) as con:
        state: dict[str, Any] = {
            "published": str(home.published),
            "busy": lock.holder(home.lock),
            "loads": _rows(con, LOADS),
            "failures": _rows(con, FAILURES),
            "identity": next(iter(_rows(con, IDENTITY)), None),
            "audiences": report.audience_sizes(con),
            "syncs": _rows(con, SYNCS),
        }
    if as_json:
        print(json.dumps(state, indent=2, default=str))
    else:
        report.show_status(home, state)


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    relation = con.sql(query)
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
