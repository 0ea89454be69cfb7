"""The sync ledger as tables of the warehouse. The ledger is the truth; this is a copy to query."""

from pathlib import Path

import duckdb

from reverse_etl import layout, quoting
from reverse_etl import ledger as books

SCHEMA = "reverse_etl"
LEDGER = "sync_ledger_copied"


def write(con: duckdb.DuckDBPyConnection, ledger: Path) -> None:
    """Create or replace `reverse_etl.sync_runs`, `sync_state`, `sync_log` and `dead_letters`.

    `con` is the open warehouse. Without a ledger file the tables are empty. Raises LedgerBusyError.
    """
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    if not ledger.exists():
        for table, columns in layout.TABLES.items():
            con.execute(f"CREATE OR REPLACE TABLE {SCHEMA}.{table} ({layout.ddl(columns)})")
        _write_dead_letters(con)
        return
    # opening it to write makes the tables of a file that has none yet
    books.connect(ledger).close()
    con.execute(f"ATTACH {quoting.text(str(ledger))} AS {LEDGER} (READ_ONLY)")
    try:
        for table, columns in layout.TABLES.items():
            con.execute(
                f"CREATE OR REPLACE TABLE {SCHEMA}.{table} AS "
                f"SELECT {', '.join(columns)} FROM {LEDGER}.{table} ORDER BY ALL"
            )
    finally:
        con.execute(f"DETACH {LEDGER}")
    _write_dead_letters(con)


def _write_dead_letters(con: duckdb.DuckDBPyConnection) -> None:
    select = layout.DEAD_LETTERS.replace("FROM sync_state", f"FROM {SCHEMA}.sync_state")
    con.execute(f"CREATE OR REPLACE TABLE {SCHEMA}.dead_letters AS {select} ORDER BY ALL")
