"""Snapshots, drift, files that need no second look, and what the quarantine answers."""

from __future__ import annotations

import os
from datetime import datetime
from itertools import permutations

import pytest

from ingestion import fetch, file_text, load, quarantine, replay
from ingestion.sources import IngestionError

COLUMNS = {"id": "integer", "name": "varchar"}
SNAPSHOT = {"key": ["id"], "mode": "snapshot"}
LIVE = "select id, name from raw_crm.people where _deleted_at is null order by id"
GONE = "select id, _deleted_at from raw_crm.people where _deleted_at is not null order by id"


def deliver(project, table, name: str, *lines: str, day: int = 1):
    project.drop(name, "id,name\n" + "".join(f"{line}\n" for line in lines))
    arrivals = fetch.fetch(table, project_root=project.root, downloads=project.root, env={})
    results = load.load(project.con, table, arrivals, run_id="r", now=datetime(2026, 7, day))
    counts = project.rows(
        "select rows_read - rows_loaded - rows_duplicate - rows_quarantined from ops.loads"
    )
    assert {difference for (difference,) in counts} == {0}
    return next(result for result in results if result.origin == f"drop/{name}")


def test_a_snapshot_marks_what_disappeared_and_takes_it_back(project):
    table = project.declare(SNAPSHOT, COLUMNS)
    deliver(project, table, "people.csv", "1,a", "2,b", "3,c", day=1)
    deliver(project, table, "people.csv", "1,a2", "4,d", day=2)
    assert project.rows(LIVE) == [(1, "a2"), (4, "d")]
    assert project.rows(GONE) == [(2, datetime(2026, 7, 2)), (3, datetime(2026, 7, 2))]
    same = deliver(project, table, "people.csv", "1,a2", "4,d", day=3)
    assert same.status == "unchanged"
    deliver(project, table, "people.csv", "1,a2", "3,c", day=4)
    assert project.rows(LIVE) == [(1, "a2"), (3, "c")]
    assert project.rows(GONE) == [(2, datetime(2026, 7, 2)), (4, datetime(2026, 7, 4))]
    assert project.rows("select count(*), count(distinct _record_id) from raw_crm.people") == [
        (4, 4)
    ]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_greatest_origin_is_the_truth_in_whatever_order_snapshots_come(project, order):
    table = project.declare(SNAPSHOT, COLUMNS)
    files = [("p1.csv", ["1,a", "2,b"]), ("p2.csv", ["2,b2", "3,c"]), ("p3.csv", ["3,c3", "5,e"])]
    for place in order:
        name, lines = files[place]
        deliver(project, table, f"people{name}", *lines, day=place + 1)
    assert project.rows(LIVE) == [(3, "c3"), (5, "e")]


def test_a_refused_row_of_a_snapshot_is_not_taken_for_a_missing_one(project):
    table = project.declare(SNAPSHOT, COLUMNS | {"born": "date"})
    lines = "id,name,born\n1,a,\n2,b,\n3,c,\n"
    project.drop("people.csv", lines)
    project.load(table)
    project.drop("people.csv", lines.replace("2,b,", "2,b,someday").replace("3,c,\n", ""))
    project.load(table)
    assert project.rows(LIVE) == [(1, "a"), (2, "b")]  # 2 keeps what it had, 3 is gone
    project.drop("people.csv", lines.replace("2,b,", "2,b"))
    project.load(table)
    assert project.rows(LIVE) == [(1, "a"), (2, "b"), (3, "c")]  # the broken line may be anybody
    assert project.rows("select count(*) from ops.quarantine") == [(2,)]


def test_undeclared_columns_are_reported_once_with_a_type_and_never_a_value(project):
    table = project.declare({"format": {"type": "ndjson"}}, COLUMNS)
    project.drop("people.ndjson", '{"id":1,"n":5,"at":"2026-01-02"}\n{"id":2,"deep":{"a":1}}\n')
    (result,) = project.load(table)
    assert result.new_columns == ("at", "deep", "n")
    found = "select column_name, sample_type, origin from ops.drift order by 1"
    origin = "drop/people.ndjson"
    assert project.rows(found) == [
        ("at", "DATE", origin),
        ("deep", "JSON", origin),
        ("n", "BIGINT", origin),
    ]
    project.drop("people.ndjson", '{"id":1,"n":"secret","z":true}\n')
    (result,) = project.load(table)
    assert result.new_columns == ("z",)
    assert "secret" not in str(project.rows("from ops.drift"))
    table = project.declare({"format": {"type": "ndjson"}}, COLUMNS | {"n": "varchar"})
    project.load(table)
    assert [row[0] for row in project.rows(found)] == ["at", "deep", "z"]


def test_an_empty_undeclared_csv_column_is_drift_too(project):
    table = project.declare(columns=COLUMNS)
    project.drop("people.csv", "id,name,note\n1,a,\n")
    (result,) = project.load(table)
    assert result.new_columns == ("note",)
    assert project.rows("select _extra from raw_crm.people") == [(None,)]


def test_a_file_with_the_same_marks_is_not_read_again_and_one_with_others_is(project, monkeypatch):
    table = project.declare(columns=COLUMNS)
    path = project.drop("people.csv", "id,name\n1,a\n")
    os.utime(path, ns=(10**18, 10**18))
    project.load(table)
    with monkeypatch.context() as patch:
        patch.setattr(file_text, "digest", lambda *_: pytest.fail("the file was read"))
        (result,) = project.load(table)
    assert result.status == "unchanged"
    path.write_text("id,name\n1,b\n")  # as long as before, changed just now
    (result,) = project.load(table)
    assert (result.status, project.rows(LIVE)) == ("loaded", [(1, "b")])
    path.write_text("id,name\n1,c\n")  # and once more, within the same tick perhaps
    (result,) = project.load(table)
    assert (result.status, project.rows(LIVE)) == ("loaded", [(1, "c")])


def test_the_quarantine_counts_explains_and_replays(project):
    table = project.declare({"location": "drop/*"}, COLUMNS | {"born": "date"})
    project.drop("1.csv", "id,name,born\n1,a,31.12.1999\n2,b,\nx,c,\n")
    project.drop("2.csv", "id,name,born\n3,c,\n")
    project.load(table)
    found = [(c.reason, c.column_name, c.rows) for c in quarantine.counts(project.con)]
    assert found == [("not a valid DATE", "born", 1), ("not a valid INTEGER", "id", 1)]
    row = quarantine.explain(project.con, "crm", "people", "drop/1.csv", 2)
    assert (row.reason, row.column_name, row.raw) == ("not a valid DATE", "born", "1,a,31.12.1999")
    assert [r.row_number for r in quarantine.refused(project.con, "crm", "people")] == [2, 4]
    with pytest.raises(IngestionError, match=r"row 3 of drop/1.csv"):
        quarantine.explain(project.con, "crm", "people", "drop/1.csv", 3)
    mended = project.declare(
        {"location": "drop/*"}, COLUMNS | {"born": ("date", {"format": "%d.%m.%Y"})}
    )
    arrivals = fetch.fetch(mended, project_root=project.root, downloads=project.root, env={})
    (result,) = replay.replay(project.con, mended, arrivals, run_id="r2", now=datetime(2026, 7, 2))
    assert (result.origin, result.rows_loaded, result.rows_quarantined) == ("drop/1.csv", 2, 1)
    assert [c.rows for c in quarantine.counts(project.con)] == [1]
