"""Hashes in a real Redis server: once, in order, exact."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from reverse_etl.destination import Batch, RejectError, RetryError, Row, StopError
from reverse_etl.destinations.redis import Redis
from reverse_etl.redis_scripts import TICKET

redis = pytest.importorskip("redis", reason="pip install 'mainstem[redis]'")
PASSWORD = "p@ss/word"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    server = shutil.which("redis-server") or shutil.which("valkey-server")
    if server is None:
        pytest.skip("no Redis server: apt-get install redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = int(probe.getsockname()[1])
    home = tmp_path_factory.mktemp("redis")
    process = subprocess.Popen(
        [
            server, "--port", str(number), "--bind", "127.0.0.1", "--save", "", "--dir", str(home),
            "--requirepass", PASSWORD,
        ],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    client = redis.Redis(port=number, password=PASSWORD)
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    yield number
    process.terminate()
    process.wait(30)


@pytest.fixture
def server(port: int) -> Any:
    """A client that looks without our code, at an empty server."""
    client = redis.Redis(port=port, password=PASSWORD, decode_responses=True)
    client.flushall()
    return client


@pytest.fixture
def to(port: int, server: Any) -> Iterator[Redis]:
    with make(port) as destination:
        yield destination


def make(port: int, **changes: str) -> Redis:
    return Redis({"url": f"redis://127.0.0.1:{port}/0", "password": PASSWORD, **changes})


def batch(key: str, *rows: Row, **changes: Any) -> Batch:
    return Batch("people", "r1", 1, key, ("mail", "n"), rows, **changes)


def put(key: str, **fields: Any) -> Row:
    return Row(key, "upsert", json.dumps(fields, ensure_ascii=False))


def test_rows_come_change_and_go(to: Redis, server: Any) -> None:
    to.send(batch("k1", put("c1", mail="a@x", n=1), put("c2", mail="b@x", n=None)))
    assert server.hgetall("people:c1") == {"mail": "a@x", "n": "1"}
    assert server.hgetall("people:c2") == {"mail": "b@x"}
    to.send(batch("k2", put("c1", mail=None, n=2), Row("c2", "remove", "{}")))
    assert server.hgetall("people:c1") == {"n": "2"}
    assert not server.exists("people:c2")
    assert to.check().split()[0] in {"Redis", "Valkey"}


def test_values_arrive_exact(to: Redis, server: Any) -> None:
    fields = (
        '{"price":12345678901234567.80,"yes":true,"list":["x",1.50,null],"struct":{"a":"ü"},'
        '"moment":"2026-03-01T12:00:00.123456Z","empty":"","emoji":"Zoë 🛒","nothing":null,'
        '"":"no name","long":"' + "é" * 500_000 + '"}'
    )
    to.send(batch("k1", Row("Zoë", "upsert", fields)))
    found = server.hgetall("people:Zoë")
    assert found.pop("long") == "é" * 500_000
    assert found == {
        "price": "12345678901234567.80",
        "yes": "true",
        "list": '["x",1.50,null]',
        "struct": '{"a":"ü"}',
        "moment": "2026-03-01T12:00:00.123456Z",
        "empty": "",
        "emoji": "Zoë 🛒",
        "": "no name",
    }
    with pytest.raises(RejectError):
        to.send(batch("k2", Row("c1", "upsert", '{"mail":"\\ud800"}')))


def test_an_older_batch_sent_again_late_overwrites_nothing(to: Redis, server: Any) -> None:
    old = batch("old", put("c1", n=1), put("c9", n=1), mode="update_only")
    first = to.send(old)
    assert {key: row.error_code for key, row in first.rows.items()} == {
        "c1": "not_there",
        "c9": "not_there",
    }
    to.send(batch("new", put("c1", n=2)))
    assert to.send(old).rows == first.rows
    assert server.hgetall("people:c1") == {"n": "2"}


def test_a_try_that_arrives_after_newer_batches_comes_to_nothing(to: Redis, server: Any) -> None:
    """A request that was given up, and waits in some network, holds an older ticket."""
    client = redis.Redis(port=server.connection_pool.connection_kwargs["port"], password=PASSWORD)
    stale = client.eval(TICKET, 1, "mainstem:sync:people")
    to.send(batch("new", Row("c1", "remove", "{}")))
    evaluate = redis.Redis.eval
    try:
        redis.Redis.eval = lambda self, script, keys, *given: (  # type: ignore[method-assign]
            stale if script == TICKET else evaluate(self, script, keys, *given)
        )
        with pytest.raises(RetryError) as late:
            to.send(batch("old", put("c1", n=1)))
    finally:
        redis.Redis.eval = evaluate  # type: ignore[method-assign]
    assert not late.value.maybe_applied
    assert not server.exists("people:c1")


def test_modes_templates_and_expiry(port: int, server: Any) -> None:
    with make(port, key_template="crm/{key}/{sync}", ttl_seconds="60") as to:
        to.send(batch("k1", put("c1", n=1)))
        to.send(batch("k2", put("c1", n=2), put("c2", n=2), mode="add_only"))
        answer = to.send(batch("k3", put("c1", n=3), put("c3", n=3), mode="update_only"))
    assert list(answer.rows) == ["c3"]
    assert server.hget("crm/c1/people", "n") == "3"
    assert server.hget("crm/c2/people", "n") == "2"
    assert 0 < server.ttl("crm/c1/people") <= 60
    with pytest.raises(StopError, match="key_template"):
        make(port, key_template="all")


def test_a_key_of_another_kind_is_refused_alone(to: Redis, server: Any) -> None:
    server.set("people:c1", "theirs")
    answer = to.send(batch("k1", put("c1", n=1), Row("c1", "remove", "{}"), put("c2", n=2)))
    assert answer.rows["c1"].error_code == "wrong_type"
    assert server.get("people:c1") == "theirs"
    assert server.hgetall("people:c2") == {"n": "2"}


def test_an_answer_that_is_lost_repeats_nothing(port: int, server: Any) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        cuts = 1
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", port))
            while data := client.recv(1 << 20):
                upstream.sendall(data)
                answer = upstream.recv(1 << 20)
                if cuts and b"update_only" in data.split(b"people:c1")[-1]:
                    cuts -= 1
                    break
                client.sendall(answer)
            client.close()
            upstream.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    server.hset("people:c1", mapping={"n": "0"})
    given = batch("once", put("c1", n=1), mode="update_only")
    url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
    with make(port, url=url, timeout_seconds="5") as to:
        with pytest.raises(RetryError) as lost:
            to.send(given)
        assert lost.value.maybe_applied
        assert server.hget("people:c1", "n") == "1"
        server.hset("people:c1", "n", "theirs")
        assert to.send(given).rows == {}
    listener.close()
    assert server.hget("people:c1", "n") == "theirs"


def test_a_server_that_is_not_there_hangs_or_refuses(port: int, server: Any) -> None:
    with make(port, url="redis://127.0.0.1:1/0") as to, pytest.raises(RetryError) as away:
        to.send(batch("k", put("c1")))
    assert not away.value.maybe_applied
    with make(port, password="wr0ng!") as to, pytest.raises(StopError) as refused:
        to.check()
    assert "connection.password" in str(refused.value)
    assert "wr0ng" not in str(refused.value)
    silent = socket.create_server(("127.0.0.1", 0))
    url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
    with make(port, url=url, timeout_seconds="0.2") as to, pytest.raises(RetryError):
        to.send(batch("k", put("c1")))
    silent.close()
    server.config_set("maxmemory", "1mb")
    try:
        with make(port) as to, pytest.raises(StopError, match="memory"):
            to.send(batch("k", put("c1", n="x" * 100)))
    finally:
        server.config_set("maxmemory", "0")
    with pytest.raises(StopError, match=r"connection\.url"):
        make(port, url="http://x")


def test_bodies_show_what_would_be_written(to: Redis, server: Any) -> None:
    (body,) = to.bodies(batch("k", put("c1", n=1), Row("c2", "remove", "{}")))
    assert body.content.splitlines() == [
        '{"operation": "upsert", "key": "people:c1", "fields": {"n": "1"}}',
        '{"operation": "remove", "key": "people:c2"}',
    ]
    assert server.dbsize() == 0
