"""Nodes as numbers while a run works, as keys in what it reads and writes.

A number takes a third of a key's room, and joins on numbers take half the time. Numbers are in the
order of the keys, so the smallest of some nodes is the same in both.
"""

from __future__ import annotations

import duckdb

NUMBERED = {
    "people": ("node_key",),
    "ids": ("node_key",),
    "nodes": ("node_key",),
    "forced": ("left_key", "right_key"),
    "forbidden": ("left_key", "right_key"),
}


def number_nodes(work: duckdb.DuckDBPyConnection) -> None:
    """Create node_numbers(node_key, number) and put numbers for keys in the tables of the run."""
    work.execute(
        """
        create or replace table node_numbers as
        select node_key, row_number() over (order by node_key) - 1 as number from nodes
        """
    )
    for table, columns in NUMBERED.items():
        _swap(work, table, columns, "node_key", "number")


def name_nodes(work: duckdb.DuckDBPyConnection, table: str, *columns: str) -> None:
    """Put keys for numbers in `columns` of `table`."""
    _swap(work, table, columns, "number", "node_key")


def _swap(
    work: duckdb.DuckDBPyConnection, table: str, columns: tuple[str, ...], old: str, new: str
) -> None:
    swapped = ", ".join(f"n{i}.{new} as {column}" for i, column in enumerate(columns))
    joins = " ".join(
        f"join node_numbers as n{i} on n{i}.{old} = t.{column}" for i, column in enumerate(columns)
    )
    work.execute(
        f"""
        create or replace table {table} as
        select t.* replace ({swapped}) from {table} as t {joins}
        """
    )
