"""A hash a row in Redis or Valkey (5 or later), written by one script a batch: exactly once.

A script runs alone and whole, as MULTI does, and can decide: it asks whether the batch's
idempotency key is there already, writes the rows, and leaves the key (for 30 days). So a batch that
is sent again changes nothing and is answered as before. Each try first draws a ticket from the
server, and the script refuses a ticket older than the last one that wrote for this sync: a try that
was given up, and arrives when newer batches have been written, comes to nothing.

The key of a row is `key_template` with `{sync}` and `{key}` filled in. Fields are the hash's
fields: texts as they are, numbers with their digits, true and false, lists and objects as JSON;
NULL is a field that is not there. Keys beginning with `mainstem:` are ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    Body,
    Capabilities,
    Destination,
    DestinationError,
    RejectError,
    RetryError,
    RowAnswer,
    StopError,
)
from reverse_etl.json_values import parse, plain
from reverse_etl.redis_scripts import TICKET, WRITE

CONNECT_SECONDS = 10.0
SECONDS = 30.0
KEPT_SECONDS = 30 * 24 * 3600
DEFAULT_TEMPLATE = "{sync}:{key}"

ANSWERS = {
    "wrong_type": "the key holds something that is not a hash",
    "not_there": "there is no such key, and the mode only updates",
}
# a code of the server, or the exception that the driver makes of one
STOPS = frozenset(
    (
        *("NOAUTH", "WRONGPASS", "NOPERM", "READONLY", "OOM", "MISCONF", "CROSSSLOT", "MOVED"),
        *("ReadOnlyError", "NoPermissionError", "OutOfMemoryError", "MovedError", "AskError"),
    )
)


class Redis(Destination):
    capabilities = Capabilities(
        max_rows=10_000,
        default_rows=1_000,
        modes=frozenset({"mirror", "upsert", "add_only", "update_only"}),
        removal=True,
        connection_keys=frozenset({"url"}),
        optional_connection_keys=frozenset(
            {"password", "key_template", "ttl_seconds", "timeout_seconds", "ca_file"}
        ),
        secret_keys=frozenset({"password"}),
        max_bytes=16_000_000,
        row_overhead=64,
        exactly_once=True,
        cannot=(
            "A Redis cluster cannot be written to, since a batch is one script over many keys. "
            "Modes replace and events. With ttl_seconds a row that does not change expires "
            "although the ledger holds it: give it only where that is wanted. What the server "
            "loses in a crash (its appendfsync) is sent again by a full run alone."
        ),
    )

    def __init__(self, connection: Mapping[str, str]) -> None:
        self._url = connection["url"]
        self._password = connection.get("password") or None
        self._ca_file = connection.get("ca_file") or None
        self._template = connection.get("key_template") or DEFAULT_TEMPLATE
        self._seconds = _number(connection, "timeout_seconds", SECONDS)
        self._ttl = int(_number(connection, "ttl_seconds", 0))
        try:
            url = urlsplit(self._url)
            scheme, _ = url.scheme, url.port
        except ValueError:
            scheme = ""
        if scheme not in {"redis", "rediss", "unix"}:
            raise StopError(
                "connection.url is no URL such as redis://user@host:6379/0", code="bad_url"
            )
        if "{key}" not in self._template or self._template.startswith("mainstem:"):
            raise StopError(
                "connection.key_template has no {key} in it, or begins with mainstem:",
                code="bad_template",
            )
        if self._ca_file and (scheme != "rediss" or not Path(self._ca_file).is_file()):
            raise StopError(
                "connection.ca_file names no file, or connection.url is not rediss://",
                code="bad_ca_file",
            )
        self._client: Any = None

    def __exit__(self, *_: object) -> None:
        self._close()

    def send(self, batch: Batch) -> BatchAnswer:
        keys, arguments = self._told(batch)
        fence = f"mainstem:sync:{batch.sync_name}"
        once = f"mainstem:batch:{batch.idempotency_key}"
        size = sum(map(len, keys)) + sum(map(len, arguments))
        is_on_its_way = False
        try:
            client = self._open()
            ticket = client.eval(TICKET, 1, fence)
            is_on_its_way = True
            given = [ticket, batch.mode, str(self._ttl), str(KEPT_SECONDS), *arguments]
            state, answers = client.eval(WRITE, 2 + len(keys), fence, once, *keys, *given)
        except Exception as error:
            self._close()
            explained = self._explained(error, maybe_applied=is_on_its_way)
            if explained is None:
                raise
        else:
            if state == b"late":
                # another try of a newer batch has written meanwhile; nothing was changed
                raise RetryError(
                    "a newer batch of this sync was written while this one was on its way",
                    code="late",
                    maybe_applied=False,
                )
            told = zip(batch.rows, answers.decode().split(","), strict=False)
            rows = {
                row.key: RowAnswer(code, ANSWERS[code]) for row, code in told if code in ANSWERS
            }
            return BatchAnswer(bytes_sent=size, rows=rows, requests=2)
        raise explained from None

    def bodies(self, batch: Batch) -> Sequence[Body]:
        lines = (
            json.dumps(
                {"operation": row.operation, "key": self._key(batch, row.key)}
                | ({"fields": dict(_pairs(row.fields))} if row.operation == "upsert" else {}),
                ensure_ascii=False,
            )
            for row in batch.rows
        )
        return [Body(f"script over hashes {self._template}", "\n".join(lines))]

    def check(self) -> str:
        try:
            about = self._open().info("server")
        except Exception as error:
            self._close()
            explained = self._explained(error, maybe_applied=False)
            if explained is None:
                raise
            raise explained from None
        name = "Valkey" if "valkey_version" in about else "Redis"
        return f"{name} {about.get('valkey_version') or about.get('redis_version')}"

    def _key(self, batch: Batch, key: str) -> str:
        return self._template.replace("{sync}", batch.sync_name).replace("{key}", key)

    def _told(self, batch: Batch) -> tuple[list[bytes], list[bytes]]:
        """The rows' keys, and the arguments that say what to do with each."""
        keys: list[bytes] = []
        arguments: list[bytes] = []
        try:
            for row in batch.rows:
                keys.append(self._key(batch, row.key).encode())
                pairs = _pairs(row.fields) if row.operation == "upsert" else ()
                words = []
                for name, value in pairs:
                    # an empty name cannot mean a field, since a mark stands before every name
                    words += (
                        [b"", name.encode()]
                        if value is None
                        else [b"=" + name.encode(), value.encode()]
                    )
                arguments += [row.operation.encode(), str(len(words)).encode(), *words]
        except UnicodeError as error:
            raise RejectError(
                f"a value is no text ({type(error).__name__})", code="bad_value"
            ) from None
        return keys, arguments

    def _open(self) -> Any:
        if self._client is None:
            try:
                import redis
                from redis.backoff import NoBackoff
                from redis.retry import Retry
            except ImportError:
                raise StopError(
                    "the driver is not installed: pip install 'mainstem[redis]'", code="no_driver"
                ) from None
            given: dict[str, Any] = {"password": self._password} if self._password else {}
            if self._ca_file:
                given["ssl_ca_certs"] = self._ca_file
            self._client = redis.Redis.from_url(
                self._url,
                socket_timeout=self._seconds,
                socket_connect_timeout=min(self._seconds, CONNECT_SECONDS),
                # the engine is what tries again: a hidden second try would not be in its books
                retry=Retry(NoBackoff(), 0),
                client_name="mainstem",
                **given,
            )
        return self._client

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _explained(self, error: Exception, *, maybe_applied: bool) -> DestinationError | None:
        """What the driver's error means. The server's own words may hold a key, so none is passed on."""
        try:
            import redis
        except ImportError:
            return error if isinstance(error, DestinationError) else None
        if isinstance(error, redis.AuthenticationError | redis.exceptions.AuthorizationError):
            return StopError(
                "Redis refused the login: look at connection.url (user) and connection.password",
                code="refused_login",
            )
        if isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError):
            return RetryError(
                "Redis in connection.url cannot be reached, or did not answer in "
                f"{self._seconds:g} s (connection.timeout_seconds)",
                code="connection_lost",
                maybe_applied=maybe_applied,
            )
        if isinstance(error, redis.RedisError):
            word = str(error).partition(" ")[0]
            code = word if word.isalpha() and word.isupper() else type(error).__name__
            if code in STOPS:
                return StopError(
                    f"Redis refuses ({code}): look at the user's rights, the server's memory and "
                    "whether it is a primary that is no cluster",
                    code=code,
                )
            return RetryError(f"Redis refuses ({code})", code=code, maybe_applied=False)
        return error if isinstance(error, DestinationError) else None


def _pairs(fields: str) -> list[tuple[str, str | None]]:
    return [(name, plain(value)) for name, value in parse(fields).items()]


def _number(connection: Mapping[str, str], key: str, default: float) -> float:
    try:
        number = float(connection.get(key) or default)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9 or (number == 0 and default):
        raise StopError(f"connection.{key} is not a number above 0", code=f"bad_{key}")
    return number
