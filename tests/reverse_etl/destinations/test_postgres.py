"""What is PostgreSQL's own: types of its columns, its locks, and a server that falls silent."""

from __future__ import annotations

import random
import socket
import string
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import adbc_driver_postgresql.dbapi
import pytest

from reverse_etl.destination import Batch, RejectError, RetryError, Row, StopError
from reverse_etl.destinations import postgres as module
from reverse_etl.destinations.postgres import Postgres

PASSWORD = "p@ss/word"
Query = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def url(postgres: tuple[str, Callable[[str], None]]) -> str:
    found, run = postgres
    run("DROP SCHEMA IF EXISTS own CASCADE; CREATE SCHEMA own")
    return found


@pytest.fixture
def query(url: str) -> Query:
    login = url.replace("me@", "me:p%40ss%2Fword@")

    def run(sql: str) -> list[tuple[Any, ...]]:
        connect = adbc_driver_postgresql.dbapi.connect
        with connect(login, autocommit=True) as con, con.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    return run


def make(url: str, **changes: str) -> Postgres:
    given = {"url": url, "password": PASSWORD, "table": "own.people", "key_column": "id"}
    return Postgres({**given, **changes})


def batch(key: str, *rows: Row, fields: tuple[str, ...] = ("n",), **changes: Any) -> Batch:
    return Batch("people", "r1", 1, key, fields, rows, **changes)


def put(key: str, fields: str = '{"n":1}') -> Row:
    return Row(key, "upsert", fields)


def test_values_take_the_types_of_the_columns(url: str, query: Query) -> None:
    query(
        "CREATE TABLE own.people (id bigint UNIQUE, tags text[], raw bytea, doc json, price numeric,"
        " at timestamp, day date, note varchar(5), made timestamptz DEFAULT now(),"
        " twice bigint GENERATED ALWAYS AS (id * 2) STORED)"
    )
    fields = (
        '{"tags":["x","ü,y"],"raw":"AAE=","doc":{"a":1.500},"price":12345678901234567890.1234567890,'
        '"at":"2026-03-01T12:00:00.123456Z","day":"2026-03-01","note":null}'
    )
    names = ("tags", "raw", "doc", "price", "at", "day", "note")
    with make(url) as to:
        to.send(batch("k1", put("9007199254740993", fields), fields=names))
        for key in ("9007199254740993x", "1.5"):
            with pytest.raises(RejectError):
                to.send(batch("k2", put(key, fields), fields=names))
        with pytest.raises(RejectError) as refused:
            to.send(batch("k2", put("1", '{"note":"a secret"}'), fields=("note",)))
        assert "secret" not in str(refused.value)
        assert refused.value.detail == "value too long for type character varying(5)"
    assert query(
        "SELECT id, tags, encode(raw, 'hex'), doc::text, price::text, at::text, day::text, note,"
        " made IS NOT NULL, twice FROM own.people"
    ) == [
        (
            9007199254740993, ["x", "ü,y"], "0001", '{"a":1.500}',
            "12345678901234567890.1234567890", "2026-03-01 12:00:00.123456", "2026-03-01", None,
            True, 18014398509481986,
        )
    ]  # fmt: skip


def test_what_constraints_indexes_and_triggers_refuse_is_the_rows_fault(
    url: str, query: Query
) -> None:
    query("CREATE TABLE own.people (id text PRIMARY KEY, n text, UNIQUE (n) DEFERRABLE"
          " INITIALLY DEFERRED)")  # fmt: skip
    query("CREATE INDEX ON own.people (n)")
    query("CREATE FUNCTION own.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
          " IF new.n = 'never' THEN RAISE EXCEPTION 'not %', new.n; END IF; RETURN new; END $$")  # fmt: skip
    query("CREATE TRIGGER no BEFORE INSERT ON own.people FOR EACH ROW EXECUTE FUNCTION own.no()")
    with make(url) as to:
        to.send(batch("k1", put("c1", '{"n":"a"}')))
        # random, for PostgreSQL compresses what repeats
        long = "".join(random.Random(1).choices(string.ascii_letters, k=20_000))
        for value in ("a", "never", long, "\\u0000"):
            with pytest.raises(RejectError) as refused:
                to.send(batch("k2", put("c2", f'{{"n":"{value}"}}')))
            assert "never" not in str(refused.value)
        to.send(batch("k2", put("c2", '{"n":"b"}')))
    assert query("SELECT id FROM own.people ORDER BY 1") == [("c1",), ("c2",)]


