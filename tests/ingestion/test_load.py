"""What becomes of a file's rows: types, quarantine, the ledger, and what a second delivery does."""

from __future__ import annotations

import gzip
import json
from datetime import date, datetime, timedelta

import pytest

from ingestion import ledger, load

NOW = datetime(2026, 7, 1, 12, 0)

CSV = """id,name,born,seen
1,Ada,1815-12-10,2026-01-02T03:04:05Z
2,"Lovelace, A",,2026-01-02 03:04:05
"""


def people(project):
    return project.rows("select id, name, born, seen from raw_crm.people order by id")


def quarantine(project):
    return project.rows(
        "select row_number, reason, column_name, raw from ops.quarantine order by row_number"
    )


def test_a_csv_becomes_typed_rows_and_one_ledger_row(project):
    table = project.declare()
    project.drop("people.csv", CSV)
    (result,) = project.load(table)
    seen = datetime(2026, 1, 2, 3, 4, 5)
    assert people(project) == [(1, "Ada", date(1815, 12, 10), seen), (2, "Lovelace, A", None, seen)]
    assert (result.status, result.rows_read, result.rows_loaded) == ("loaded", 2, 2)
    assert project.rows("select distinct _origin, _load_id, _loaded_at from raw_crm.people") == [
        ("drop/people.csv", result.load_id, NOW)
    ]
    (row,) = project.rows("select status, bytes, run_id, started_at from ops.loads")
    assert row == ("loaded", len(CSV), "run_1", NOW)


def test_the_same_file_again_changes_nothing_and_a_changed_one_replaces_it(project):
    table = project.declare()
    project.drop("people.csv", CSV)
    (first,) = project.load(table)
    before = project.rows("from raw_crm.people"), project.rows("from ops.loads")
    (again,) = project.load(table)
    assert (again.status, again.load_id, again.rows_loaded) == ("unchanged", first.load_id, 2)
    assert (project.rows("from raw_crm.people"), project.rows("from ops.loads")) == before

    project.drop("people.csv", CSV.replace("Ada", "Augusta"))
    (changed,) = project.load(table)
    assert [name for _, name, _, _ in people(project)] == ["Augusta", "Lovelace, A"]
    assert project.rows("select load_id, status from ops.loads order by status") == [
        (changed.load_id, "loaded"),
        (first.load_id, "superseded"),
    ]


def test_a_changed_declaration_loads_the_same_file_again(project):
    project.drop("people.csv", CSV)
    project.load(project.declare(columns={"id": "integer", "name": "varchar"}))
    assert project.rows("select _extra from raw_crm.people where id = 1") == [
        ('{"born":"1815-12-10","seen":"2026-01-02T03:04:05Z"}',)
    ]
    # A column more, and one of another type, into which what is there converts.
    (result,) = project.load(project.declare(columns={"id": "varchar", "born": "date"}))
    assert result.status == "loaded"
    assert project.rows("select id, born from raw_crm.people order by id") == [
        ("1", date(1815, 12, 10)),
        ("2", None),
    ]


def test_a_type_that_old_rows_do_not_fit_sets_the_table_aside_and_loads_again(project):
    columns = {"id": "integer", "name": "varchar"}
    project.drop("people.csv", CSV)
    project.load(project.declare(columns=columns))
    table = project.declare(columns=columns | {"name": "integer"})
    (result,) = project.load(table)
    assert (result.rows_loaded, result.rows_quarantined) == (0, 2)
    aside = project.rows("select table_name from duckdb_tables() where table_name like '%before%'")
    assert len(aside) == 1
    assert project.rows(f"select count(*) from raw_crm.{aside[0][0]}") == [(2,)]


