"""What other tools' connectors landed in the warehouse: rows and freshness, from the tables."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import duckdb

from orchestration.warehouse import quote


def note(
    con: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any], sources: Container[str]
) -> None:
    """Write ops.landed: one row for each table of these sources that somebody else fills.

    `loaded_at` is the greatest value of the dbt source's `loaded_at_field` (UTC), null where there is
    no such column.
    """
    con.execute(
        "create or replace table ops.landed"
        " (source varchar, table_name varchar, rows bigint, loaded_at timestamp)"
    )
    columns = {
        (schema, table): {name.lower() for name in names}
        for schema, table, names in con.execute(
            "select table_schema, table_name, list(column_name) from information_schema.columns"
            " where table_catalog = current_database() group by all"
        ).fetchall()
    }
    for source in manifest["sources"].values():
        place = (source["schema"], source["identifier"])
        is_ours = "ingest" in (source["config"].get("meta") or source.get("meta") or {})
        if source["source_name"] not in sources or is_ours or place not in columns:
            continue
        field = str(source.get("loaded_at_field") or "").lower()
        newest = f"max({quote(field)})::varchar" if field in columns[place] else "null"
        con.execute(
            "insert into ops.landed select ?, ?, count(*),"
            f" timezone('UTC', try_cast({newest} as timestamptz)) from {'.'.join(map(quote, place))}",
            [source["source_name"], source["name"]],
        )
