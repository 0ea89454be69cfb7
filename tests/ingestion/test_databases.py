"""Tables and queries of real databases: typed, whole or from a cursor on, once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from ingestion import fetch, ledger, load
from ingestion.sources import FetchError
from ingestion.windows import Window

NOW = datetime(2026, 7, 1, 12, 0)
ORDERS = {
    "id": "bigint",
    "amount": "decimal(18,2)",
    "buyer": "varchar",
    "ordered_on": "date",
    "updated_at": "timestamp",
}
Run = Callable[[str], None]


def bring(project, table, window: Window | None = None, **env: str):
    """Extract and load, as a run does; the origins that came."""
    since = window or ledger.high_water(project.con, table)
    arrivals = fetch.fetch(
        table, project_root=project.root, downloads=project.root / "d", env=env, since=since
    )
    results = load.load(project.con, table, arrivals, run_id="r", now=NOW)
    assert [r.error for r in results] == [None] * len(results)
    for r in results:
        assert r.rows_read == r.rows_loaded + r.rows_duplicate + r.rows_quarantined
    return results


def declare(project, url: str, columns=ORDERS, **ingest: Any):
    connection = {"url": url}
    if not url.startswith("sqlite"):
        connection["password"] = "${DB_PASSWORD}"
    block = {"connector": "database", "location": None, "connection": connection, **ingest}
    return project.declare(block, columns)


SECRET = {"DB_PASSWORD": "p@ss/word"}
FIRST = """
create table orders (id bigint primary key, amount decimal(18,2), buyer varchar(80),
    ordered_on date, updated_at timestamp null, note text);
insert into orders values
    (1, 10.10, 'Zoë', '2026-06-01', '2026-06-01 10:00:00', null),
    (2, 99999999999.99, '', '2026-06-02', '2026-06-02 10:00:00', 'gift'),
    (3, null, null, null, null, null)
