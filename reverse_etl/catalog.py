"""What columns a table has, asked of that table alone.

DuckDB's lists of all columns and of all constraints first make every view that it brings along, which
takes longer than the plan of a small sync.
"""

from dataclasses import dataclass

import duckdb

from reverse_etl import quoting


@dataclass(frozen=True)
class Column:
    data_type: str
    is_key: bool


def columns(con: duckdb.DuckDBPyConnection, *relation: str) -> dict[str, Column]:
    """The columns of a table or view by name, sorted; none if there is no such relation."""
    try:
        rows = con.execute(
            f"SELECT name, type, pk FROM pragma_table_info({quoting.text(quoting.name(*relation))}) "
            "ORDER BY name"
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    return {name: Column(data_type, is_key) for name, data_type, is_key in rows}