def test_every_kind_of_bad_csv_row_is_quarantined_with_line_reason_and_column(project):
    table = project.declare(
        columns={
            "id": ("integer", {"required": True}),
            "name": "varchar",
            "born": ("date", {"format": "%d.%m.%Y"}),
        }
    )
    project.drop(
        "people.csv",
        b"id,name,born\n"
        b'1,"multi-line stays one field",10.12.1815\n'
        b"2,Bo,1815-12-10\n"
        b"3,too,01.01.2000,many\n"
        b"x4,Di,01.01.2000\n"
        b"5,few\n"
        b",nobody,01.01.2000\n"
        b"7,caf\xe9,01.01.2000\n"
        b"8,ok,31.02.2000\n"
        b'9,"a"b,01.01.2000\n'
        b"10,fine,\n",
    )
    (result,) = project.load(table)
    assert [row[0] for row in project.rows("select id from raw_crm.people order by id")] == [1, 10]
    assert (result.rows_read, result.rows_loaded, result.rows_quarantined) == (10, 2, 8)
    assert [row[:3] for row in quarantine(project)] == [
        (3, "not a valid DATE in the format %d.%m.%Y", "born"),
        (4, "too many fields", None),
        (5, "not a valid INTEGER", "id"),
        (6, "too few fields", None),
        (7, "missing required value", "id"),
        (8, "invalid UTF-8", "name"),
        (9, "not a valid DATE in the format %d.%m.%Y", "born"),
        (10, "broken quoting", None),
    ]
    assert quarantine(project)[0][3] == "2,Bo,1815-12-10"
    assert project.rows("select distinct load_id, source, table_name from ops.quarantine") == [
        (result.load_id, "crm", "people")
    ]


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("integer", "1.5", None),
        ("integer", "0x10", None),
        ("integer", "1_000", None),
        ("integer", "1e3", None),
        ("integer", "1,000", None),
        ("integer", "007", 7),
        ("integer", "+7", 7),
        ("integer", "5.0", 5),
        ("integer", "99999999999", None),
        ("decimal(18,2)", "19.999", None),
        ("decimal(18,2)", "1e-5", None),
        ("decimal(18,2)", "12.3400", "12.34"),
        ("decimal(18,2)", "-0.5", "-0.50"),
        ("date", "2026-01-02 11:00", None),
        ("date", "2026-01-02 00:00:00", date(2026, 1, 2)),
        ("date", "01/02/2026", None),
        ("timestamp", "2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5)),
        ("timestamp", "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5)),
        ("timestamp", "2026-01-02", datetime(2026, 1, 2)),
        ("timestamp", "02.01.2026", None),
        ("boolean", "true", True),
        ("boolean", "maybe", None),
        ("json", "text", '"text"'),
    ],
)
def test_no_value_is_quietly_changed_by_a_cast(project, kind, given, value):
    table = project.declare({"format": {"type": "ndjson"}}, {"v": kind})
    project.drop("people.ndjson", json.dumps({"v": given}) + "\n")
    (result,) = project.load(table)
    got = project.rows("select v from raw_crm.people")
    if value is None:
        assert (got, result.rows_quarantined) == ([], 1)
    else:
        assert [str(row[0]) for row in got] == [str(value)]


def test_a_timestamp_with_an_offset_in_its_format_is_turned_into_utc(project):
    table = project.declare(columns={"seen": ("timestamp", {"format": "%Y-%m-%d %H:%M %z"})})
    project.drop("people.csv", "seen\n2026-03-29 02:30 +0200\n")
    project.load(table)
    assert project.rows("select seen from raw_crm.people") == [(datetime(2026, 3, 29, 0, 30),)]


def test_headers_are_matched_after_trimming_and_by_alias_and_the_rest_is_kept_as_extra(project):
    table = project.declare(
        {"format": {"delimiter": ";"}},
        {"id": ("integer", {"aliases": ["ID No"]}), "name": "varchar"},
    )
    project.drop("people.csv", "﻿ID No ;x'\"y;Name\r\n1;a;b\r\n2;;\r\n".replace('"', ""))
    project.load(table)
    # `Name` is not `name`: matching is exact, and what is not declared is not lost.
    assert project.rows("select id, name, _extra from raw_crm.people order by id") == [
        (1, None, '{"x\'y":"a","Name":"b"}'),
        (2, None, None),
    ]


def test_a_file_without_a_header_is_read_by_position(project):
    table = project.declare(
        {"format": {"header": False, "delimiter": "\t"}}, {"a": "integer", "b": "varchar"}
    )
    project.drop("people.tsv", "1\tx\n2\ty\tz\nq\tw\n")
    project.load(table)
    assert project.rows("select a, b from raw_crm.people") == [(1, "x")]
    assert [row[:2] for row in quarantine(project)] == [
        (2, "too many fields"),
        (3, "not a valid INTEGER"),
    ]


