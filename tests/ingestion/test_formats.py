"""Every way in which a file can be written: Parquet, tabs, zstd, no quotes, and their faults."""

from __future__ import annotations

import gzip
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

COLUMNS = {"id": "integer", "name": "varchar", "born": "date", "seen": "timestamp"}


def parquet(project, to: str, /, **columns) -> None:
    path = project.drop(to, b"")
    pq.write_table(pa.table(columns), path)


def quarantined(project) -> list[tuple]:
    return project.rows(
        "select row_number, reason, column_name, raw from ops.quarantine order by row_number"
    )


def test_parquet_is_typed_by_the_declaration_and_loses_nothing(project):
    table = project.declare(
        {"format": {"type": "parquet"}},
        {
            "id": "integer",
            "name": "varchar",
            "price": "decimal(18,2)",
            "seen": "timestamp",
            "born": ("date", {"format": "%d.%m.%Y"}),
            "tags": "json",
            "note": "varchar",
        },
    )
    moments = [datetime(2026, 1, 2, 3, 4), None, datetime(2026, 1, 3)]
    parquet(
        project,
        "people.parquet",
        id=pa.array([1, 2, 3], pa.int64()),
        name=["Ada", "", None],
        price=[1.5, 0.1, None],
        seen=pa.array(moments, pa.timestamp("us", tz="Europe/Berlin")),
        born=["10.12.1815", "", None],
        tags=pa.array([[1, 2], [], None], pa.list_(pa.int32())),
        note=pa.array([b"caf\xc3\xa9", b"\xff", None], pa.binary()),
        more=pa.array([{"a": 1}, None, None]),
    )
    (result,) = project.load(table)
    assert (result.rows_read, result.rows_loaded) == (3, 3)
    got = project.rows(
        "select id, name, price, seen, born, tags, note, _extra from raw_crm.people order by id"
    )
    assert got == [
        (
            1,
            "Ada",
            Decimal("1.50"),
            moments[0],
            date(1815, 12, 10),
            "[1,2]",
            "café",
            '{"more":{"a":1}}',
        ),
        (2, "", Decimal("0.10"), None, None, "[]", r"\xFF", None),
        (3, None, None, moments[2], None, None, None, None),
    ]


def test_a_parquet_value_that_would_be_changed_is_quarantined(project):
    table = project.declare(
        {"format": {"type": "parquet"}},
        {"id": ("integer", {"required": True}), "born": "date", "price": "decimal(18,2)"},
    )
    parquet(
        project,
        "people.parquet",
        id=pa.array([1.0, 1.5, 2.0**40, 4.0, 5.0, None]),
        born=pa.array([datetime(2026, 1, 1)] * 3 + [datetime(2026, 1, 1, 1)] + [None] * 2),
        price=[1.25, 1.0, 1.0, 1.0, 1.999, 1.0],
    )
    (result,) = project.load(table)
    assert (result.rows_read, result.rows_loaded, result.rows_quarantined) == (6, 1, 5)
    assert [row[:3] for row in quarantined(project)] == [
        (2, "not a valid INTEGER", "id"),
        (3, "not a valid INTEGER", "id"),
        (4, "not a valid DATE", "born"),
        (5, "not a valid DECIMAL(18,2)", "price"),
        (6, "missing required value", "id"),
    ]
    assert '"price":"1.999"' in quarantined(project)[3][3]


def test_a_broken_parquet_and_one_without_a_required_column_fail_and_say_so(project):
    table = project.declare(
        {"format": {"type": "parquet"}}, {"id": ("integer", {"required": True})}
    )
    parquet(project, "people1.parquet", id=[1])
    whole = (project.root / "drop" / "people1.parquet").read_bytes()
    project.drop("people2.parquet", whole[: len(whole) // 2])
    parquet(project, "people[3].parquet", ident=["x"])
    good, cut, lacking = project.load(table)
    assert (good.status, cut.status, lacking.status) == ("loaded", "failed", "failed")
    assert "not a whole Parquet file" in cut.error
    assert "no column id" in lacking.error


def test_tabs_zstd_and_no_quotes(project):
    table = project.declare({"format": {"delimiter": "\t", "quote": ""}}, COLUMNS)
    content = 'id\tname\tborn\tseen\n1\tsay "hi\t\t2026-01-02\n2\t"b"\t2000-01-01\t\n3\tx\n'
    project.drop("people.tsv.zst", pa.Codec("zstd").compress(content.encode(), asbytes=True))
    (result,) = project.load(table)
    assert (result.rows_read, result.rows_loaded, result.rows_quarantined) == (3, 2, 1)
    assert project.rows("select name from raw_crm.people order by id") == [('say "hi',), ('"b"',)]
    assert quarantined(project)[0][:2] == (4, "too few fields")


def test_zstd_cut_in_half_loads_nothing(project):
    table = project.declare()
    content = "id,name,born,seen\n" + "".join(f"{i},n{i * 7919},,\n" for i in range(9999))
    packed = pa.Codec("zstd").compress(content.encode(), asbytes=True)
    project.drop("people.csv.zst", packed[: len(packed) // 2])
    (result,) = project.load(table)
    assert result.status == "failed"
    assert "compression is broken" in result.error
    assert project.rows("select count(*) from raw_crm.people") == [(0,)]


@pytest.mark.parametrize("name", ["people.ndjson.zst", "people.ndjson.gz"])
def test_packed_ndjson(project, name):
    table = project.declare({"format": {"type": "ndjson"}}, {"id": "integer"})
    content = b'{"id":1}\n{"id":2}\n'
    pack = (
        gzip.compress
        if name.endswith("gz")
        else lambda b: pa.Codec("zstd").compress(b, asbytes=True)
    )
    project.drop(name, pack(content))
    project.load(table)
    assert project.rows("select id from raw_crm.people order by id") == [(1,), (2,)]
