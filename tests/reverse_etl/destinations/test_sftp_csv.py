"""Delta files on a real SSH server."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from reverse_etl.connection import resolve
from reverse_etl.csv_rows import cell, csv_of
from reverse_etl.destination import Batch, Row
from reverse_etl.destinations.sftp_csv import SftpCsv

if TYPE_CHECKING:
    from conftest import Drop, Runner, Warehouse

    from reverse_etl.declarations import Sync


@pytest.fixture
def to_drop(run: Runner, drop: Drop) -> Sync:
    run.env |= drop.env
    return run.sync(
        name="cart_to_files", destination="sftp_csv", connection=drop.connection(), batch_rows=100
    )


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_delta_files_with_their_manifests(
    run: Runner, warehouse: Warehouse, drop: Drop, to_drop: Sync
) -> None:
    warehouse.add("c1", first_name="=cmd()", cart_value="12.50")
    warehouse.add("c2", first_name='Zoë "Z", née 🛒', email=None)
    result = run(to_drop)
    assert (result.status, result.rows_added, result.requests) == ("succeeded", 2, 1)
    (file,) = drop.files("*.csv")
    assert list(read(file)[0]) == ["operation", "key", "email", "name", "cart"]
    assert [list(row.values()) for row in read(file)] == [
        ["upsert", "c1", "c1@example.com", "'=cmd()", "12.50"],
        ["upsert", "c2", "", 'Zoë "Z", née 🛒', "1.00"],
    ]
    assert file.name == f"cart_to_files__{result.sync_run_id}__00001.csv"
    content = file.read_bytes()
    manifest = json.loads(file.with_name(file.name + ".json").read_text())
    assert manifest == {
        "file": file.name,
        "sync": "cart_to_files",
        "rows": 2,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert len(drop.files()) == 2  # no temporary file is left

    assert run(to_drop).requests == 0
    assert len(drop.files()) == 2

    warehouse.people["c1"]["consent"] = "withdrawn"
    warehouse.add("c3")
    assert (run(to_drop).rows_removed, len(drop.files("*.csv"))) == (1, 2)
    (later,) = set(drop.files("*.csv")) - {file}
    assert [(row["operation"], row["key"]) for row in read(later)] == [
        ("remove", "c1"),
        ("upsert", "c3"),
    ]


def test_sent_again_overwrites_and_never_repeats(
    run: Runner, warehouse: Warehouse, drop: Drop, to_drop: Sync
) -> None:
    warehouse.add("c1")
    run(to_drop)
    before = {path: path.read_bytes() for path in drop.files()}
    # as if the process had died after the upload and before the acknowledgement
    with duckdb.connect(str(run.ledger)) as con:
        ((run_id,),) = con.execute("SELECT sync_run_id FROM sync_runs").fetchall()
        con.execute("UPDATE sync_runs SET status = 'running', rows_added = 0, rows_pending = 1")
        con.execute("UPDATE sync_batches SET status = 'sent'")
        con.execute("DELETE FROM sync_state; DELETE FROM sync_log")
        payload = '{"cart":0.00,"email":"c1@example.com","name":"Name0"}'
        con.execute(
            "INSERT INTO planned_rows (sync_run_id, batch_number, position, row_key, customer_id,"
            " kind, payload, payload_hash) VALUES (?, 1, 1, 'c1', 'c1', 'add', $2,"
            " sha256($2)[:32])",
            [run_id, payload],
        )
    fewer = run.sync(
        name=to_drop.name,
        destination="sftp_csv",
        connection=drop.connection(),
        fields=to_drop.fields[:1],
    )
    result = run(fewer, accept=True)
    assert (result.is_resumed, result.rows_added, result.rows_updated) == (True, 1, 1)
    # the declaration has changed since: the repeat has not, and the change comes in a file after it
    assert {path: path.read_bytes() for path in before} == before
    assert len(drop.files("*.csv")) == 2


def test_a_full_file_in_parts_is_named_by_what_is_current(run: Runner, drop: Drop) -> None:
    given = resolve(drop.connection(), drop.env)
    for position in (1, 2):
        rows = [Row(f"c{position}", "upsert", '{"email":"a@x"}')]
        with SftpCsv(given) as destination:
            destination.send(
                Batch(
                    "s", "r1", position, f"k{position}", ("email",), rows,
                    mode="replace", position=position, of=2, total_rows=2,
                )
            )  # fmt: skip
        assert len(drop.files("s__current.json")) == position - 1
    (current,) = drop.files("s__current.json")
    told = json.loads(current.read_text())
    assert told["rows"] == 2
    parts = [read(current.with_name(name)) for name in told["files"]]
    assert parts == [[{"key": "c1", "email": "a@x"}], [{"key": "c2", "email": "a@x"}]]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("known_hosts", "/nowhere/known_hosts"),
        ("private_key", "/nowhere/key"),
        ("path", "/no/such/parent"),
        ("port", "1"),
    ],
)
def test_trouble_names_the_key_and_leaves_rows_pending(
    run: Runner, warehouse: Warehouse, drop: Drop, key: str, value: str
) -> None:
    run.env |= drop.env
    warehouse.add("c1")
    broken = run.sync(
        destination="sftp_csv", batch_rows=9, connection=drop.connection() | {key: value}
    )
    result = run(broken)
    assert (result.status, result.rows_pending) == ("incomplete", 1)
    assert f"connection.{key}" in str(result.error)
    mended = run.sync(destination="sftp_csv", batch_rows=9, connection=drop.connection())
    assert run(mended).rows_added == 1


def test_unknown_host_key_and_refused_login_stop(
    run: Runner, warehouse: Warehouse, drop: Drop, to_drop: Sync, tmp_path: Path
) -> None:
    warehouse.add("c1")
    known_hosts, key = run.env["SFTP_KNOWN_HOSTS"], run.env["SFTP_KEY"]
    (tmp_path / "empty").touch()
    run.env["SFTP_KNOWN_HOSTS"] = str(tmp_path / "empty")
    result = run(to_drop)
    assert (result.status, result.requests) == ("incomplete", 1)
    assert "connection.known_hosts" in str(result.error)
    run.env["SFTP_KNOWN_HOSTS"] = known_hosts
    run.env["SFTP_KEY"] = str(Path(key).with_name("other_key"))
    shutil.copy(Path(key).with_name("host_key"), run.env["SFTP_KEY"])
    assert "connection.username" in str(run(to_drop).error)
    assert drop.files() == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+cmd|' /C calc'!A0", "'-2+cmd|' /C calc'!A0"),
        ("\t=1", "'\t=1"),
        ("+49 (30) 123-45", "+49 (30) 123-45"),
        ("-12.50", "-12.50"),
        ("a=b", "a=b"),
        (None, ""),
        (True, "true"),
        ({"a": ["=x", None, True]}, '{"a":["=x",null,true]}'),
    ],
)
def test_cells(value: Any, expected: str) -> None:
    assert cell(value) == expected


def test_numbers_keep_their_digits_also_inside_lists() -> None:
    fields = '{"n":-12345678901234567.80,"l":[1.50,{"a":2.00}]}'
    batch = Batch("s", "r", 1, "k", ("n", "l"), [Row("c1", "upsert", fields)])
    assert csv_of(batch).decode() == (
        'operation,key,n,l\nupsert,c1,-12345678901234567.80,"[1.50,{""a"":2.00}]"\n'
    )


def test_a_carriage_return_inside_a_value_ends_no_line() -> None:
    rows = [Row("c1", "upsert", json.dumps({"note": "one\rtwo"})), Row("c2", "upsert", "{}")]
    content = csv_of(Batch("s", "r1", 1, "k1", ("note",), rows)).decode()
    assert list(csv.reader(content.splitlines(keepends=True), strict=True)) == [
        ["operation", "key", "note"],
        ["upsert", "c1", "one\rtwo"],
        ["upsert", "c2", ""],
    ]