def test_ndjson_keeps_nested_values_big_numbers_and_says_which_line_is_broken(project):
    table = project.declare(
        {"format": {"type": "ndjson"}, "key": ["messageId"]},
        {"messageId": "varchar", "n": "hugeint", "context": "json", "note": "varchar"},
    )
    lines = [
        '{"messageId":"a","n":123456789012345678901234567890,"context":{"b":[1,null]},"e":{"f":1}}',
        "",
        '{"messageId":"b","context":',
        '{"messageId":"c","note":"","n":""}',
        "[1]",
        '{"messageId":"a","n":123456789012345678901234567890,"context":{"b":[1,null]},"e":{"f":1}}',
        '{"n":1}',
        '{"messageId":"d","note":"x"} {"messageId":"e"}',
    ]
    project.drop("people.ndjson", "\n".join(lines))
    (result,) = project.load(table)
    assert project.rows(
        "select * exclude (_load_id, _origin, _loaded_at, _occurrence, _deleted_at) from raw_crm.people order by 1"
    ) == [
        ("a", 123456789012345678901234567890, '{"b":[1,null]}', None, '{"e":{"f":1}}', "a"),
        ("c", None, None, "", None, "c"),
    ]
    assert (result.rows_read, result.rows_loaded, result.rows_duplicate) == (7, 2, 1)
    assert quarantine(project) == [
        (3, "malformed JSON", None, lines[2]),
        (5, "not a JSON object", None, "[1]"),
        (7, "missing required value", "messageId", '{"n":1}'),
        (8, "malformed JSON", None, lines[7]),
    ]


def test_json_arrays_and_arrays_inside_a_document(project):
    table = project.declare({"format": {"type": "json"}}, {"id": "integer"})
    project.drop("people.json", '[{"id":1},{"id":"2"},3]')
    (result,) = project.load(table)
    assert project.rows("select id from raw_crm.people order by id") == [(1,), (2,)]
    assert [row[:2] for row in quarantine(project)] == [(3, "not a JSON object")]
    assert result.rows_read == 3

    table = project.declare(
        {"format": {"type": "json", "records": "data.items"}}, {"id": "integer"}
    )
    project.drop("people.json", gzip.compress(b'{"data":{"items":[{"id":4},{"id":5}]}}'))
    table = project.declare(
        {"format": {"type": "json", "records": "data.items", "compression": "gzip"}},
        {"id": "integer"},
    )
    project.load(table)
    assert project.rows("select id from raw_crm.people order by id") == [(4,), (5,)]


GZ = gzip.compress(
    b"id,name,born,seen\n" + b"".join(b"%d,n%d,,\n" % (i, i * 7919) for i in range(9999))
)


