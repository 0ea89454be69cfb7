"""Tables that other tools land: counted where they are, with the moment of the newest row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import duckdb
import pytest

from orchestration import landed


def source(name: str, table: str, **more: Any) -> dict[str, Any]:
    return {
        "source_name": name, "name": table, "schema": name, "identifier": table,
        "loaded_at_field": "_fivetran_synced", "config": {"meta": {}}, **more,
    }  # fmt: skip


MANIFEST = {
    "sources": {
        "1": source("hubspot", "contact"),
        "2": source("hubspot", "owner", loaded_at_field=None),
        "3": source("hubspot", "not_landed"),
        "4": source("crm", "contacts", config={"meta": {"ingest": {"connector": "files"}}}),
        "5": source("switched_off", "contact"),
    }
}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("timestamp", "2026-06-30 22:00:00"),
        ("timestamptz", "2026-07-01 00:00:00+02"),
        ("varchar", "2026-07-01T00:00:00+02:00"),
    ],
)
def test_rows_and_the_newest_moment_in_utc(kind: str, value: str) -> None:
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute("create schema ops")
        for name in ("hubspot", "crm", "switched_off"):
            con.execute(f"create schema {name}")
        for place in ("hubspot.contact", "crm.contacts", "switched_off.contact"):
            con.execute(f'create table {place} (id bigint, "_FIVETRAN_SYNCED" {kind})')
        con.execute(f"insert into hubspot.contact values (1, '{value}'), (2, null)")
        con.execute("create table hubspot.owner as select 1 as id")
        for _ in range(2):
            landed.note(con, MANIFEST, {"hubspot", "crm"})
        assert con.execute("from ops.landed order by all").fetchall() == [
            ("hubspot", "contact", 2, datetime(2026, 6, 30, 22)),
            ("hubspot", "owner", 1, None),
        ]