"""
ROWS = [
    (1, Decimal("10.10"), "Zoë", date(2026, 6, 1), datetime(2026, 6, 1, 10)),
    (2, Decimal("99999999999.99"), "", date(2026, 6, 2), datetime(2026, 6, 2, 10)),
    (3, None, None, None, None),
]
READ = f"select {', '.join(ORDERS)} from raw_crm.people order by id"


@pytest.fixture(params=["postgres", "mariadb", "sqlite"])
def database(request, project) -> tuple[str, Run]:
    """Each engine in turn, with no table of ours in it."""
    if request.param == "sqlite":
        (project.root / "shop.sqlite").touch()

        def run(sql: str) -> None:
            with sqlite3.connect(project.root / "shop.sqlite") as con:
                con.executescript(sql)

        return "sqlite:///shop.sqlite", run
    url, run = request.getfixturevalue(request.param)
    run("drop table if exists orders")
    return url, run


def test_a_whole_table_replaces_itself_and_keeps_its_types(project, database):
    url, run = database
    run(FIRST)
    table = declare(project, url, table="orders")
    (first,) = bring(project, table, **SECRET)
    place = url.replace("me@", "").replace(":" + url.rpartition(":")[2].partition("/")[0], "")
    assert first.origin == (f"{url}/orders" if "sqlite" in url else f"{place}/orders")
    assert project.rows(READ) == ROWS
    extras = "select _extra::varchar from raw_crm.people where _extra is not null"
    assert project.rows(extras) == [('{"note":"gift"}',)]
    assert [r.status for r in bring(project, table, **SECRET)] == ["unchanged"]
    run("delete from orders where id = 1")
    assert [r.status for r in bring(project, table, **SECRET)] == ["loaded"]
    assert project.rows(READ) == ROWS[1:]
    assert len(list((project.root / "d" / "crm" / "people").iterdir())) == 1


def test_a_cursor_brings_what_changed_and_looks_back(project, database):
    url, run = database
    run(FIRST)
    cursor = {"column": "updated_at", "lookback": "2 hours"}
    table = declare(project, url, table="orders", key="id", mode="upsert", cursor=cursor)
    bring(project, table, **SECRET)
    (second,) = bring(project, table, **SECRET)
    assert second.origin.endswith("/orders?updated_at>=2026-06-02 08:00:00")
    assert second.rows_read == 1
    assert [r.status for r in bring(project, table, **SECRET)] == ["unchanged"]
    # One changed, one new, and one that was written late, within the look-back.
    run("update orders set buyer = 'Ana', updated_at = '2026-06-03 00:00:00' where id = 1")
    run("""insert into orders values
        (4, 4.00, 'new', '2026-06-03', '2026-06-03 09:00:00', null),
        (5, 5.00, 'late', '2026-06-02', '2026-06-02 08:30:00', null)""")
    (third,) = bring(project, table, **SECRET)
    assert third.rows_read == 4
    assert [(r[0], r[2]) for r in project.rows(READ)] == [
        (1, "Ana"), (2, ""), (3, None), (4, "new"), (5, "late"),
    ]  # fmt: skip
    incremental = project.rows(READ)
    # Incremental equals full: another declaration begins anew.
    table = declare(project, url, table="orders", key="id", mode="upsert")
    bring(project, table, **SECRET)
    assert project.rows(READ) == incremental
    total = "select sum(rows_loaded) from ops.loads where status = 'loaded'"
    assert project.rows(total) == [(5,)]


def test_a_window_brings_only_its_rows_and_moves_no_cursor(project, database):
    url, run = database
    run(FIRST)
    cursor = {"column": "updated_at"}
    table = declare(project, url, table="orders", key="id", mode="upsert", cursor=cursor)
    bring(project, table, **SECRET)
    run("update orders set buyer = 'Ana' where id = 1")
    first = Window(datetime(2026, 6, 1, 10), datetime(2026, 6, 2, 10))
    (result,) = bring(project, table, first, **SECRET)
    assert result.origin.endswith("/orders[2026-06-01 10:00:00, 2026-06-02 10:00:00)")
    assert (result.rows_read, result.rows_loaded) == (1, 1)
    assert [row[2] for row in project.rows(READ)] == ["Ana", "", None]
    assert ledger.high_water(project.con, table) == "2026-06-02 10:00:00"
    assert bring(project, table, first, **SECRET)[0].status == "unchanged"
    # A column of dates: a date is its midnight.
    table = declare(project, url, table="orders", key="id", cursor={"column": "ordered_on"})
    (result,) = bring(project, table, first, **SECRET)
    assert result.rows_read == 1
    assert project.rows(READ)[1][2] == ""


def test_another_declaration_begins_anew_and_leaves_nothing_of_the_old_one(project, database):
    url, run = database
    run(FIRST)
    cursor = {"table": "orders", "key": "id", "cursor": {"column": "updated_at"}}
    table = declare(project, url, **cursor)
    bring(project, table, **SECRET)
    run("insert into orders values (4, 4.00, 'x', '2026-06-03', '2026-06-03 09:00:00', 'n4')")
    bring(project, table, **SECRET)
    run("delete from orders where id = 1")
    table = declare(project, url, ORDERS | {"note": "varchar"}, **cursor)
    (result,) = bring(project, table, **SECRET)
    assert (result.rows_loaded, result.origin.partition("?")[1]) == (3, "")
    found = project.rows("select id, note from raw_crm.people order by id")
    assert found == [(2, "gift"), (3, None), (4, "n4")]
    standing = "select count(*), sum(rows_loaded) from ops.loads where status = 'loaded'"
    assert project.rows(standing) == [(1, 3)]
    # Nothing comes twice afterwards either.
    bring(project, table, **SECRET)
    assert project.rows(standing)[0][1] == 3
    assert project.rows("select id, note from raw_crm.people order by id") == found


def test_a_query_with_a_number_for_a_cursor(project, database):
    url, run = database
    run(FIRST)
    query = "select id, buyer from orders where id <> 1;"
    columns = {"id": "bigint", "buyer": "varchar"}
    cursor = {"column": "id", "lookback": 1}
    table = declare(project, url, columns, query=query, key="id", cursor=cursor)
    (first,) = bring(project, table, **SECRET)
    assert first.origin.endswith("/query")
    (second,) = bring(project, table, **SECRET)
    assert second.origin.endswith("/query?id>=2")
    assert project.rows("select id, buyer from raw_crm.people order by id") == [(2, ""), (3, None)]


def test_what_a_server_refuses_names_the_key_and_no_secret(project, database):
    url, run = database
    run(FIRST)
    for options in ({"table": "nowhere"}, {"query": "select buyer frm orders"}):
        with pytest.raises(FetchError, match=r"check .*`table` or `query`"):
            bring(project, declare(project, url, **options), **SECRET)
    if "sqlite" in url:
        with pytest.raises(FetchError, match=r"there is no SQLite file missing\.db"):
            bring(project, declare(project, "sqlite:///missing.db", table="orders"))
        return
    with pytest.raises(FetchError, match=r"`connection\.url` and its variables") as refused:
        bring(project, declare(project, url, table="orders"), DB_PASSWORD="wr0ng")
    assert "wr0ng" not in str(refused.value)
    closed = url.replace(url.rpartition(":")[2].partition("/")[0], "1")
    with pytest.raises(FetchError, match=r"check `connection\.url`"):
        bring(project, declare(project, closed, table="orders"), **SECRET)


def test_postgresql_types_that_arrow_lacks_come_as_text(project, postgres):
    url, _ = postgres
    query = """select 12.50::money as m, '10.0.0.1'::inet as i, array['a', null] as a,
        interval '1 day' as iv, '{"a": 1.10}'::jsonb as j, 1e-7::numeric as n,
        '7c0e0b9e-8a2b-4f3e-9c39-1f9a8c7a5b11'::uuid as u,
        timestamptz '2026-03-29 03:30:00+02' as tz, time '10:00' as t"""
    columns = dict.fromkeys(["m", "i", "a", "iv", "j", "n", "u", "t"], "varchar") | {
        "tz": "timestamp"
    }
    bring(project, declare(project, url, columns, query=query), **SECRET)
    (row,) = project.rows(f"select {', '.join(columns)} from raw_crm.people")
    assert row == (
        "12.50", "10.0.0.1/32", '["a",null]', "1 day", '{"a": 1.10}', "0.0000001",
        "7c0e0b9e-8a2b-4f3e-9c39-1f9a8c7a5b11", "10:00:00", datetime(2026, 3, 29, 1, 30),
    )  # fmt: skip


def test_postgresql_moments_that_are_none_are_quarantined(project, postgres):
    """Infinity and years before the first are PostgreSQL's alone: refused, and the others load."""
    url, run = postgres
    run("""create table odd (id bigint, born date, seen timestamp, at timestamptz, note text);
        insert into odd
        select n, '2026-06-01', '2026-06-01 10:00:00.123456', '2026-06-01 12:00:00+02', 'plain'
        from generate_series(1, 50000) as n;
        insert into odd values
        (-1, 'infinity', null, null, 'd'), (-2, '-infinity', null, null, 'd'),
        (-3, '0044-03-15 BC', null, null, 'd'), (-4, null, 'infinity', null, 's'),
        (-5, null, '-infinity', null, 's'), (-6, null, '0001-12-31 23:00:00 BC', null, 's'),
        (-7, null, null, 'infinity', 'a'), (-8, null, null, '-infinity', 'a'),
        (-9, null, null, '0044-03-15 10:00:00 BC', 'a'), (-10, '0001-01-01', '0001-01-01', null, 'ok'),
        (-11, '9999-12-31', '9999-12-31 23:59:59', null, 'ok')""")
    columns = {
        "id": "bigint",
        "born": "date",
        "seen": "timestamp",
        "at": "timestamp",
        "note": "varchar",
    }
    table = declare(project, url, columns, table="odd", key="id")
    (result,) = bring(project, table, **SECRET)
    assert (result.rows_loaded, result.rows_quarantined) == (50_002, 9)
    moments = 'select distinct born, seen, "at" from raw_crm.people where id > 0'
    assert project.rows(moments) == [
        (date(2026, 6, 1), datetime(2026, 6, 1, 10, 0, 0, 123456), datetime(2026, 6, 1, 10))
    ]
    assert project.rows("select born from raw_crm.people where id < 0 order by id") == [
        (date(9999, 12, 31),), (date(1, 1, 1),),
    ]  # fmt: skip
    refused = "select column_name, reason, count(*) from ops.quarantine group by all order by all"
    assert project.rows(refused) == [
        ("at", "not a valid TIMESTAMP", 3),
        ("born", "not a valid DATE", 3),
        ("seen", "not a valid TIMESTAMP", 3),
    ]
    assert project.rows("select count(*) from ops.quarantine where raw like '%infinity%'") == [(6,)]