@pytest.mark.parametrize(
    ("name", "form", "content", "says"),
    [
        ("cut.json", {"type": "json"}, b'[{"id":1},', "does not end with `]`"),
        ("cut.json", {"type": "json"}, b'[{"id":1},{"id":"secret', "does not end with `]`"),
        ("bad.json", {"type": "json"}, b'[{"id":1},{"id" "secret"}]', "malformed JSON at byte"),
        ("object.json", {"type": "json"}, b'{"id":[1]}]', "not a JSON array"),
        ("deep.json", {"type": "json", "records": "a.b"}, b'{"a":{}}', "no array at"),
        ("cut.csv.gz", {}, GZ[: len(GZ) // 2], "compression is broken"),
        ("not.csv.gz", {}, b"id,name\n1,secret\n", "compression is broken"),
        ("empty.csv", {}, b"", "it is empty"),
        ("other.csv", {}, b"secret;thing\n1;2\n", "none of the declared columns"),
        ("twice.csv", {}, b"id,name,id\n1,a,2\n", "column id 2 times"),
    ],
)
def test_a_file_that_cannot_be_read_fails_alone_and_says_why(project, name, form, content, says):
    good = b'[{"id":1}]' if form.get("type") == "json" and not form.get("records") else b"id\n1\n"
    good = b'{"a":{"b":[{"id":1}]}}' if form.get("records") else good
    table = project.declare({"location": "drop/*", "format": form})
    project.drop("zz_good", good)
    project.drop(name, content)
    failed, loaded = project.load(table)
    assert (failed.status, failed.origin) == ("failed", f"drop/{name}")
    assert failed.error is not None
    assert says in failed.error
    assert f"drop/{name}" in failed.error
    assert str(project.root) not in failed.error
    assert "secret" not in failed.error
    assert (loaded.status, loaded.rows_loaded) == ("loaded", 1)
    (status,) = ledger.status(project.con)
    assert (status.origins, status.failed, status.error) == (1, 1, failed.error)


def test_a_required_column_that_the_file_does_not_have_fails_the_load_with_a_hint(project):
    table = project.declare(columns={"id": "integer", "surname": ("varchar", {"required": True})})
    project.drop("people.csv", "id,sur_name\n1,x\n")
    (result,) = project.load(table)
    assert result.status == "failed"
    assert "no column surname" in result.error
    assert "`sur_name`" in result.error


def test_a_failed_redelivery_leaves_the_rows_and_recovers(project):
    table = project.declare({"format": {"type": "json"}}, {"id": "integer"})
    project.drop("people.json", '[{"id":1}]')
    project.load(table)
    project.drop("people.json", '[{"id":1},')
    (first,) = project.load(table)
    (second,) = project.load(table)
    assert (first.status, second.status) == ("failed", "failed")
    assert first.load_id != second.load_id
    assert project.rows("select id from raw_crm.people") == [(1,)]
    assert project.rows("select status, count(*) from ops.loads group by 1 order by 1") == [
        ("failed", 1),
        ("loaded", 1),
        ("superseded", 1),
    ]
    project.drop("people.json", '[{"id":1}]')
    (back,) = project.load(table)
    assert back.status == "unchanged"
    assert ledger.status(project.con)[0].failed == 0


def test_what_never_arrived_is_in_the_ledger_too(project):
    table = project.declare()
    load.record_failure(project.con, table, "sftp://h/x", "h cannot be reached", "run_1", NOW)
    (status,) = ledger.status(project.con)
    assert (status.rows_read, status.failed, status.error) == (0, 1, "h cannot be reached")
    (row,) = project.rows("select status, run_id, started_at, rows_read from ops.loads")
    assert row == ("failed", "run_1", NOW, 0)
    assert status.finished_at == NOW + timedelta(0)


def test_mixed_line_ends_are_read_and_a_name_like_a_pattern_is_one_file(project):
    table = project.declare({"location": "drop/*.csv"}, {"id": "integer", "name": "varchar"})
    project.drop("p1.csv", "id,name\r\n1,one\n2,two\r\n3,three\r4,four\n")
    project.drop("p[1]'.csv", "id,name\n9,nine\n")
    results = project.load(table)
    assert [(r.origin, r.status, r.rows_loaded) for r in results] == [
        ("drop/p1.csv", "loaded", 4),
        ("drop/p[1]'.csv", "loaded", 1),
    ]
    assert project.rows("select id, name from raw_crm.people order by id")[3:] == [
        (4, "four"),
        (9, "nine"),
    ]


def test_lines_in_another_encoding_are_read_by_the_declared_fallback_only(project):
    columns = {"id": "integer", "name": "varchar"}
    content = "id;name\n1;Müller\n".encode() + "2;José\n".encode("latin-1")
    project.drop("people.csv", content)
    form = {"delimiter": ";", "encoding_fallback": "latin-1"}
    project.load(project.declare({"format": form}, columns))
    names = "select name from raw_crm.people order by id"
    assert project.rows(names) == [("Müller",), ("José",)]
    project.drop("people.csv", "id;name\n1;Žižek\n".encode("utf-16"))
    project.load(project.declare({"format": {"delimiter": ";", "encoding": "utf-16"}}, columns))
    assert project.rows(names) == [("Žižek",)]


def test_a_moment_keeps_its_zone_and_words_are_no_moments(project):
    """DuckDB drops a zone's name and an era, and takes `epoch` and `infinity` for moments."""
    table = project.declare({"key": "id"}, {"id": "integer", "seen": "timestamp", "born": "date"})
    project.drop(
        "people.csv",
        "id,seen,born\n1,2026-01-01 10:00:00 EST,2026-01-01\n2,2026-01-01 10:00:00 UTC,\n"
        "3,2026-01-01 10:00:00 BC,\n4,infinity,\n5,,-infinity\n6,epoch,\n7,,epoch\n8, 2026-01-01 10:00:00 ,\n",
    )
    (result,) = project.load(table)
    assert (result.rows_loaded, result.rows_quarantined) == (3, 5)
    assert project.rows("select id, seen from raw_crm.people order by id") == [
        (1, datetime(2026, 1, 1, 15)), (2, datetime(2026, 1, 1, 10)), (8, datetime(2026, 1, 1, 10)),
    ]  # fmt: skip
