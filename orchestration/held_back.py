"""Why no sync may send just now: who withdrew is not known while consents cannot be loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def reason(con: duckdb.DuckDBPyConnection, sources: Mapping[str, Sequence[str]]) -> str | None:
    """In words, or None if all may be sent. `sources` are the entities that each source feeds."""
    names = [name for name, feeds in sources.items() if "consents" in feeds]
    ((failed,),) = con.execute(
        """
        select string_agg(distinct source || '.' || table_name, ', ') from ops.loads
        where status = 'failed' and list_contains(?::varchar[], source)
        """,
        [names],
    ).fetchall()
    return f"{failed} could not be loaded, so a withdrawal may be missing" if failed else None
