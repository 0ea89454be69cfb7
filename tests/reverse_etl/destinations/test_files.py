"""Parquet and CSV files in a folder: whole or not there, once, with every digit."""

from __future__ import annotations

import csv
import hashlib
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from reverse_etl.destination import Batch, RejectError, Row, StopError
from reverse_etl.destinations.files import Files


def batch(number: int, *rows: Row, fields: tuple[str, ...] = ("mail",), **changes: Any) -> Batch:
    return Batch("people", "r1", number, f"key{number}".ljust(16, "_"), fields, rows, **changes)


def put(key: str, fields: str = '{"mail":"a@x"}') -> Row:
    return Row(key, "upsert", fields)


def session(number: int, position: int, of: int, *rows: Row, **changes: Any) -> Batch:
    return batch(number, *rows, mode="replace", position=position, of=of, **changes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def files(root: Path, pattern: str) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob(pattern) if path.is_file())


def test_a_delta_file_is_there_whole_with_its_manifest_and_once(root: Path) -> None:
    to = Files({"path": str(root), "format": "csv"})
    to.send(batch(1, put("c1", '{"mail":"=1+1"}'), Row("c2", "remove", "{}")))
    (name,) = files(root, "*.csv")
    with (root / name).open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["operation", "key", "mail"],
            ["upsert", "c1", "'=1+1"],
            ["remove", "c2", ""],
        ]
    manifest = json.loads((root / f"{name}.json").read_text())
    content = (root / name).read_bytes()
    assert manifest == {
        "file": "r1__00001.csv",
        "rows": 2,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "sync": "people",
    }
    assert len(files(root, "*")) == 2
    # sent again on another day it is where it was, untouched
    day = (root / name).parent
    day.rename(day.with_name("date=2020-01-01"))
    to.send(batch(1, put("c1")))
    assert files(root, "*.csv") == ["people/date=2020-01-01/r1__00001.csv"]
    assert (root / "people/date=2020-01-01/r1__00001.csv").read_bytes() == content


def test_a_try_that_was_killed_before_its_manifest_is_finished_in_its_place(root: Path) -> None:
    to = Files({"path": str(root)})
    day = root / "people" / "date=2020-01-01"
    day.mkdir(parents=True)
    (day / "r1__00001.parquet").write_text("half")
    for older in (day, root / "people" / "date=2019-12-31"):
        older.mkdir(exist_ok=True)
        (older / ".r1__00001.parquet.part").write_text("half")
    to.send(batch(1, put("c1")))
    assert files(root, "*.parquet") == ["people/date=2020-01-01/r1__00001.parquet"]
    assert files(root, ".*") == []


VALUES = (
    '{"price":12345678901234567.80,"whole":9007199254740993,"yes":true,'
    '"moment":"2026-03-01T12:00:00.123456Z","list":[1.50,12345678901234567.80],"struct":{"a":"ü"},'
    '"emoji":"Zoë 🛒","nothing":null,"blob":"AAE=","long":"' + "é" * 500_000 + '"}'
)
TYPES = {
    "price": "DECIMAL(19,2)",
    "whole": "HUGEINT",
    "yes": "BOOLEAN",
    "moment": "TIMESTAMP",
    "list": "DECIMAL(19,2)[]",
    "struct": 'STRUCT("a" VARCHAR)',
    "emoji": "VARCHAR",
    "nothing": "DOUBLE",
    "blob": "BLOB",
    "long": "VARCHAR",
}


@pytest.mark.parametrize("types", [TYPES, {}])
def test_parquet_has_exact_values_of_the_right_types(root: Path, types: dict[str, str]) -> None:
    to = Files({"path": str(root)})
    given = batch(
        1,
        put("Zoë", VALUES),
        put("b", "{}"),
        fields=tuple(TYPES),
        field_types=tuple(types.values()),
    )
    to.send(given)
    (name,) = files(root, "*.parquet")
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        found = con.sql(f"SELECT * FROM read_parquet('{root / name}')")
        row = dict(zip(found.columns, found.fetchall()[0], strict=True))
    assert row["key"] == "Zoë"
    assert (row["price"], row["whole"]) == (Decimal("12345678901234567.80"), 9007199254740993)
    assert row["yes"] is True
    assert row["moment"].replace(tzinfo=None) == datetime(2026, 3, 1, 12, 0, 0, 123456)
    assert row["emoji"] == "Zoë 🛒"
    assert row["nothing"] is None
    assert row["long"] == "é" * 500_000
    if types:
        assert (row["list"], row["struct"]) == (
            [Decimal("1.50"), Decimal("12345678901234567.80")],
            {"a": "ü"},
        )
        assert row["blob"] == b"\0\1"
    else:
        assert (row["list"], row["struct"]) == (
            "[1.50,12345678901234567.80]",
            '{"a":"ü"}',
        )


