"""What is MySQL's own: strictness, moments, bytes, tables without transactions, large rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from reverse_etl.destination import Batch, RejectError, RetryError, Row, StopError
from reverse_etl.destinations.mysql import Mysql

pymysql = pytest.importorskip("pymysql", reason="pip install 'mainstem[mysql]'")
PASSWORD = "p@ss/word"
Query = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def url(mariadb: tuple[str, Callable[..., None]]) -> str:
    found, run = mariadb
    run("DROP DATABASE IF EXISTS own; CREATE DATABASE own CHARACTER SET utf8mb4", "mysql")
    run("CREATE USER IF NOT EXISTS 'o'@'127.0.0.1' IDENTIFIED BY 'p@ss/word'", "mysql")
    run("GRANT ALL ON own.* TO 'o'@'127.0.0.1'", "mysql")
    return found.replace("me@", "o@").replace("/shop", "/own")


@pytest.fixture
def query(url: str) -> Query:
    def run(sql: str) -> list[tuple[Any, ...]]:
        con = pymysql.connect(
            host="127.0.0.1", port=urlsplit(url).port, user="o", password=PASSWORD, database="own",
            autocommit=True,
        )  # fmt: skip
        with con, con.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    return run


def make(url: str, **changes: str) -> Mysql:
    given = {"url": url, "password": PASSWORD, "table": "people", "key_column": "id"}
    return Mysql({**given, **changes})


def batch(key: str, *rows: Row, fields: tuple[str, ...] = ("n",), **changes: Any) -> Batch:
    return Batch("people", "r1", 1, key, fields, rows, **changes)


def test_values_take_the_types_of_the_columns(url: str, query: Query) -> None:
    query(
        "CREATE TABLE people (id bigint UNIQUE, raw varbinary(9), price decimal(30,10), at datetime(6),"
        " stamp timestamp NULL, kind enum('50%','b'), note varchar(5), yes bit(1), doc json)"
    )
    names = ("raw", "price", "at", "stamp", "kind", "note", "yes", "doc")
    moment = '"2026-03-29T02:30:00.123456Z"'
    fields = (
        f'{{"raw":"AAE=","price":12345678901234567890.1234567890,"at":{moment},"stamp":{moment},'
        '"kind":"50%","note":"a%s\\\\","yes":true,"doc":{"a":[1.50]}}'
    )
    with make(url) as to:
        to.send(batch("k1", Row("9007199254740993", "upsert", fields), fields=names))
        to.send(batch("k1b", Row("9007199254740993", "upsert", fields), fields=names))
        for column, value in (("note", '"too long"'), ("kind", '"zoe@x"'), ("at", '"zoe@x"')):
            with pytest.raises(RejectError) as refused:
                to.send(
                    batch("k2", Row("1", "upsert", f'{{"{column}":{value}}}'), fields=(column,))
                )
            assert "zoe" not in str(refused.value)
            assert column in str(refused.value)
            assert refused.value.detail
    assert query(
        "SELECT id, hex(raw), price, cast(at AS char), unix_timestamp(stamp), kind, note, yes + 0,"
        " doc FROM people"
    ) == [
        (
            9007199254740993, "0001", pymysql.converters.Decimal("12345678901234567890.1234567890"),
            "2026-03-29 02:30:00.123456", 1774751400, "50%", "a%s\\", 1, '{"a":[1.50]}',
        )
    ]  # fmt: skip


def test_a_table_without_transactions_is_refused(url: str, query: Query) -> None:
    query("CREATE TABLE people (id varchar(9) PRIMARY KEY, n int) ENGINE = MyISAM")
    with make(url) as to, pytest.raises(StopError, match="InnoDB") as refused:
        to.send(batch("k1", Row("c1", "upsert", '{"n":1}')))
    query(str(refused.value).rpartition("run: ")[2])
    with make(url) as to:
        to.send(batch("k1", Row("c1", "upsert", '{"n":1}')))
    assert query("SELECT * FROM people") == [("c1", 1)]


def test_a_row_larger_than_a_packet_is_refused_and_the_connection_goes_on(
    url: str, query: Query
) -> None:
    query("CREATE TABLE people (id varchar(9) PRIMARY KEY, n longtext)")
    with make(url) as to:
        with pytest.raises(RejectError, match="max_allowed_packet"):
            to.send(batch("k1", Row("c1", "upsert", '{"n":"' + "x" * 20_000_000 + '"}')))
        to.send(batch("k2", Row("c2", "upsert", '{"n":"x"}')))
    assert query("SELECT id FROM people") == [("c2",)]


def test_a_batch_waits_for_the_one_before_it_and_no_longer(url: str, query: Query) -> None:
    query("CREATE TABLE people (id varchar(9) PRIMARY KEY, n int)")
    with make(url) as first, make(url, timeout_seconds="1") as second:
        first.open()
        first.begin("people")
        with pytest.raises(RetryError, match="another batch") as busy:
            second.send(batch("k1", Row("c1", "upsert", '{"n":1}')))
        assert not busy.value.maybe_applied
        first.close()
        second.send(batch("k1", Row("c1", "upsert", '{"n":1}')))
    assert query("SELECT * FROM people") == [("c1", 1)]
