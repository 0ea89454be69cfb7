"""A table that is in the warehouse already is shown where it is, and booked when it changes."""

from __future__ import annotations

from datetime import date, datetime

import pytest

IN_PLACE = {"connector": "warehouse", "location": "lake.people"}
READ = "select id, name, born, seen from raw_crm.people order by id, name"


@pytest.fixture
def lake(project):
    project.con.execute("""
        create schema lake;
        create table lake.people as select * from (values
            (1, 'Ann', '1990-01-31', timestamptz '2026-03-29 03:30:00+02', 'x'),
            (2, 'Bob', 'never', null, null),
            (3, null, null, null, null)
        ) t (id, name, born, seen, city)""")
    return project


def booked(project, status="loaded"):
    columns = "rows_read, rows_loaded, rows_duplicate, rows_quarantined"
    return project.rows(f"select {columns} from ops.loads where status = '{status}'")


def test_a_view_shows_what_fits_and_quarantine_has_the_rest(lake):
    table = lake.declare(IN_PLACE)
    assert lake.rows(READ) == []
    (result,) = lake.load(table)
    assert (result.status, result.origin) == ("loaded", "warehouse://lake.people")
    assert lake.rows(READ) == [
        (1, "Ann", date(1990, 1, 31), datetime(2026, 3, 29, 1, 30)),
        (3, None, None, None),
    ]
    assert booked(lake) == [(3, 2, 0, 1)]
    assert lake.rows("select reason, column_name, raw like '%Bob%' from ops.quarantine") == [
        ("not a valid DATE", "born", True)
    ]
    kinds = "select table_type from information_schema.tables where table_schema = 'raw_crm'"
    assert lake.rows(kinds) == [("VIEW",)]
    ((extra, load_id, origin, when),) = lake.rows(
        "select _extra::varchar, _load_id, _origin, _loaded_at from raw_crm.people where id = 1"
    )
    assert (extra, load_id, origin) == ('{"city":"x"}', result.load_id, result.origin)
    assert when == datetime(2026, 7, 1, 12)


def test_it_is_booked_again_when_the_table_changed_and_not_before(lake):
    table = lake.declare(IN_PLACE)
    (first,) = lake.load(table)
    assert [r.status for r in lake.load(table)] == ["unchanged"]
    ids = lake.rows("select id, _record_id from raw_crm.people order by id")
    lake.con.execute("update lake.people set name = 'Anne' where id = 1")
    (second,) = lake.load(table)
    assert second.status == "loaded" and second.load_id != first.load_id
    lake.con.execute("update lake.people set name = 'Ann' where id = 1")
    lake.load(table)
    assert lake.rows("select id, _record_id from raw_crm.people order by id") == ids
    lake.con.execute("alter table lake.people add column late integer")
    assert [r.status for r in lake.load(table)] == ["loaded"]
    assert len(booked(lake)) == 1
    assert len(booked(lake, "superseded")) == 3


def test_the_newest_row_of_a_key_shows_and_equal_rows_are_numbered(lake):
    lake.con.execute("""
        insert into lake.people values (1, 'Anna', null, timestamptz '2026-06-01 00:00:00Z', null),
            (3, null, null, null, null)""")
    lake.load(lake.declare({**IN_PLACE, "key": "id", "newest_by": "seen"}))
    assert lake.rows("select id, name, _record_id from raw_crm.people order by id") == [
        (1, "Anna", "1"),
        (3, None, "3"),
    ]
    assert booked(lake) == [(5, 2, 2, 1)]
    lake.load(lake.declare(IN_PLACE))
    numbers = "select right(_record_id, 2), count(*) from raw_crm.people group by 1 order by 1"
    assert lake.rows(numbers) == [("-1", 3), ("-2", 1)]
    assert booked(lake) == [(5, 4, 0, 1)]


def test_a_missing_table_fails_and_leaves_the_view_that_was(lake):
    table = lake.declare(IN_PLACE)
    lake.load(table)
    lake.con.execute("alter table lake.people rename to gone")
    (result,) = lake.load(table)
    assert result.status == "failed"
    assert "there is no table lake.people in the warehouse" in str(result.error)
    assert booked(lake) == [(3, 2, 0, 1)]
    lake.con.execute("alter table lake.gone rename to people")
    assert [r.status for r in lake.load(table)] == ["unchanged"]
    assert booked(lake, "failed") == []


def test_a_source_may_change_from_files_to_the_warehouse_and_back(lake):
    lake.drop("people.csv", "id,name,born,seen\n7,File,,\n")
    lake.load(lake.declare())
    assert [row[0] for row in lake.rows(READ)] == [7]
    lake.load(lake.declare(IN_PLACE))
    assert [row[0] for row in lake.rows(READ)] == [1, 3]
    lake.load(lake.declare())
    assert [row[0] for row in lake.rows(READ)] == [7]
    assert booked(lake) == [(1, 1, 0, 0)]
