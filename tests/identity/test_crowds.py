"""A crowd behind one email: what a run looks at grows with the records, never with their square."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import duckdb
import pytest

from identity import blocking
from identity.resolve import resolve
from identity.summary import RunSummary

RECORDS = 1_500
NAMES = {
    "one name": ("'Ada'", "'Lovelace'"),
    "no name": ("null", "null"),
    "four people": ("['Ada', 'Bea', 'Cleo', 'Dora'][1 + i % 4]", "'Lovelace'"),
    "a name each": (
        "'N' || chr(97 + i % 26) || chr(97 + i // 26 % 26) || chr(97 + i // 676)",
        "'L' || chr(97 + i * 7 % 26) || chr(97 + i // 31 % 26)",
    ),
}


def pairs_looked_at(
    new_warehouse: Callable[[], Any], names: tuple[str, str]
) -> tuple[dict[str, int], RunSummary]:
    """Resolve a crowd; return how many pairs each step had, and the summary."""
    warehouse = new_warehouse()
    first, last = names
    warehouse.con.execute(
        f"""
        insert into canonical.contacts by name
        select 'web:' || i as contact_key, 'web' as source_system, {first} as first_name,
            {last} as last_name, 'US' as country_code, false as is_deleted
        from (select range::int as i from range({RECORDS}));
        insert into canonical.identifiers by name
        select 'web:' || range as node_key, 'email' as identifier_type,
            'shared@crowd.org' as identifier_value, false as is_verified
        from range({RECORDS})
        """
    )
    found: dict[str, int] = {}

    def count(work: duckdb.DuckDBPyConnection, summary: RunSummary) -> bool:
        for table in ("candidates", "agreements", "group_pairs", "pool"):
            found[table] = int(work.execute(f"select count(*) from {table}").fetchall()[0][0])
        for index, columns in blocking.keyed_columns(warehouse.rules).items():
            left, right = blocking.keys_of(index, columns)
            counts = "select {0} as key, count(*) as n from profiles group by {0}"
            (pairs,) = work.execute(
                f"""
                select coalesce(sum(l.n * r.n), 0)
                from ({counts.format(left)}) as l join ({counts.format(right)}) as r using (key)
                """
            ).fetchall()[0]
            found[left] = int(pairs)
        return True

    try:
        summary = resolve(
            warehouse.con,
            warehouse.rules,
            run_id="run-1",
            now=datetime(2026, 7, 1),
            accept=count,
        )
    finally:
        warehouse.con.close()
    return found, summary


@pytest.mark.parametrize("crowd", sorted(NAMES))
def test_pairs_grow_with_the_records_that_share_an_email(
    new_warehouse: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, crowd: str
) -> None:
    monkeypatch.setattr(blocking, "FEWEST_PAIRS", 0)
    found, summary = pairs_looked_at(new_warehouse, NAMES[crowd])
    # each with each would be a million and more
    for step, pairs in found.items():
        assert pairs <= 40 * RECORDS, step
    assert summary.largest_cluster <= 100