def test_mariadb_values_that_are_no_dates_are_quarantined(project, mariadb):
    url, run = mariadb
    run("""drop table if exists odd; create table odd (id bigint unsigned, d date, b blob, t time);
        set sql_mode = ''; insert into odd values
        (18446744073709551615, '2026-01-01', 'x', '838:59:59'), (2, '0000-00-00', 'y', null)""")
    columns = {"id": "ubigint", "d": "date", "b": "varchar", "t": "varchar"}
    (result,) = bring(project, declare(project, url, columns, table="odd"), **SECRET)
    assert (result.rows_loaded, result.rows_quarantined) == (1, 1)
    assert project.rows("select id, t from raw_crm.people") == [(2**64 - 1, "838:59:59")]
    assert project.rows("select reason, column_name from ops.quarantine") == [
        ("not a valid DATE", "d")
    ]


def test_sqlite_values_of_several_types_in_a_column_come_as_written(project):
    with sqlite3.connect(project.root / "a.db") as con:
        con.executescript("""create table odd (id, v);
            insert into odd values (1, 1), (2, 'two'), (3, 0.1), (4, null), (5, x'00ff')""")
    columns = {"id": "integer", "v": "varchar"}
    bring(project, declare(project, "sqlite:///a.db", columns, table="odd"))
    found = project.rows("select v from raw_crm.people order by id")
    assert found == [("1",), ("two",), ("0.1",), (None,), ("00ff",)]
