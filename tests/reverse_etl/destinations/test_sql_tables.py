"""PostgreSQL, MariaDB and SQLite tables: one promise, kept by real servers."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from reverse_etl import destinations, quoting
from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    DestinationError,
    RejectError,
    RetryError,
    Row,
    StopError,
)

PASSWORD = "p@ss/word"
SECRET_TEXT = "zoe.secret@example.com"
PEOPLE = (
    "CREATE TABLE people (customer_id VARCHAR(80) PRIMARY KEY, mail VARCHAR(80) UNIQUE, n INTEGER)"
)


@dataclass
class Store:
    """A database of the test's own: how to send there, and how to look without our code."""

    name: str
    connection: dict[str, str]
    query: Callable[[str], list[tuple[Any, ...]]]
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1000)))

    def make(self, **changes: str) -> Any:
        return destinations.find(self.name)({**self.connection, **changes})

    def send(self, *rows: Row, key: str = "", **changes: Any) -> BatchAnswer:
        """One batch in a connection of its own."""
        with self.make() as destination:
            return destination.send(self.batch(*rows, key=key, **changes))

    def batch(self, *rows: Row, key: str = "", **changes: Any) -> Batch:
        number = next(self.numbers)
        fields = changes.pop("field_names", ("mail", "n"))
        return Batch("people_sync", "r1", number, key or f"key{number}", fields, rows, **changes)

    def people(self) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.query("SELECT * FROM people ORDER BY customer_id")]


def put(key: str, mail: str | None = None, n: Any = 1, **more: Any) -> Row:
    return Row(key, "upsert", json.dumps({"mail": mail, "n": n, **more}, ensure_ascii=False))


def gone(key: str) -> Row:
    return Row(key, "remove", "{}")


