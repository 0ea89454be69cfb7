"""A stand-in for the sample company's email tool: an HTTP receiver that shows what it was sent."""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import threading
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from seeds import email_tool_page
from seeds.stand_in import StandIn

LARGEST_BODY = 32_000_000
_TABLES = """
create table if not exists requests (
    id integer primary key, received_at text not null, sync text not null,
    idempotency_key text not null unique, upserts integer not null, removals integer not null,
    errors integer not null, repeats integer not null default 0, answer text not null);
create table if not exists members (
    sync text not null, key text not null, fields text not null, updated_at text not null,
    primary key (sync, key));
"""


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The value of `X-Mainstem-Signature`: HMAC-SHA256 of the timestamp, a dot and the body."""
    message = timestamp.encode() + b"." + body
    return "sha256=" + hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def _problem(row: Any) -> str | None:
    """Why a row cannot be accepted, in words that repeat none of its values; None if it can."""
    if not isinstance(row, dict) or not isinstance(row.get("key"), str) or not row["key"]:
        return "a row needs a key"
    if row.get("operation") not in ("upsert", "remove"):
        return "operation must be upsert or remove"
    if row["operation"] == "upsert":
        fields = row.get("fields")
        email = fields.get("email") if isinstance(fields, dict) else None
        if not isinstance(email, str) or "@" not in email:
            return "a member needs an email address"
    return None


class EmailTool(StandIn):
    """`with EmailTool(state_dir, secret) as tool:` receives at `tool.url` until the block ends.

    Members and requests are kept in `state_dir/email_tool.sqlite`; on stopping, the page is left
    behind as `state_dir/index.html`.
    """

    def __init__(
        self, state_dir: Path, secret: str, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        super().__init__(host, port)
        self.state_dir = state_dir
        self._secret = secret
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/"

    def start(self) -> Self:
        if self._server is not None:
            return self
        self.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        server = _Server((self.host, self.port), _Handler)
        server.tool = self
        database = self.state_dir / "email_tool.sqlite"
        self._db = sqlite3.connect(database, check_same_thread=False, timeout=10)
        self._db.executescript(_TABLES)
        self.port = server.server_address[1]
        self._server = server
        threading.Thread(
            target=server.serve_forever, args=(0.05,), name="email-tool", daemon=True
        ).start()
        return self

    def stop(self) -> None:
        """Stop receiving and leave the page behind."""
        if self._server is None or self._db is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        partial = self.state_dir / ".index.html.partial"
        partial.write_text(self.page(), encoding="utf-8")
        partial.replace(self.state_dir / "index.html")
        with self._lock:
            self._db.close()
            self._db = None

    def accept(
        self, key: str | None, timestamp: str | None, signature: str | None, body: bytes
    ) -> tuple[HTTPStatus, dict[str, Any]]:
        """Answer one POST. A repeated idempotency key gets the answer it got, and does nothing."""
        if not timestamp or not hmac.compare_digest(
            (signature or "").encode(), sign(self._secret, timestamp, body).encode()
        ):
            return HTTPStatus.UNAUTHORIZED, {"error": "the signature does not match"}
        if not key:
            return HTTPStatus.BAD_REQUEST, {"error": "the header Idempotency-Key is missing"}
        try:
            message = json.loads(body)
            sync, rows = message["sync"], message["rows"]
        except (ValueError, TypeError, KeyError):
            return HTTPStatus.BAD_REQUEST, {"error": "expected JSON with sync and rows"}
        if not isinstance(sync, str) or not isinstance(rows, list):
            return HTTPStatus.BAD_REQUEST, {"error": "sync must be text and rows a list"}
        with self._lock:
            if self._db is None:
                return HTTPStatus.SERVICE_UNAVAILABLE, {"error": "stopped"}
            with self._db:
                return HTTPStatus.OK, self._apply(self._db, key, sync, rows)

    def _apply(
        self, db: sqlite3.Connection, key: str, sync: str, rows: list[Any]
    ) -> dict[str, Any]:
        """Apply a batch and remember its answer; the caller holds the lock and a transaction."""
        known = db.execute("select answer from requests where idempotency_key = ?", [key])
        if found := known.fetchone():
            db.execute("update requests set repeats = repeats + 1 where idempotency_key = ?", [key])
            return dict(json.loads(found[0]))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        results: list[dict[str, Any]] = []
        counts = {"upsert": 0, "remove": 0}
        for row in rows:
            name = row.get("key") if isinstance(row, dict) else None
            if problem := _problem(row):
                results.append({"key": name, "status": "error", "error": problem})
                continue
            counts[row["operation"]] += 1
            results.append({"key": name, "status": "ok"})
            if row["operation"] == "remove":
                db.execute("delete from members where sync = ? and key = ?", [sync, name])
            else:
                fields = json.dumps(row["fields"], ensure_ascii=False, sort_keys=True)
                db.execute(
                    "insert or replace into members values (?, ?, ?, ?)", [sync, name, fields, now]
                )
        answer = {"results": results}
        errors = len(rows) - sum(counts.values())
        db.execute(
            "insert into requests (received_at, sync, idempotency_key, upserts, removals, errors,"
            " answer) values (?, ?, ?, ?, ?, ?, ?)",
            [now, sync, key, counts["upsert"], counts["remove"], errors, json.dumps(answer)],
        )
        return answer

    def members(self) -> dict[str, dict[str, Any]]:
        """sync name -> key -> fields, of everybody who is a member now."""
        result: dict[str, dict[str, Any]] = {}
        for sync, key, fields in self._read("select sync, key, fields from members order by 1, 2"):
            result.setdefault(sync, {})[key] = json.loads(fields)
        return result

    def page(self) -> str:
        """What it got, as an HTML page."""
        requests = self._read(
            "select received_at, sync, upserts, removals, errors, repeats, idempotency_key"
            " from requests order by id desc limit 50"
        )
        return email_tool_page.render(requests, self.members())

    def _read(self, query: str) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(query).fetchall() if self._db else []


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # an idle keep-alive connection must not hold up stopping
    tool: EmailTool


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    server: _Server

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length") or ""
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            self.close_connection = True
            self._json(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": "a body of up to 32 MB"})
            return
        header = self.headers.get
        status, answer = self.server.tool.accept(
            header("Idempotency-Key"),
            header("X-Mainstem-Timestamp"),
            header("X-Mainstem-Signature"),
            self.rfile.read(int(length)),
        )
        self._json(status, answer)

    def do_GET(self) -> None:
        if self.path == "/":
            page = self.server.tool.page().encode()
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", page)
        elif self.path == "/members.json":
            self._json(HTTPStatus.OK, self.server.tool.members())
        else:
            self._json(HTTPStatus.NOT_FOUND, {"error": "see / and /members.json"})

    def _json(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content, ensure_ascii=False).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a terminal is no place for what requests carry."""