def test_a_lock_of_somebody_else_is_waited_for_in_vain_and_no_longer(
    url: str, query: Query
) -> None:
    query("CREATE TABLE own.people (id text PRIMARY KEY, n int)")
    login = url.replace("me@", "me:p%40ss%2Fword@")
    with make(url, timeout_seconds="0.3") as to:
        to.send(batch("k0", put("c0")))
        other = adbc_driver_postgresql.dbapi.connect(login)
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE own.people IN EXCLUSIVE MODE")
        begun = time.monotonic()
        with pytest.raises(RetryError, match="timeout_seconds") as late:
            to.send(batch("k1", put("c1")))
        assert time.monotonic() - begun < 5
        assert not late.value.maybe_applied
        other.close()
        to.send(batch("k1", put("c1")))
    assert query("SELECT id FROM own.people ORDER BY 1") == [("c0",), ("c1",)]


def test_two_batches_of_one_sync_at_once_come_one_after_the_other(url: str, query: Query) -> None:
    query("CREATE TABLE own.people (id text PRIMARY KEY, n int)")
    errors: list[Exception] = []

    def send(number: int) -> None:
        try:
            with make(url) as to:
                to.send(batch(f"k{number % 2}", *(put(f"c{at}") for at in range(50))))
        except Exception as error:
            errors.append(error)

    # also who makes the table of keys: all at one moment
    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [error for error in errors if not isinstance(error, RetryError)] == []
    with make(url) as to:
        to.send(batch("k0", put("c0")))
        to.send(batch("k1", put("c0")))
    assert query("SELECT count(*) FROM own.mainstem_sync_batches") == [(2,)]
    assert query("SELECT count(*) FROM own.people") == [(50,)]


def test_a_server_that_falls_silent_does_not_hold_the_run(
    url: str, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    query("CREATE TABLE own.people (id text PRIMARY KEY, n int)")
    monkeypatch.setattr(module, "CONNECT_SECONDS", 1)
    listener = socket.create_server(("127.0.0.1", 0))
    is_silent = threading.Event()

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if b"mainstem_incoming" in data:
                    is_silent.set()
                if not is_silent.is_set():
                    sink.sendall(data)
        except OSError:
            return

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", urlsplit(url).port or 0))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    port = listener.getsockname()[1]
    with make(
        url.replace(str(urlsplit(url).port), str(port)), timeout_seconds="0.5"
    ) as to, pytest.raises(RetryError, match="no answer") as silent:  # fmt: skip
        to.send(batch("k1", put("c1")))
    listener.close()
    assert not silent.value.maybe_applied  # its commit was not on its way
    with make(url) as to:
        to.send(batch("k1", put("c1")))
    assert query("SELECT id FROM own.people") == [("c1",)]


def test_rights_that_are_missing_and_schemas_that_are_not_there(url: str, query: Query) -> None:
    query("DROP ROLE IF EXISTS reader")
    query("CREATE ROLE reader LOGIN PASSWORD 'p@ss/word'")
    query("CREATE TABLE own.people (id text PRIMARY KEY, n int)")
    query("GRANT USAGE ON SCHEMA own TO reader")
    query("GRANT SELECT ON own.people TO reader")
    with make(url.replace("me@", "reader@")) as to:
        assert "id is unique" in to.check()
        with pytest.raises(StopError, match="rights"):
            to.send(batch("k1", put("c1")))
    with make(url, table="nowhere.people", create_table="true") as to, pytest.raises(StopError):
        to.send(batch("k1", put("c1")))
    with pytest.raises(StopError, match=r"connection\.url"):
        make("mysql://me@127.0.0.1/x")