def test_a_value_that_fits_no_column_refuses_the_batch_and_is_not_told(root: Path) -> None:
    to = Files({"path": str(root)})
    with pytest.raises(RejectError) as refused:
        to.send(batch(1, put("c1", '{"mail":"zoe@x"}'), field_types=("INTEGER",)))
    assert "zoe" not in str(refused.value)
    with pytest.raises(RejectError):
        to.send(batch(1, put("c1", '{"mail":"\\ud800"}')))
    assert files(root, "*.parquet") == []


def test_a_session_shows_nothing_until_its_last_batch_and_then_everything(root: Path) -> None:
    to = Files({"path": str(root)})
    to.send(session(1, 1, 2, put("given up")))
    assert files(root, "current.json") == []
    for _ in range(2):
        to.send(session(2, 1, 2, put("c1"), put("c2"), total_rows=3))
    for _ in range(2):
        to.send(session(3, 2, 2, put("c3"), total_rows=3))
    current = json.loads((root / "people/current.json").read_text())
    assert (current["rows"], len(current["files"])) == (3, 2)
    assert len(list((root / "people").glob("snapshot=*"))) == 1
    snapshot = root / "people" / current["snapshot"]
    keys = f"SELECT key FROM read_parquet('{snapshot}/*.parquet') ORDER BY 1"
    with duckdb.connect() as con:
        assert con.sql(keys).fetchall() == [("c1",), ("c2",), ("c3",)]
    assert json.loads((snapshot / "_SUCCESS").read_text()) == current
    for number in (4, 5):
        to.send(session(number, 1, 1, put("c9"), total_rows=1))
    assert len(list((root / "people").glob("snapshot=*"))) == 2
    assert json.loads((root / "people/current.json").read_text())["rows"] == 1


def test_a_session_that_lost_a_part_leaves_the_snapshot_as_it_was(root: Path) -> None:
    to = Files({"path": str(root)})
    to.send(session(1, 1, 1, put("c1"), total_rows=1))
    before = (root / "people/current.json").read_text()
    with pytest.raises(StopError, match="run the sync again with --full"):
        to.send(session(2, 2, 2, put("c2"), total_rows=2))
    assert (root / "people/current.json").read_text() == before


def test_killed_between_the_rename_and_the_pointer(root: Path) -> None:
    to = Files({"path": str(root)})
    to.send(session(1, 1, 1, put("c1"), total_rows=1))
    (root / "people/current.json").unlink()
    to.send(session(1, 1, 1, put("c1"), total_rows=1))
    assert json.loads((root / "people/current.json").read_text())["rows"] == 1


def test_what_is_wrong_with_the_folder_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(StopError, match="address"):
        Files({"path": "s3://bucket/people"})
    with pytest.raises(StopError, match=r"connection\.format"):
        Files({"path": str(root), "format": "xlsx"})
    nowhere = Files({"path": str(tmp_path / "no" / "where")})
    for wrong in (nowhere.check, lambda: nowhere.send(batch(1, put("c1")))):
        with pytest.raises(StopError, match=r"connection\.path"):
            wrong()
    outside = tmp_path / "outside"
    outside.mkdir()
    root.mkdir()
    (root / "people").symlink_to(outside)
    to = Files({"path": str(root)})
    assert "can be written" in to.check()
    with pytest.raises(StopError, match="link"):
        to.send(batch(1, put("c1")))
    with pytest.raises(StopError, match="name"):
        to.send(Batch("../up", "r1", 1, "k", ("mail",), [put("c1")]))
    assert list(outside.iterdir()) == []
