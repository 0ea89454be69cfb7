"""Ids and keys: a pure function of what the origins hold, whatever the order of rows and files."""

from __future__ import annotations

import hashlib
import random
from itertools import permutations

import pytest

COLUMNS = {"signed_up_at": "timestamp", "email": "varchar", "list": "varchar"}
ROWS = [
    "2026-01-01 10:00:00,a@x.example,weekly,1",
    "2026-01-01 10:00:00,a@x.example,weekly,2",
    "2026-01-01 10:00:00,a@x.example,weekly,1",
    "2026-01-02 10:00:00,b@x.example,,1",
    "2026-01-02T10:00:00,b@x.example,,1",
]
HEADER = "signed_up_at,email,list,note\n"


def expected_hash(*texts: str) -> str:
    return hashlib.sha256("\x1f".join(texts).encode()).hexdigest()[:32]


def test_a_row_without_a_key_is_known_by_its_texts_and_its_occurrence(project):
    table = project.declare(columns=COLUMNS)
    seen = set()
    for seed in range(4):
        rows = ROWS[:]
        random.Random(seed).shuffle(rows)
        project.drop("people.csv", HEADER + "\n".join(rows) + "\n")
        project.load(table)
        seen.add(
            tuple(project.rows("select _record_id, email, _extra from raw_crm.people order by all"))
        )
    assert len(seen) == 1
    first = expected_hash("2026-01-01 10:00:00", "a@x.example", "weekly")
    # The values' texts: a T instead of a space is the same moment; nothing is ''.
    second = expected_hash("2026-01-02 10:00:00", "b@x.example", "")
    assert {row[0] for row in seen.pop()} == {
        f"{first}-1",
        f"{first}-2",
        f"{first}-3",
        f"{second}-1",
        f"{second}-2",
    }


def test_equal_rows_of_several_files_stand_side_by_side_and_are_numbered_together(project):
    table = project.declare(columns={"id": "integer"})
    ids = "select _origin, id, right(_record_id, 2) from raw_crm.people order by all"
    project.drop("people2.csv", "id\n1\n1\n2\n")
    project.load(table)
    project.drop("people1.csv", "id\n1\n")
    project.load(table)
    assert project.rows(ids) == [
        ("drop/people1.csv", 1, "-1"),
        ("drop/people2.csv", 1, "-2"),
        ("drop/people2.csv", 1, "-3"),
        ("drop/people2.csv", 2, "-1"),
    ]
    project.drop("people1.csv", "id\n2\n")
    project.load(table)
    assert project.rows(ids) == [
        ("drop/people1.csv", 2, "-1"),
        ("drop/people2.csv", 1, "-1"),
        ("drop/people2.csv", 1, "-2"),
        ("drop/people2.csv", 2, "-2"),
    ]


def test_the_newest_row_of_a_key_wins_and_ties_do_not_depend_on_order(project):
    table = project.declare(
        {"key": ["id"], "newest_by": "seen", "mode": "upsert"},
        {"id": "integer", "name": "varchar", "seen": "date"},
    )
    lines = ["1,old,2026-01-01", "1,new,2026-02-01", "2,x,2026-01-01", "2,y,2026-01-01", "1,none,"]
    orders = [order for i, order in enumerate(permutations(lines)) if i % 7 == 0]
    outcomes = set()
    for order in orders:
        project.drop("people.csv", "id,name,seen\n" + "\n".join(order) + "\n")
        (result,) = project.load(table)
        outcomes.add(
            (
                tuple(project.rows("select _record_id, name from raw_crm.people order by 1")),
                (result.rows_read, result.rows_loaded, result.rows_duplicate),
            )
        )
    ((rows, counts),) = outcomes
    assert rows[0] == ("1", "new")
    assert rows[1][0] == "2"
    assert counts == (5, 2, 3)


FILES = {
    "people1.csv": ["1,a,2026-01-03", "2,a,2026-01-01", "3,a,2026-01-01"],
    "people2.csv": ["1,b,2026-01-02", "2,b,2026-01-02", "4,b,2026-01-01"],
    "people3.csv": ["1,c,2026-01-01", "2,c,2026-01-01", "4,c,2026-01-01"],
}


