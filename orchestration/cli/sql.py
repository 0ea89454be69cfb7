"""`mainstem sql`: a query, or a prompt, on the published file."""

from __future__ import annotations

import contextlib
import json
import sys

import click
import duckdb

from orchestration.cli import EXIT_FAILED
from orchestration.home import Home, find_home
from orchestration.warehouse import read_published

PROMPT, CONTINUED = "mainstem> ", "     ...> "
HELP = "End a statement with ; — .tables lists tables, .quit leaves."
TABLES = """
    select schema_name || '.' || table_name as "table", estimated_size as "rows"
    from duckdb_tables() order by 1;
"""


@click.command()
@click.argument("query", required=False)
@click.option("--json", "as_json", is_flag=True, help="Rows as a JSON array.")
@click.option("--csv", "as_csv", is_flag=True, help="Rows as CSV.")
def command(query: str | None, as_json: bool, as_csv: bool) -> None:
    """Query the published file: the one in QUERY, or those typed at a prompt.

    \b
    mainstem sql "select * from marts.golden_customers limit 5"
    """
    home = find_home()
    with read_published(home.published) as con:
        if query is None and sys.stdin.isatty():
            _prompt(con, home)
            return
        try:
            _answer(con, query if query is not None else sys.stdin.read(), as_json, as_csv)
        except duckdb.Error as error:
            print(f"mainstem: {error}", file=sys.stderr)
            sys.exit(EXIT_FAILED)


def _answer(con: duckdb.DuckDBPyConnection, query: str, as_json: bool, as_csv: bool) -> None:
    relation: duckdb.DuckDBPyRelation | None = con.sql(query)
    if relation is None:  # a statement without rows
        return
    if as_json:
        names = relation.columns
        rows = [dict(zip(names, row, strict=True)) for row in relation.fetchall()]
        print(json.dumps(rows, indent=2, default=str, ensure_ascii=False))
    elif as_csv:
        import csv

        writer = csv.writer(sys.stdout)
        writer.writerow(relation.columns)
        writer.writerows(relation.fetchall())
    else:
        relation.show(max_rows=100, max_width=200)


def _prompt(con: duckdb.DuckDBPyConnection, home: Home) -> None:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (gives input() its history and line editing)
    print(f"{home.shown(home.published)}, read-only. {HELP}")
    waiting = ""
    while True:
        try:
            line = input(CONTINUED if waiting else PROMPT)
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            waiting = ""
            print()
            continue
        if not waiting and line.strip() in (".quit", ".exit", "quit", "exit"):
            return
        if not waiting and line.strip() == ".tables":
            line = TABLES
        waiting = f"{waiting}\n{line}" if waiting else line
        if waiting.rstrip().endswith(";"):
            try:
                _answer(con, waiting, as_json=False, as_csv=False)
            except duckdb.Error as error:
                print(error)
            waiting = ""
