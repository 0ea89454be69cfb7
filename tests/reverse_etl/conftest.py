"""Real counterparts for the syncs: a published file, an HTTP receiver, an SFTP server."""

import asyncio
import hashlib
import hmac
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncssh
import duckdb
import pytest

from reverse_etl import engine
from reverse_etl.declarations import Sync
from reverse_etl.engine import RetryPolicy, SyncResult

SECRET = "a secret of the tests"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
QUICK = RetryPolicy(tries=3, first_wait=0.01, longest_wait=1.0)


@dataclass
class Warehouse:
    """The published file; `people` maps customer_id to its row, None for a column means NULL."""

    path: Path
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    merged: list[tuple[str, str]] = field(default_factory=list)
    held_out: list[str] = field(default_factory=list)
    is_experiment_running: bool = True
    published: str = ""

    def add(self, customer_id: str, **columns: Any) -> None:
        number = len(self.people)
        self.people[customer_id] = {
            "email": f"{customer_id}@example.com",
            "first_name": f"Name{number}",
            "cart_value": number,
            "in_audience": True,
            "consent": "granted",
        } | columns

    def publish(self) -> Path:
        """Write the file as publishing does: a new one, renamed over the old if there is news."""
        content = repr((self.people, self.merged, self.held_out, self.is_experiment_running))
        if content == self.published:
            return self.path
        self.published = content
        new = self.path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with duckdb.connect(str(new)) as con:
            con.execute("CREATE SCHEMA audiences; CREATE SCHEMA marts; CREATE SCHEMA identity")
            con.execute("CREATE SCHEMA canonical")
            con.execute(
                "CREATE TABLE audiences.definitions AS SELECT 'aud_cart' AS audience_id, 'e' AS experiment_id"
            )
            con.execute(
                "CREATE TABLE canonical.experiments AS SELECT 'e' AS experiment_id,"
                " 'audience_holdout' AS kind, ?::BOOLEAN AS is_running",
                [self.is_experiment_running],
            )
            con.execute(
                "CREATE TABLE canonical.experiment_assignments AS"
                " SELECT 'e' AS experiment_id, 'nobody' AS unit_id, 'treatment' AS variant"
            )
            con.execute(
                "CREATE TABLE audiences.aud_cart (customer_id VARCHAR, cart_value DECIMAL(18,2))"
            )
            con.execute(
                "CREATE TABLE marts.golden_customers"
                " (customer_id VARCHAR, email VARCHAR, first_name VARCHAR)"
            )
            con.execute(
                "CREATE TABLE marts.customer_consents"
                " (customer_id VARCHAR, purpose VARCHAR, channel VARCHAR, status VARCHAR)"
            )
            con.execute(
                "CREATE TABLE identity.history"
                " (event VARCHAR, from_customer_id VARCHAR, to_customer_id VARCHAR)"
            )
            people = self.people.items()
            carts = [(key, row["cart_value"]) for key, row in people if row["in_audience"]]
            golden = [(key, row["email"], row["first_name"]) for key, row in people]
            consents = [(key, row["consent"]) for key, row in people if row["consent"]]
            for sql, rows in (
                ("INSERT INTO audiences.aud_cart VALUES (?, ?)", carts),
                ("INSERT INTO marts.golden_customers VALUES (?, ?, ?)", golden),
                (
                    "INSERT INTO marts.customer_consents VALUES (?, 'marketing', 'email', ?),"
                    " ($1, 'marketing', 'ads', 'granted'), ($1, 'analytics', 'email', 'granted')",
                    consents,
                ),
                ("INSERT INTO identity.history VALUES ('merge', ?, ?)", self.merged),
                (
                    "INSERT INTO canonical.experiment_assignments VALUES ('e', ?, 'control')",
                    [(key,) for key in self.held_out],
                ),
            ):
                if rows:
                    con.executemany(sql, rows)
        new.rename(self.path)
        return self.path


