"""Messages to librdkafka's own mock brokers, read back by a consumer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from reverse_etl.destination import Batch, RetryError, Row, StopError
from reverse_etl.destinations.kafka import Kafka

kafka = pytest.importorskip("confluent_kafka", reason="pip install 'mainstem[kafka]'")


@dataclass
class Cluster:
    brokers: str
    producer: Any

    def read(self, topic: str, count: int) -> list[Any]:
        """The first `count` messages of a topic, in the order of their partitions."""
        consumer = kafka.Consumer(
            {"bootstrap.servers": self.brokers, "group.id": topic, "log_level": 0}
        )
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        begin = kafka.OFFSET_BEGINNING
        consumer.assign([kafka.TopicPartition(topic, number, begin) for number in partitions])
        found: list[Any] = []
        deadline = time.monotonic() + 20
        while len(found) < count and time.monotonic() < deadline:
            found += [message for message in consumer.consume(count, 0.2) if not message.error()]
        consumer.close()
        return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    producer = kafka.Producer(
        {"bootstrap.servers": "mock", "test.mock.num.brokers": 3, "log_level": 0}
    )
    about = producer.list_topics(timeout=10).brokers.values()
    yield Cluster(",".join(f"{broker.host}:{broker.port}" for broker in about), producer)
    del producer


@pytest.fixture
def topic(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    name = request.node.name.partition("[")[0]
    cluster.producer.list_topics(name, timeout=10)  # the mock makes what is asked for
    return name


def batch(*rows: Row, key: str = "k1") -> Batch:
    return Batch("people", "r1", 1, key, ("mail",), rows)


def put(key: str, fields: str = '{"mail":"a@x"}') -> Row:
    return Row(key, "upsert", fields)


def test_rows_are_messages_and_removals_tombstones(cluster: Cluster, topic: str) -> None:
    fields = (
        '{"price":12345678901234567.80,"list":["x",1.50,null],"struct":{"a":"ü"},'
        '"moment":"2026-03-01T12:00:00.123456Z","emoji":"Zoë 🛒","nothing":null,"long":"'
        + "é" * 500_000
        + '"}'
    )
    with Kafka({"brokers": cluster.brokers, "topic": topic, "max_message_bytes": "2000000"}) as to:
        assert "partitions" in to.check()
        assert to.send(batch(put("Zoë", fields), Row("c2", "remove", "{}"))).rows == {}
    found = {message.key().decode(): message for message in cluster.read(topic, 2)}
    assert found["Zoë"].value().decode() == fields
    assert found["c2"].value() is None
    assert found["c2"].headers() == [
        ("mainstem-sync", b"people"),
        ("mainstem-operation", b"remove"),
        ("mainstem-batch", b"k1"),
    ]


def test_messages_of_one_key_keep_their_order(cluster: Cluster, topic: str) -> None:
    with Kafka({"brokers": cluster.brokers, "topic": topic}) as to:
        for number in range(20):
            rows = [put(f"c{at}", f'{{"n":{number}}}') for at in range(50)]
            to.send(batch(*rows, key=f"k{number}"))
    found = [message for message in cluster.read(topic, 1000) if message.key() == b"c7"]
    assert [message.value() for message in found] == [b'{"n":%d}' % at for at in range(20)]


def test_a_message_too_large_is_refused_alone(cluster: Cluster, topic: str) -> None:
    with Kafka({"brokers": cluster.brokers, "topic": topic}) as to:
        answer = to.send(batch(put("c1"), put("c2", '{"mail":"' + "x" * 1_100_000 + '"}')))
    assert {key: row.error_code for key, row in answer.rows.items()} == {"c2": "MSG_SIZE_TOO_LARGE"}
    assert [message.key() for message in cluster.read(topic, 1)] == [b"c1"]


def test_no_broker_is_an_error_in_time(cluster: Cluster, topic: str) -> None:
    begun = time.monotonic()
    nobody = Kafka({"brokers": "127.0.0.1:1", "topic": topic, "timeout_seconds": "0.5"})
    with nobody as to, pytest.raises(RetryError, match=r"connection\.brokers") as away:
        to.send(batch(put("c1")))
    assert not away.value.maybe_applied
    assert time.monotonic() - begun < 10


def test_brokers_that_die_leave_the_batch_in_flight(topic: str) -> None:
    own = kafka.Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    own.list_topics(topic, timeout=10)
    (broker,) = own.list_topics(timeout=10).brokers.values()
    where = f"{broker.host}:{broker.port}"
    with Kafka({"brokers": where, "topic": topic, "timeout_seconds": "1"}) as to:
        to.send(batch(put("c1")))
        del own
        with pytest.raises(RetryError) as lost:
            to.send(batch(put("c2@secret")))
        assert lost.value.maybe_applied
        assert "secret" not in str(lost.value)
        with pytest.raises(RetryError):
            to.send(batch(put("c2@secret")))


def test_what_has_to_be_put_right(cluster: Cluster, topic: str) -> None:
    nowhere = Kafka({"brokers": cluster.brokers, "topic": "nowhere"})
    with nowhere as to, pytest.raises(StopError, match=r"connection\.topic"):
        to.check()
    wrong = {"security_protocol": "wr0ng", "password": "wr0ng"}
    unsafe = Kafka({"brokers": cluster.brokers, "topic": topic, **wrong})
    with unsafe as to, pytest.raises(StopError, match="security_protocol") as refused:
        to.check()
    assert "wr0ng" not in str(refused.value)
    with pytest.raises(StopError, match="timeout_seconds"):
        Kafka({"brokers": cluster.brokers, "topic": topic, "timeout_seconds": "soon"})


def test_bodies_are_what_is_sent() -> None:
    to = Kafka({"brokers": "127.0.0.1:1", "topic": "t"})
    bodies = to.bodies(batch(put("c1"), Row("c2", "remove", "{}")))
    assert [(body.title, body.content) for body in bodies] == [
        ("t key c1", '{"mail":"a@x"}'),
        ("t key c2", ""),
    ]
