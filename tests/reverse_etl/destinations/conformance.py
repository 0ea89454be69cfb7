"""What test_conformance.py needs: a local server that plays a vendor, and what a test module of a
destination says of it (a `Case`, in its list `CASES`).

A `Vendor` keeps state and refuses what the real one refuses. The suite never looks into it but for
`members()`: who is in the audience there, and with which values.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    Job,
    RejectError,
    Row,
    RowAnswer,
)
from reverse_etl.http import HttpDestination
from reverse_etl.pacing import Pace

SECRET = "s3cret-of-the-tests"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Response:
    """`body` is JSON unless it is bytes."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


class Vendor:
    """A stand-in for a vendor. `script` holds answers to the next requests instead of its own;
    those of `after` are given once it has done what was asked."""

    writes: ClassVar[frozenset[str]] = frozenset({"POST", "PUT", "PATCH", "DELETE"})

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.script: list[Response] = []
        self.after: list[Response] = []
        self.token = SECRET

    def is_known(self, request: Request) -> bool:
        """Whether the login is right."""
        raise NotImplementedError

    def is_open(self, request: Request) -> bool:
        """Whether a request needs no login: one that gets a new login."""
        return False

    def answer(self, request: Request) -> Response:
        raise NotImplementedError

    def members(self) -> Mapping[str, Mapping[str, Any]]:
        """Who is in the audience, by what identifies them there (`Case.known_by`)."""
        raise NotImplementedError

    def take(self, request: Request) -> Response:
        self.requests.append(request)
        if self.is_open(request):
            return self.answer(request)
        if not self.is_known(request):
            return Response(401, {"message": f"bad login {self.token}"})
        if self.script:
            return self.script.pop(0)
        answer = self.answer(request)
        return self.after.pop(0) if self.after else answer


@contextmanager
def serve(vendor: Vendor) -> Iterator[str]:
    """The vendor on a local port; gives its address."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 10

        def take(self) -> None:
            address = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, address.path, parse_qs(address.query), headers, body)
            with lock:
                response = vendor.take(request)
            content = response.content()
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = take

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


@dataclass(frozen=True)
class Spec:
    """A vendor's published description: its file under the vendor specs.

    `prefix` is what a called path has before the paths of the file; `missing` are calls, such as
    `GET /ping`, that the file does not describe although they exist.
    """

    file: str
    prefix: str = ""
    missing: Sequence[str] = ()


@dataclass(frozen=True)
class Case:
    """A destination type with one `connection`, and the vendor that plays against it.

    `person(n)` are the mapped fields of the nth person, whose row key is `key(n)`; `shown` is how
    the vendor shows them in `members()`, by the field `known_by` (None: by row key). `bad` are
    fields that the vendor refuses (None: it refuses nobody). `told_to_wait` are the headers of a
    429 and the seconds they stand for. `holds` is false where nobody is in anything: the vendor is
    told what happened, and that is all. `tries_login` is false where `check()` cannot tell a wrong
    login without writing.
    """

    id: str
    type: Callable[[Mapping[str, str]], HttpDestination]
    vendor: Callable[[], Vendor]
    connection: Mapping[str, str]
    person: Callable[[int], dict[str, Any]]
    change: Mapping[str, Any]
    bad: Mapping[str, Any] | None
    known_by: str | None = None
    shown: Callable[[dict[str, Any]], dict[str, Any]] = dict
    address_key: str = "base_url"
    login_key: str = "access_token"
    renews: bool = False
    told_to_wait: tuple[Mapping[str, str], float | None] = field(
        default_factory=lambda: ({"Retry-After": "7"}, 7.0)
    )
    specs: Sequence[Spec] = ()
    key: Callable[[int], str] = lambda n: f"cus_{n}"
    mode: str = "mirror"
    holds: bool = True
    tries_login: bool = True

    def destination(self, address: str = "http://127.0.0.1:9") -> HttpDestination:
        made = self.type({**self.connection, self.address_key: address})
        made._pace = Pace(None)  # a vendor's pace is none of a test's
        return made

    def expected(self, people: Mapping[int, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if not self.holds:
            return {}
        return {
            str(fields[self.known_by]) if self.known_by else self.key(n): self.shown(fields)
            for n, fields in people.items()
        }


@dataclass
class Books:
    """Does what the engine does: keeps remote ids, asks for jobs, halves what is refused."""

    case: Case
    destination: HttpDestination
    remote_ids: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    errors: dict[str, RowAnswer] = field(default_factory=dict)
    number: int = 0

    def batch(
        self, people: Mapping[int, dict[str, Any]] | Sequence[int], operation: str = "upsert"
    ) -> Batch:
        self.number += 1
        rows = [
            Row(
                self.case.key(n),
                operation,
                json.dumps(people[n], ensure_ascii=False, separators=(",", ":"))
                if isinstance(people, Mapping)
                else "{}",
                self.remote_ids.get(self.case.key(n)) or None,
                self.case.key(n) not in self.held,
            )
            for n in people
        ]
        names = tuple(self.case.person(0))
        return Batch(
            "audience_to_vendor",
            "run_1",
            self.number,
            f"key-{self.number}",
            names,
            rows,
            self.case.mode,
            total_rows=len(rows),
        )

    def send(self, batch: Batch) -> None:
        """Send until it is settled; the rows that are refused are in `errors`."""
        try:
            answer = self.settled(batch)
        except RejectError as error:
            if len(batch.rows) == 1:
                self.errors[batch.rows[0].key] = RowAnswer(error.code, error.detail or str(error))
                return
            half = len(batch.rows) // 2
            for part in (batch.rows[:half], batch.rows[half:]):
                self.number += 1
                self.send(
                    Batch(
                        batch.sync_name,
                        batch.sync_run_id,
                        self.number,
                        f"key-{self.number}",
                        batch.field_names,
                        part,
                        batch.mode,
                    )
                )
            return
        for row in batch.rows:
            told = answer.rows.get(row.key, RowAnswer())
            if told.error_code:
                self.errors[row.key] = told
            elif row.operation == "remove":
                self.held.discard(row.key)
            else:
                self.held.add(row.key)
                self.remote_ids[row.key] = told.remote_id or row.remote_id or ""

    def settled(self, batch: Batch) -> BatchAnswer:
        answer = self.destination.send(batch)
        looks = 0
        while isinstance(answer, Job):
            looks += 1
            assert looks < 5
            found = self.destination.collect(batch, answer.job_id)
            answer = answer if found is None else found
        return answer

    def add(self, people: Mapping[int, dict[str, Any]]) -> None:
        self.send(self.batch(people))

    def remove(self, numbers: Sequence[int]) -> None:
        self.send(self.batch(numbers, "remove"))