def loaded(project) -> tuple:
    rows = project.rows("select id, name, _origin, _record_id from raw_crm.people order by 1")
    counts = project.rows(
        "select origin, rows_read, rows_loaded, rows_duplicate from ops.loads "
        "where status = 'loaded' order by 1"
    )
    return rows, counts


@pytest.mark.parametrize("order", list(permutations(FILES)))
def test_a_key_stays_unique_across_files_whatever_order_they_come_in(project, order):
    table = project.declare(
        {"key": ["id"], "newest_by": "seen"}, {"id": "integer", "name": "varchar", "seen": "date"}
    )
    for name in order:
        project.drop(name, "id,name,seen\n" + "\n".join(FILES[name]) + "\n")
        project.load(table)
    rows, counts = loaded(project)
    assert [row[:2] for row in rows] == [(1, "a"), (2, "b"), (3, "a"), (4, "c")]
    assert counts == [
        ("drop/people1.csv", 3, 2, 1),
        ("drop/people2.csv", 3, 1, 2),
        ("drop/people3.csv", 3, 1, 2),
    ]
    # The winners' file is delivered again without them: who had lost to them stands again.
    project.drop("people1.csv", "id,name,seen\n3,a2,2026-01-01\n")
    project.load(table)
    rows, counts = loaded(project)
    assert [row[:2] for row in rows] == [(1, "b"), (2, "b"), (3, "a2"), (4, "c")]
    assert counts[1:] == [("drop/people2.csv", 3, 2, 1), ("drop/people3.csv", 3, 1, 2)]
    # And back: the very state of before.
    project.drop("people1.csv", "id,name,seen\n" + "\n".join(FILES["people1.csv"]) + "\n")
    project.load(table)
    assert [row[:2] for row in loaded(project)[0]] == [(1, "a"), (2, "b"), (3, "a"), (4, "c")]


def test_a_key_of_several_columns_cannot_be_confused(project):
    table = project.declare({"key": ["a", "b"]}, {"a": "varchar", "b": "varchar"})
    project.drop("people.csv", "a,b\nx|y,z\nx,y|z\nx\\,y\n")
    project.load(table)
    assert {row[0] for row in project.rows("select _record_id from raw_crm.people")} == {
        r"x\|y|z",
        r"x|y\|z",
        r"x\\|y",
    }


@pytest.mark.parametrize("key", [[], ["id"]])
def test_files_of_many_row_groups_add_up_too(project, key):
    # DuckDB inserts and scans these in parallel, within the transaction that also deletes.
    table = project.declare({"key": key}, {"id": "integer", "name": "varchar"})
    for origin, start in (("people1.csv", 0), ("people2.csv", 200_000), ("people1.csv", 10)):
        lines = (f"{i},name of {i}" for i in range(start, start + 300_000))
        project.drop(origin, "id,name\n" + "\n".join(lines) + "\nx,bad\n1,too,many\n")
        project.load(table)
    united = "select count(*), count(distinct _record_id), count(distinct id) from raw_crm.people"
    both = 300_010 - 200_000  # ids that are in either file
    distinct = 600_000 - both
    rows = distinct if key else 600_000
    assert project.rows(united) == [(rows, rows, distinct)]
    counts = project.rows(
        "select origin, rows_read, rows_loaded, rows_duplicate, rows_quarantined from ops.loads "
        "where status = 'loaded' order by origin"
    )
    lost = both if key else 0
    assert counts == [
        ("drop/people1.csv", 300_002, 300_000 - lost, lost, 2),
        ("drop/people2.csv", 300_002, 300_000, 0, 2),
    ]


def test_rows_are_compared_whole_where_no_column_tells_them_apart(project):
    table = project.declare(columns={"id": "integer", "name": "varchar"})
    rows = [*(f"{i},x" for i in range(3_000)), "7,y", "8,x"]
    project.drop("people.csv", "id,name\n" + "\n".join(rows) + "\n")
    project.load(table)
    assert project.rows(
        "select id, name, right(_record_id, 2) from raw_crm.people where id in (7, 8) order by all"
    ) == [(7, "x", "-1"), (7, "y", "-1"), (8, "x", "-1"), (8, "x", "-2")]
