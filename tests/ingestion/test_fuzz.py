"""Whatever bytes come, rows add up and nothing crashes; good bytes read as Python reads them."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from datetime import datetime
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion import ledger, load
from ingestion.sources import Arrival, Column, Format, Ingest, SourceTable

NOW = datetime(2026, 7, 1)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def table(form: Format, *, key: bool) -> SourceTable:
    columns = (Column("id", "integer"), Column("name", "varchar"), Column("doc", "json"))
    ingest = Ingest("files", "x", form, key=("id",) if key else (), newest_by=None)
    return SourceTable("s", "t", "raw_s", Path("x.yml"), 1, columns, ingest)


def loaded(content: bytes, form: Format, *, key: bool, fallback: bool = False):
    """Load the bytes into a warehouse of their own; the result and the connection."""
    if fallback:
        form = Format(**{**form.__dict__, "encoding_fallback": "latin-1"})
    declared = table(form, key=key)
    con = duckdb.connect()
    ledger.ensure(con, [declared])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.data"
        path.write_bytes(content)
        (result,) = load.load(con, declared, [Arrival(path, "x")], run_id="r", now=NOW)
    return con, result


def check(con: duckdb.DuckDBPyConnection, result) -> None:
    def one(sql: str):
        return con.execute(sql).fetchall()[0][0]

    assert result.rows_read == (
        result.rows_loaded + result.rows_duplicate + result.rows_quarantined
    )
    assert min(result.rows_loaded, result.rows_duplicate, result.rows_quarantined) >= 0
    assert one("select count(*) from raw_s.t") == result.rows_loaded
    assert one("select count(distinct _record_id) from raw_s.t") == result.rows_loaded
    assert one("select count(distinct row_number) from ops.quarantine") == result.rows_quarantined
    assert one("select count(*) from ops.quarantine where reason is null") == 0
    assert one("select count(*) from ops.loads") == 1
    if result.status == "failed":
        assert result.error
        assert result.rows_read == 0


PIECES = st.sampled_from(
    [
        b"id",
        b"name",
        b"doc",
        b",",
        b",",
        b",",
        b"\n",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b'"',
        b'"',
        b"1",
        b"2",
        *[b"x", b"", b"\x00", b"\xff", b"\xc3\xa9", b'{"a":1}', b"'", b"=1+1", b" ", b"1.5", b"\\"],
    ]
)


@QUICK
@given(
    st.one_of(st.binary(max_size=80), st.lists(PIECES, max_size=60).map(b"".join)),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_rows_of_any_csv_add_up(content, headed, key, fallback):
    content = b"id,name,doc\n" + content if headed else content
    con, result = loaded(content, Format("csv"), key=key, fallback=fallback)
    with con:
        check(con, result)


JSON_PIECES = st.sampled_from(
    [
        b'{"id":1}',
        b'{"id":',
        b"}",
        b"{",
        b"[",
        b"]",
        b",",
        b"\n",
        b"\n",
        b'"name":"x"',
        b"null",
        b"\xff",
        b'{"id":"2","name":{"a":[]},"zz":1}',
        b'{"id":1.5}',
        b"\x00",
        b" ",
        b"\r\n",
        b'{"doc":{"b":null}}',
    ]
)


@QUICK
@given(
    st.one_of(st.binary(max_size=60), st.lists(JSON_PIECES, max_size=30).map(b"".join)),
    st.sampled_from(["ndjson", "json"]),
    st.booleans(),
    st.booleans(),
)
def test_records_of_any_json_add_up(content, kind, key, fallback):
    con, result = loaded(content, Format(kind), key=key, fallback=fallback)
    with con:
        check(con, result)


FIELDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=12)


@QUICK
@given(st.lists(st.tuples(st.integers(-(2**31), 2**31 - 1), FIELDS), max_size=12, unique=True))
def test_a_csv_that_python_wrote_is_read_as_python_reads_it(rows):
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["id", "name"])
    writer.writerows(rows)
    con, result = loaded(text.getvalue().encode(), Format("csv"), key=False)
    with con:
        check(con, result)
        got = con.execute("select id, coalesce(name, '') from raw_s.t order by all").fetchall()
    assert got == sorted(rows)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def comparable(values) -> list[str]:
    return sorted(json.dumps(value, sort_keys=True) for value in values)


@QUICK
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["doc", "name", "zz", "a/b~"]), JSON_VALUES), max_size=6
    )
)
def test_ndjson_that_python_wrote_keeps_every_value(records):
    content = "".join(json.dumps(record) + "\n" for record in records).encode()
    con, result = loaded(content, Format("ndjson"), key=False)
    with con:
        check(con, result)
        extras = con.execute("select _extra from raw_s.t where _extra is not null").fetchall()
        docs = con.execute("select doc from raw_s.t where doc is not null").fetchall()
        quarantined = con.execute("select reason, column_name from ops.quarantine").fetchall()
    assert quarantined == []
    kept = [
        {key: value for key, value in record.items() if key not in ("id", "name", "doc")}
        for record in records
    ]
    telling = [e for e in kept if any(value is not None for value in e.values())]
    assert comparable(json.loads(e) for (e,) in extras) == comparable(telling)
    documents = [r["doc"] for r in records if r.get("doc") is not None]
    assert comparable(json.loads(d) for (d,) in docs) == comparable(documents)


@pytest.mark.parametrize("size", [3_000_000, 12_000_000])
def test_a_field_of_megabytes_is_a_field(size):
    content = b'id,name\n1,"' + b"x" * size + b'"\n2,b\n3\n'
    con, result = loaded(content, Format("csv"), key=False)
    with con:
        check(con, result)
        assert (result.rows_loaded, result.rows_quarantined) == (2, 1)
        assert con.execute("select max(length(name)) from raw_s.t").fetchall() == [(size,)]