@pytest.fixture(params=["postgres", "mysql", "sqlite"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each engine in turn, with no table of ours in it."""
    if request.param == "sqlite":
        path = tmp_path / "crm.db"
        sqlite3.connect(path).close()

        def in_sqlite(sql: str) -> list[tuple[Any, ...]]:
            con = sqlite3.connect(path, isolation_level=None)
            try:
                return con.execute(sql).fetchall()
            finally:
                con.close()

        return Store("sqlite", {"path": str(path), "table": "people"}, in_sqlite)
    if request.param == "postgres":
        import adbc_driver_postgresql.dbapi

        url, run = request.getfixturevalue("postgres")
        run("DROP SCHEMA IF EXISTS crm CASCADE")
        run("CREATE SCHEMA crm")
        login = url.replace("me@", "me:p%40ss%2Fword@") + "?options=-csearch_path%3Dcrm"

        def in_postgres(sql: str) -> list[tuple[Any, ...]]:
            connect = adbc_driver_postgresql.dbapi.connect
            with connect(login, autocommit=True) as con, con.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []

        connection = {"url": url, "password": PASSWORD, "table": "crm.people"}
        return Store("postgres", connection, in_postgres)
    import pymysql

    url, run = request.getfixturevalue("mariadb")
    run("DROP DATABASE IF EXISTS crm; CREATE DATABASE crm CHARACTER SET utf8mb4", "mysql")
    run("CREATE USER IF NOT EXISTS 'w'@'127.0.0.1' IDENTIFIED BY 'p@ss/word'", "mysql")
    run("GRANT ALL ON crm.* TO 'w'@'127.0.0.1'", "mysql")

    def in_mysql(sql: str) -> list[tuple[Any, ...]]:
        parts = urlsplit(url)
        con = pymysql.connect(
            host="127.0.0.1", port=parts.port or 0, user="w", password=PASSWORD, database="crm",
            autocommit=True,
        )  # fmt: skip
        try:
            with con.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        finally:
            con.close()

    crm = url.replace("me@", "w@").replace("/shop", "/crm")
    return Store("mysql", {"url": crm, "password": PASSWORD, "table": "people"}, in_mysql)


@pytest.fixture
def store(empty: Store) -> Store:
    empty.query(PEOPLE)
    return empty


def test_rows_come_change_and_go(store: Store) -> None:
    assert store.send(put("c1", "a@x"), put("c2", "b@x", 2)).rows == {}
    store.send(put("c1", "new@x", 5), gone("c2"), gone("never"), put("c3"))
    assert store.people() == [("c1", "new@x", 5), ("c3", None, 1)]


def test_a_batch_sent_again_repeats_nothing_and_is_answered_as_before(store: Store) -> None:
    store.send(put("c1", "a@x"), key="once")
    first = store.send(put("c1", "b@x", 7), put("c9"), key="twice", mode="update_only")
    assert {key: row.error_code for key, row in first.rows.items()} == {"c9": "not_there"}
    store.query("UPDATE people SET mail = 'theirs'")
    store.send(put("c9"))
    # late, out of order, and answered as the first time although c9 is there now
    assert store.send(put("c1", "b@x", 7), put("c9"), key="twice", mode="update_only") == first
    store.send(put("c1", "a@x"), key="once")
    assert store.people() == [("c1", "theirs", 7), ("c9", None, 1)]


def test_batches_of_long_ago_are_forgotten(store: Store) -> None:
    store.send(put("c1"), key="old")
    store.send(put("c2"), key="recent")
    store.query("UPDATE mainstem_sync_batches SET applied_at = '2020-01-01' "
                "WHERE idempotency_key = 'old'")  # fmt: skip
    store.send(put("c3"), key="new")
    keys = store.query("SELECT idempotency_key FROM mainstem_sync_batches ORDER BY 1")
    assert keys == [("new",), ("recent",)]


def test_modes_that_only_add_or_only_update(store: Store) -> None:
    store.send(put("c1", "a@x"))
    for mode in ("add_only", "events"):
        store.send(put("c1", "b@x", 2), put(mode, mode), mode=mode)
    store.send(put("c1", "a@x", 3), put("c2"), mode="update_only")
    assert store.people() == [
        ("add_only", "add_only", 1),
        ("c1", "a@x", 3),
        ("events", "events", 1),
    ]


def test_a_session_replaces_everything_at_its_last_batch(store: Store) -> None:
    store.query("INSERT INTO people VALUES ('c1', 'old', 1), ('theirs', 'x', 1)")

    def batch(position: int, *rows: Row, key: str = "") -> Batch:
        return store.batch(
            *rows, key=key, mode="replace", position=position, of=2, total_rows=3
        )  # fmt: skip

    with store.make() as destination:
        destination.send(batch(1, put("zz")))  # a session that was given up
    with store.make() as destination:
        destination.send(batch(1, put("c1", "new"), put("c2"), key="one"))
        destination.send(batch(1, put("c1", "new"), put("c2"), key="one"))
        assert [row[:2] for row in store.people()] == [("c1", "old"), ("theirs", "x")]
    with store.make() as destination:  # the process was killed in between
        destination.send(batch(2, put("c3"), key="two"))
        destination.send(batch(2, put("c3"), key="two"))
    assert store.people() == [("c1", "new", 1), ("c2", None, 1), ("c3", None, 1)]
    with store.make() as destination, pytest.raises(StopError, match="run the sync again"):
        destination.send(batch(2, put("c3")))
    assert len(store.people()) == 3


def test_a_session_with_too_few_rows_leaves_the_table_as_it_was(store: Store) -> None:
    store.send(put("c1", "a@x"))
    with pytest.raises(StopError, match="2 of the 3 rows"):
        store.send(put("c5"), put("c6"), mode="replace", position=1, of=1, total_rows=3)
    assert store.people() == [("c1", "a@x", 1)]
    store.send(mode="replace", position=1, of=1)
    assert store.people() == []


def test_one_bad_row_refuses_the_batch_and_says_no_value(store: Store) -> None:
    store.send(put("c1", SECRET_TEXT))
    with store.make() as destination:
        for bad in (put("c2", SECRET_TEXT), put("c2", "b@x", n="x" * 90), put("c2" * 50)):
            if store.name == "sqlite" and bad.fields.count("xx"):
                continue  # any column there holds any value
            if store.name == "sqlite" and len(bad.key) > 80:
                continue
            with pytest.raises(RejectError) as refused:
                destination.send(store.batch(put("c3", "c@x"), bad))
            said = str(refused.value) + refused.value.code
            assert "zoe" not in said and "xx" not in said and "c2" not in said
            assert refused.value.__cause__ is None
        # the next batch passes over the same destination
        destination.send(store.batch(put("c4")))
    assert [row[0] for row in store.people()] == ["c1", "c4"]


def test_an_upsert_overwrites_nobody_who_shares_another_unique_value(store: Store) -> None:
    store.send(put("c1", "a@x", 1))
    with pytest.raises(RejectError):
        store.send(put("c2", "a@x", 2))
    assert store.people() == [("c1", "a@x", 1)]


VALUES: dict[str, Any] = {
    "price": "12345678901234567.80",
    "whole": "9007199254740993",
    "yes": "true",
    "moment": '"2026-03-01T12:00:00.123456Z"',
    "list": '["x",1.50,null]',
    "struct": '{"a":{"b":2.00}}',
    "emoji": '"Zoë 🛒 %s \\\\ \' `"',
    "nothing": "null",
    "long": '"' + "é" * 500_000 + '"',
}


def test_values_arrive_exact_in_a_table_that_is_made(empty: Store) -> None:
    fields = "{" + ",".join(f'"{name}":{value}' for name, value in VALUES.items()) + "}"
    batch = empty.batch(Row("Zoë 1", "upsert", fields), field_names=tuple(VALUES))
    with empty.make() as destination, pytest.raises(StopError, match=r"create_table: true.*CREATE"):
        destination.send(batch)
    with empty.make(create_table="true") as destination:
        assert "will be made" in destination.check()
        destination.send(batch)
        destination.send(empty.batch(Row("zoë 1", "upsert", fields), field_names=tuple(VALUES)))
    names = ", ".join(f"`{n}`" if empty.name == "mysql" else f'"{n}"' for n in VALUES)
    row = dict(zip(VALUES, empty.query(f"SELECT {names} FROM people")[0], strict=True))
    assert empty.query("SELECT count(*) FROM people") == [(2,)]
    assert Decimal(str(row["price"])) == Decimal("12345678901234567.80")
    assert int(row["whole"]) == 9007199254740993
    assert bool(row["yes"]) is True
    assert str(row["moment"])[:26].replace("T", " ") == "2026-03-01 12:00:00.123456"
    assert json.loads(row["list"]) == ["x", 1.5, None]
    assert "2.00" in row["struct"]
    assert row["emoji"] == "Zoë 🛒 %s \\ ' `"
    assert row["nothing"] is None
    assert row["long"] == "é" * 500_000


def test_names_are_quoted_whatever_they_are(empty: Store) -> None:
    odd = {"postgres": 'Or"der; %s', "mysql": "Or`der; %s", "sqlite": 'Or"der; %s'}[empty.name]
    place = {"postgres": {"schema": "crm"}, "mysql": {"schema": "crm"}, "sqlite": {}}[empty.name]
    for mode in ("upsert", "update_only", "add_only", "replace"):
        with empty.make(
            **place, table=f"t.{odd}", key_column=f"k {odd}", create_table="true"
        ) as destination:
            batch = empty.batch(
                Row("c1", "upsert", json.dumps({odd: "v", f"k {odd}": "other"})),
                field_names=(odd, f"k {odd}"),
                mode=mode,
            )
            destination.send(batch)
    mark = quoting.name(f"t.{odd}") if empty.name != "mysql" else f"`t.{odd.replace('`', '``')}`"
    assert empty.query(f"SELECT * FROM {mark}") == [("c1", "v")]


def test_what_is_wrong_with_the_table_is_said_with_the_next_step(empty: Store) -> None:
    empty.query("CREATE TABLE people (customer_id VARCHAR(80), mail VARCHAR(80))")
    with pytest.raises(StopError, match="no column n;"):
        empty.send(put("c1"))
    with pytest.raises(StopError, match="CREATE UNIQUE INDEX") as refused:
        empty.send(put("c1"), field_names=("mail",))
    empty.query(str(refused.value).rpartition("run: ")[2])
    empty.send(put("c1", "a@x"), field_names=("mail",))
    assert empty.people() == [("c1", "a@x")]
    with empty.make() as destination:
        assert "customer_id is unique" in destination.check()


def test_check_changes_nothing_and_needs_the_table(empty: Store) -> None:
    with empty.make() as destination, pytest.raises(StopError, match="there is no table"):
        destination.check()
    empty.query(PEOPLE)
    with empty.make() as destination:
        assert "3 columns" in destination.check()
        (body,) = destination.bodies(empty.batch(put("c1", "a@x")))
    assert body.content == (
        '{"operation":"upsert","key":"c1","fields":{"mail": "a@x", "n": 1}}'
    )  # fmt: skip
    with pytest.raises(Exception, match="mainstem_sync_batches"):
        empty.query("SELECT * FROM mainstem_sync_batches")


KILLED = """
import json, os, signal, sys
from reverse_etl import destinations, quoting
from reverse_etl.destination import Batch, Row
name, connection, moment, batch = json.loads(sys.argv[1])
from reverse_etl.postgres_table import PostgresTable
kind = destinations.find(name)
table = PostgresTable if name == "postgres" else kind
commit = table.commit
def killed(self):
    if batch["idempotency_key"] and getattr(self, "_is_committing", False):
        if moment == "after":
            commit(self)
        os.kill(os.getpid(), signal.SIGKILL)
    commit(self)
table.commit = killed
rows = [Row(*row) for row in batch.pop("rows")]
with kind(connection) as destination:
    destination.send(Batch(**batch, rows=rows))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_around_the_commit_a_batch_is_applied_once(store: Store, moment: str) -> None:
    store.query("INSERT INTO people VALUES ('c2', 'b@x', 1)")
    rows = [put("c1", "a@x", 2), gone("c2")]
    batch = {
        "sync_name": "people_sync", "sync_run_id": "r1", "number": 1, "idempotency_key": "k",
        "field_names": ["mail", "n"], "rows": [[r.key, r.operation, r.fields] for r in rows],
    }  # fmt: skip
    told = json.dumps([store.name, store.connection, moment, batch])
    env = os.environ | {"PYTHONPATH": str(Path(destinations.__file__).parents[2])}
    process = subprocess.run([sys.executable, "-c", KILLED, told], env=env, timeout=60, check=False)
    assert process.returncode == -signal.SIGKILL
    assert len(store.people()) == 1
    if moment == "after":
        # what a second application would undo
        store.query("UPDATE people SET n = 100")
        store.query("INSERT INTO people VALUES ('c2', 'their own', 1)")
    store.send(*rows, key="k")
    after = [("c1", "a@x", 100), ("c2", "their own", 1)]
    assert store.people() == (after if moment == "after" else [("c1", "a@x", 2)])


class Cutter:
    """A proxy that passes everything on, and cuts the connection where the client says COMMIT."""

    def __init__(self, port: int, *, is_applied: bool) -> None:
        self.is_applied = is_applied
        self.cuts = 1
        self.is_cut, self.is_answered = threading.Event(), threading.Event()
        self.server_port = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.server_port))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(*pair, client), daemon=True).start()

    def pump(self, source: socket.socket, sink: socket.socket, client: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if source is client and self.cuts and re.search(rb"(?<![A-Za-z ])COMMIT\0?$", data):
                    self.cuts -= 1
                    self.is_cut.set()
                    client.shutdown(socket.SHUT_RDWR)
                    if self.is_applied:
                        sink.sendall(data)
                        self.is_answered.wait(10)
                    sink.shutdown(socket.SHUT_RDWR)
                    return
                if source is not client and self.is_cut.is_set():
                    self.is_answered.set()
                sink.sendall(data)
        except OSError:
            return


@pytest.mark.parametrize("is_applied", [True, False])
def test_a_connection_that_breaks_at_the_commit_repeats_nothing(
    store: Store, is_applied: bool
) -> None:
    if store.name == "sqlite":
        pytest.skip("a file has no connection")
    store.send(put("c0"))  # the table of keys is there: one COMMIT less
    port = urlsplit(store.connection["url"]).port or 0
    cutter = Cutter(port, is_applied=is_applied)
    url = store.connection["url"].replace(str(port), str(cutter.port))
    batch = store.batch(put("c1", "a@x", 2))
    with store.make(url=url, timeout_seconds="5") as destination:
        with pytest.raises(RetryError) as lost:
            destination.send(batch)
        assert lost.value.maybe_applied
        assert [row[0] for row in store.people()] == (["c0", "c1"] if is_applied else ["c0"])
        if is_applied:
            store.query("UPDATE people SET n = 100 WHERE customer_id = 'c1'")
        destination.send(batch)  # the same destination connects again
    cutter.listener.close()
    assert store.people()[1] == ("c1", "a@x", 100 if is_applied else 2)


def test_no_server_and_a_refused_login_name_the_key_and_no_secret(store: Store) -> None:
    if store.name == "sqlite":
        with store.make(path="/no/such/file.db") as destination, pytest.raises(
            StopError, match=r"connection\.path"
        ):  # fmt: skip
            destination.check()
        return
    url = store.connection["url"]
    port = str(urlsplit(url).port)
    with store.make(url=url.replace(port, "1")) as destination, pytest.raises(RetryError) as away:
        destination.send(store.batch(put("c1")))
    assert "connection.url" in str(away.value)
    assert not away.value.maybe_applied
    with store.make(password="wr0ng!") as destination, pytest.raises(StopError) as refused:
        destination.send(store.batch(put("c1")))
    assert "connection.password" in str(refused.value)
    assert "wr0ng" not in str(refused.value)


@pytest.mark.parametrize(
    "wrong", [{"timeout_seconds": "soon"}, {"create_table": "maybe"}, {"table": ""}]
)
def test_useless_settings_are_refused_before_anything_opens(
    store: Store, wrong: dict[str, str]
) -> None:
    with pytest.raises(DestinationError, match=next(iter(wrong))):
        store.make(**wrong)
