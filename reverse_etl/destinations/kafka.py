"""A Kafka topic: a message a row, a tombstone for a removal.

The message key is the row key; the value is the row's fields as JSON, or nothing at all for a
removal, so that a compacted topic ends up holding who is there. Headers: `mainstem-sync`,
`mainstem-operation` and `mainstem-batch`, the batch's idempotency key. The producer is librdkafka's
idempotent one with acks from all replicas: its own retries neither repeat nor reorder. A batch that
is sent again after a kill is repeated under the same header, by which a consumer can drop it.

Settings are those of https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    Body,
    Capabilities,
    Destination,
    RetryError,
    Row,
    RowAnswer,
    StopError,
)

SECONDS = 60.0
CONNECT_SECONDS = 10.0
# connection key → librdkafka's setting
SETTINGS = {
    "security_protocol": "security.protocol",
    "sasl_mechanism": "sasl.mechanisms",
    "username": "sasl.username",
    "password": "sasl.password",
    "ca_file": "ssl.ca.location",
    "compression": "compression.type",
}


class Kafka(Destination):
    capabilities = Capabilities(
        max_rows=100_000,
        default_rows=10_000,
        modes=frozenset({"mirror", "upsert", "add_only", "events"}),
        removal=True,
        connection_keys=frozenset({"brokers", "topic"}),
        optional_connection_keys=frozenset(
            {*SETTINGS, "timeout_seconds", "linger_ms", "max_message_bytes"}
        ),
        secret_keys=frozenset({"password"}),
        max_bytes=64_000_000,
        row_overhead=128,
        cannot=(
            "It cannot tell what consumers did with a message. Messages of a batch in flight are "
            "repeated after a kill (header mainstem-batch). Topics are not made: the topic has to "
            "exist, compacted if it is to hold a state. Modes update_only and replace."
        ),
    )

    def __init__(self, connection: Mapping[str, str]) -> None:
        self._topic = connection["topic"]
        self._seconds = _number(connection, "timeout_seconds", SECONDS)
        self._settings: dict[str, Any] = {
            "bootstrap.servers": connection["brokers"],
            "client.id": "mainstem",
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": _number(connection, "linger_ms", 5),
            "message.max.bytes": int(_number(connection, "max_message_bytes", 1_000_000)),
            # a message is given up before `send` is, so that nothing is delivered behind its back
            "message.timeout.ms": int(self._seconds * 1000),
            "request.timeout.ms": int(min(900.0, max(1.0, self._seconds / 2)) * 1000),
            "socket.connection.setup.timeout.ms": int(CONNECT_SECONDS * 1000),
            "queue.buffering.max.messages": 200_000,
            "queue.buffering.max.kbytes": 256_000,
            "error_cb": self._noticed,
            # librdkafka would write to stderr by itself
            "log_level": 0,
        }
        for key, setting in SETTINGS.items():
            if connection.get(key):
                self._settings[setting] = connection[key]
        self._producer: Any = None
        self._login_trouble = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def send(self, batch: Batch) -> BatchAnswer:
        producer = self._open()
        refused: dict[str, str] = {}
        delivered: set[int] = set()
        deadline = time.monotonic() + self._seconds

        def reporter(at: int, row: Row) -> Any:
            def report(error: Any, _: Any) -> None:
                if error is None:
                    delivered.add(at)
                elif error.name() in ROW_ERRORS:
                    refused[row.key] = error.name()
                else:
                    self._noticed(error)

            return report

        size = 0
        try:
            for at, row in enumerate(batch.rows):
                value = _value(row)
                size += len(row.key.encode()) + len(value or b"")
                try:
                    self._produce(producer, batch, row, value, reporter(at, row), deadline)
                except _TooLargeError:
                    refused[row.key] = "MSG_SIZE_TOO_LARGE"
            producer.flush(max(0.1, deadline - time.monotonic()))
        except BaseException:
            self._drop()
            raise
        missing = len(batch.rows) - len(delivered) - len(refused)
        if missing:
            self._drop()
            raise self._trouble(
                f"{missing} of {len(batch.rows)} messages were not acknowledged",
                maybe_applied=True,
            )
        answers = {
            key: RowAnswer(code, "the broker refuses the message of this row")
            for key, code in refused.items()
        }
        return BatchAnswer(bytes_sent=size, rows=answers)

    def bodies(self, batch: Batch) -> Sequence[Body]:
        return [
            Body(f"{self._topic} key {row.key}", (_value(row) or b"").decode())
            for row in batch.rows
        ]

    def check(self) -> str:
        self._open()
        return f"Kafka: the topic {self._topic} has {self._partitions} partitions"

    def _open(self) -> Any:
        """The producer; made, and its topic looked at, unless it is there."""
        if self._producer is not None:
            return self._producer
        try:
            from confluent_kafka import KafkaException, Producer
        except ImportError:
            raise StopError(
                "the driver is not installed: pip install 'mainstem[kafka]'", code="no_driver"
            ) from None
        self._login_trouble = ""
        try:
            producer = Producer(self._settings)
        except (KafkaException, ValueError, TypeError):
            # the driver's words may quote a setting
            raise StopError(
                "librdkafka takes no such settings: look at connection.security_protocol, "
                "connection.sasl_mechanism, connection.ca_file and connection.compression",
                code="bad_settings",
            ) from None
        self._producer = producer
        try:
            # of all topics, for to ask for one by its name makes it on many brokers
            found = producer.list_topics(timeout=min(self._seconds, CONNECT_SECONDS))
        except KafkaException:
            producer.poll(0)
            trouble = self._trouble("no broker answers", maybe_applied=False)
            self._drop()
            raise trouble from None
        if self._topic not in found.topics:
            self._drop()
            raise StopError(
                "there is no topic as in connection.topic, or this user may not see it: create it, "
                "or give the user the right to write there",
                code="no_topic",
            )
        self._partitions = len(found.topics[self._topic].partitions)
        return producer

    def _produce(
        self,
        producer: Any,
        batch: Batch,
        row: Row,
        value: bytes | None,
        report: Any,
        deadline: float,
    ) -> None:
        """Queue one message, waiting while the queue is full."""
        from confluent_kafka import KafkaError, KafkaException

        headers = [
            ("mainstem-sync", batch.sync_name.encode()),
            ("mainstem-operation", row.operation.encode()),
            ("mainstem-batch", batch.idempotency_key.encode()),
        ]
        while True:
            try:
                producer.produce(
                    self._topic,
                    key=row.key.encode(),
                    value=value,
                    headers=headers,
                    on_delivery=report,
                )
            except BufferError:
                if time.monotonic() > deadline:
                    raise self._trouble("the brokers are too slow", maybe_applied=True) from None
                producer.poll(0.1)
            except KafkaException as error:
                if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    raise _TooLargeError from None
                raise self._trouble(
                    f"librdkafka refuses ({error.args[0].name()})", maybe_applied=True
                ) from None
            else:
                producer.poll(0)
                return

    def _trouble(self, what: str, *, maybe_applied: bool) -> RetryError | StopError:
        if self._login_trouble:
            return StopError(
                f"{what} ({self._login_trouble}): look at connection.username, "
                "connection.password, connection.security_protocol and connection.ca_file",
                code=self._login_trouble,
            )
        return RetryError(
            f"{what} within {self._seconds:g} s (connection.brokers, connection.timeout_seconds)",
            code="not_delivered",
            maybe_applied=maybe_applied,
        )

    def _noticed(self, error: Any) -> None:
        if error.name() in LOGIN_ERRORS:
            self._login_trouble = error.name()

    def _drop(self) -> None:
        """Forget what is still queued; nothing of it is delivered later."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(1)


# what is wrong with one message, and not with the topic or the way to it
ROW_ERRORS = frozenset({"MSG_SIZE_TOO_LARGE", "INVALID_RECORD", "INVALID_MSG", "POLICY_VIOLATION"})
LOGIN_ERRORS = frozenset(
    {
        *("_AUTHENTICATION", "_SSL", "SASL_AUTHENTICATION_FAILED"),
        *("CLUSTER_AUTHORIZATION_FAILED", "TOPIC_AUTHORIZATION_FAILED"),
    }
)


class _TooLargeError(Exception):
    """The message is larger than the producer may send."""


def _value(row: Row) -> bytes | None:
    return None if row.operation == "remove" else row.fields.encode()


def _number(connection: Mapping[str, str], key: str, default: float) -> float:
    try:
        number = float(connection.get(key) or default)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise StopError(f"connection.{key} is not a number above 0", code=f"bad_{key}")
    return number