@pytest.fixture(scope="session")
def new_warehouse() -> type[Warehouse]:
    """For tests that make their own (a Hypothesis example has no fixtures of its own)."""
    return Warehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "published.duckdb")


@dataclass
class Received:
    key: str
    body: dict[str, Any]
    raw: bytes
    is_signed: bool
    is_repeat: bool


@dataclass
class Receiver:
    """An email tool: it keeps members, ignores repeats of what it applied, misbehaves as told.

    `script` holds one entry a request (then "ok" for ever): "ok", a status as "503",
    "429:<seconds>",
    "500 after" (applied, then an error), "hang", "reset" (applied, then cut in the middle of the
    answer), "rows" (rejects the rows in `bad_keys`; "rows 207" with that status), "slow",
    "picky" (422 for a batch with one of `bad_keys`), "poison" (500 for a batch with one of
    `poison`; "poison after" applies it before). With `always`, every request is met in that way.
    """

    url: str = ""
    script: list[str] = field(default_factory=list)
    always: str = "ok"
    bad_keys: set[str] = field(default_factory=set)
    poison: set[str] = field(default_factory=set)
    requests: list[Received] = field(default_factory=list)
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    complaint: Callable[[dict[str, Any]], str] = lambda _: "no good"
    code: str = "bad"
    seconds: float = 0.0
    applied: set[str] = field(default_factory=set)

    def operations(self) -> list[tuple[str, str]]:
        """(operation, key) of everything received, in order."""
        return [
            (row["operation"], row["key"])
            for request in self.requests
            for row in request.body["rows"]
        ]

    def apply(self, received: Received) -> None:
        if received.key in self.applied:
            return
        self.applied.add(received.key)
        for row in received.body["rows"]:
            if row["key"] in self.bad_keys:
                continue
            if row["operation"] == "remove":
                self.members.pop(row["key"], None)
            else:
                self.members[row["key"]] = row["fields"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            stamp = self.headers["X-Mainstem-Timestamp"]
            expected = hmac.new(SECRET.encode(), stamp.encode() + b"." + raw, hashlib.sha256)
            key = self.headers["Idempotency-Key"]
            with lock:
                received = Received(
                    key=key,
                    body=json.loads(raw),
                    raw=raw,
                    is_signed=(
                        self.headers["X-Mainstem-Signature"] == "sha256=" + expected.hexdigest()
                        and abs(int(stamp) - time.time()) < 60
                    ),
                    is_repeat=any(earlier.key == key for earlier in state.requests),
                )
                state.requests.append(received)
                order = state.script.pop(0) if state.script else state.always
                keys = {row["key"] for row in received.body["rows"]}
                if order == "picky":
                    order = "422" if keys & state.bad_keys else "ok"
                if order.startswith("poison"):
                    order = order.replace("poison", "500") if keys & state.poison else "ok"
                if order in {"ok", "rows", "rows 207", "500 after", "reset", "slow"}:
                    state.apply(received)
            self.answer(order, received.body["rows"])

        def answer(self, order: str, rows: list[dict[str, Any]]) -> None:
            if order == "hang":
                time.sleep(state.seconds)
                return
            if order == "reset":
                self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n{")
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
                return
            if order == "slow":
                time.sleep(state.seconds)
            status, _, wait = order.partition(":")
            code = 207 if order == "rows 207" else 200
            self.send_response(int(status[:3]) if status[0].isdigit() else code)
            if wait:
                self.send_header("Retry-After", wait)
            bad = [row for row in rows if row["key"] in state.bad_keys]
            results = [
                {
                    "key": row["key"],
                    "status": "error",
                    "code": state.code,
                    "error": state.complaint(row),
                }
                for row in bad
            ]
            body = json.dumps({"results": results} if order.startswith("rows") else {}).encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/hook?token=hidden"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join(timeout=10)


@dataclass(frozen=True)
class Drop:
    """A real SFTP server; `root` is what its user sees as /."""

    root: Path
    env: dict[str, str]

    @staticmethod
    def connection() -> dict[str, str]:
        """A sync's `connection` to it; `env` resolves the references."""
        return {
            "host": "127.0.0.1",
            "port": "${SFTP_PORT}",
            "username": "mainstem",
            "private_key": "${SFTP_KEY}",
            "known_hosts": "${SFTP_KNOWN_HOSTS}",
            "path": "/outbox/carts",
        }

    def files(self, pattern: str = "*") -> list[Path]:
        return sorted(path for path in self.root.rglob(pattern) if path.is_file())


@pytest.fixture(scope="session")
def drop_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drop]:
    home = tmp_path_factory.mktemp("sftp")
    root = home / "root"
    (root / "outbox").mkdir(parents=True)
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    user_key = asyncssh.generate_private_key("ssh-ed25519")
    user_key.write_private_key(home / "user_key")
    host_key.write_private_key(home / "host_key")
    (home / "authorized_keys").write_bytes(user_key.export_public_key())
    loop = asyncio.new_event_loop()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host_key],
            authorized_client_keys=str(home / "authorized_keys"),
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=bytes(root)),
        )

    acceptor = loop.run_until_complete(listen())
    port = acceptor.get_port()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    public = host_key.export_public_key().decode().strip()
    (home / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")
    yield Drop(
        root,
        {
            "SFTP_PORT": str(port),
            "SFTP_KEY": str(home / "user_key"),
            "SFTP_KNOWN_HOSTS": str(home / "known_hosts"),
        },
    )
    loop.call_soon_threadsafe(acceptor.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=10)


@pytest.fixture
def drop(drop_server: Drop) -> Drop:
    for path in drop_server.files():
        path.unlink()
    return drop_server


@dataclass
class Runner:
    """Runs syncs against one warehouse, one ledger and one receiver, publishing first."""

    warehouse: Warehouse
    ledger: Path
    env: dict[str, str]
    runs: int = 0
    now: datetime = NOW

    @staticmethod
    def sync(**changes: Any) -> Sync:
        """The sync that most tests run, with some of its settings changed."""
        declared: dict[str, Any] = {
            "name": "cart_to_email_tool",
            "path": "models/audiences/_exposures.yml",
            "destination": "webhook",
            "channel": "email",
            "audience_id": "aud_cart",
            "audience_schema": "audiences",
            "audience_table": "aud_cart",
            "consent_purpose": "marketing",
            "row_key": "customer_id",
            "fields": (("email", "email"), ("name", "first_name"), ("cart", "cart_value")),
            "required": (),
            "mode": "mirror",
            "batch_rows": 2,
            # answers come in the order of the script
            "parallel": 1,
            "connection": {
                "url": "${URL}",
                "secret": "${SECRET}",
                "timeout_seconds": "${SECONDS:-5}",
            },
        }
        return Sync(**(declared | changes))

    def __call__(self, sync: Sync | None = None, **arguments: Any) -> SyncResult:
        self.runs += 1
        given: dict[str, Any] = {
            "published": self.warehouse.publish(),
            "ledger": self.ledger,
            "run_id": f"run_{self.runs}",
            "env": self.env,
            "now": NOW,
            "policy": QUICK,
        }
        result = engine.run(sync or self.sync(), **(given | arguments))
        parts = (
            result.rows_added,
            result.rows_updated,
            result.rows_removed,
            result.rows_rejected,
            result.rows_invalid,
            result.rows_suppressed,
            result.rows_unchanged,
            result.rows_pending,
        )
        assert result.rows_planned == sum(parts), result
        return result

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.ledger), read_only=True) as con:
            return con.execute(sql).fetchall()


@pytest.fixture
def run(warehouse: Warehouse, receiver: Receiver, tmp_path: Path) -> Runner:
    return Runner(
        warehouse, tmp_path / "home" / "sync_ledger.duckdb", {"URL": receiver.url, "SECRET": SECRET}
    )


@pytest.fixture(scope="session")
def new_sync() -> Callable[..., Sync]:
    return Runner.sync
