"""How much memory work on the ledger gets: little, and more only where that was not enough."""

from collections.abc import Callable

import duckdb

# what does not fit is worked on by way of files beside the ledger; not everything can be
MEMORY = ("160MB", "400MB", "1600MB")
MANY_ROWS = 150_000


def with_room(con: duckdb.DuckDBPyConnection, rows: int, work: Callable[[], object]) -> None:
    """Do work over so many rows in little memory, and again in more where that was not enough.

    The connection keeps the memory that was needed. Raises what `work` raises.
    """
    rooms = MEMORY if rows <= MANY_ROWS else MEMORY[1:]
    for memory in rooms:
        try:
            con.execute(f"SET memory_limit = '{memory}'")
            work()
            return
        except duckdb.OutOfMemoryException:
            if memory == rooms[-1]:
                raise
