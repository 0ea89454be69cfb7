"""Which row is which: the id of every raw row, computed when it is asked for, never stored.

With a declared key `_record_id` is the key's values joined with `|` (in a key of several columns
`|` and `\\` inside a value are escaped with `\\`). Without one it is the first half of the SHA-256
over the texts of the declared values, joined with U+001F in the order of their declaration, nothing
being the empty text; then `-` and the row's occurrence among rows of the same content. A text is
what DuckDB makes of the typed value (`2026-01-02 03:04:05`, `12.50`, `true`); moments with a zone
are in UTC. It stands in the view that everyone reads: hashing ten million rows took as long as loading
them, and DuckDB computes even a virtual generated column once when a row is inserted.
"""

from __future__ import annotations

import duckdb
import numpy as np

from ingestion.sources import SourceTable
from ingestion.sql import quoted

#: Up to here 64-bit hashes are compared in memory (8 bytes a row), above by a query that spills.
_IN_MEMORY_ROWS = 24_000_000
_NESTED = ("STRUCT", "MAP", "UNION")


def text(name: str, kind: str) -> str:
    """SQL for a column's value as a text, the same in every session."""
    value = quoted(name)
    return f"timezone('UTC', {value})::varchar" if "TIME ZONE" in kind else f"{value}::varchar"


def record_id(table: SourceTable, types: dict[str, str]) -> str:
    """SQL for `_record_id` over the columns of a stored table."""
    key = table.ingest.key if table.ingest else ()
    if len(key) == 1:
        return text(key[0], types[key[0]])
    if key:
        parts = [
            rf"replace(replace({text(name, types[name])}, '\', '\\'), '|', '\|')" for name in key
        ]
        return f"concat_ws('|', {', '.join(parts)})"
    texts = ", ".join(f"coalesce({text(name, kind)}, '')" for name, kind in types.items())
    return f"left(sha256(concat_ws(chr(31), {texts})), 32) || '-' || _occurrence"


def fingerprint(types: dict[str, str], names: tuple[str, ...] = ()) -> str:
    """SQL for a 64-bit number that is equal for rows of equal content (or key, given its `names`).

    Good within one transaction only: DuckDB may change its hash from version to version. What is
    no value and what is the empty text are one content.
    """
    parts = []
    for name in names or types:
        kind = types[name]
        if kind == "JSON" or kind.endswith("]") or kind.startswith(_NESTED):
            parts.append(f"coalesce({quoted(name)}::varchar, '')")
        elif kind in ("VARCHAR", "BLOB"):
            parts.append(f"coalesce({quoted(name)}, '')")
        else:
            parts.append(quoted(name))
    return f"hash({', '.join(parts)})"


def telling(con: duckdb.DuckDBPyConnection, types: dict[str, str], stored: str) -> tuple[str, ...]:
    """The first column that has another value in each of 2,000 rows of a FROM clause, if any.

    Where no value of it repeats in any row, no row does; and one column takes a third of the time.
    """
    counts = ", ".join(f"count(distinct {fingerprint(types, (name,))})" for name in types)
    found = con.execute(f"select count(*), {counts} from (select * {stored} limit 2000)")
    rows, *distinct = found.fetchall()[0]
    return tuple(name for name, n in zip(types, distinct, strict=True) if n == rows)[:1]


def repeats(con: duckdb.DuckDBPyConnection, hashes: str, rows: int) -> bool:
    """Whether a query's one column of UBIGINTs, `rows` of them, has any value twice.

    Sorting an array of numbers takes half of what the warehouse takes to group them.
    """
    if rows > _IN_MEMORY_ROWS:
        found = f"select 1 from ({hashes}) as t(h) group by h having count(*) > 1 limit 1"
        return bool(con.execute(found).fetchall())
    (values,) = con.execute(hashes).fetchnumpy().values()
    values = np.asarray(values)
    values.sort()
    return bool((values[1:] == values[:-1]).any())
