"""HTTP/1.1 as the destinations need it: kept connections, one deadline for an answer, a limit to its
length, and errors that say whether a request may have arrived.

It stands on the standard library's http.client: a client with cookies, redirects, proxies and HTTP/2
takes longer to be imported than a small sync takes to run, and rows must not follow a redirect, a
proxy or a login that happens to be in the environment.
"""

import base64
import io
import json
import selectors
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

CONNECT_SECONDS = 10.0
# a server may close what is idle at any moment, and then it is not known whether a request arrived
IDLE_SECONDS = 5.0
READ_AT_ONCE = 65_536
COMMON_HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": "mainstem"}
# what stays as it is in an address that somebody wrote down, escapes among it
ADDRESS_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"


class AddressError(Exception):
    """The address is none that can be asked."""


class UnreachableError(Exception):
    """No connection came about: nothing was sent."""


class LateError(Exception):
    """The answer was not whole in time; the request may have arrived."""


class BrokenError(Exception):
    """The connection broke; the request may have arrived. The message names no address."""


class TooLongError(Exception):
    """The answer is longer than it may be; the request has arrived."""


@dataclass(frozen=True)
class Response:
    """An answer, whole. `method` and `address` are those of the request."""

    status_code: int
    headers: Message = field(default_factory=Message, repr=False)
    content: bytes = field(default=b"", repr=False)
    method: str = "GET"
    address: str = field(default="", repr=False)

    @property
    def is_success(self) -> bool:
        return 200 <= self.status_code < 300

    @property
    def text(self) -> str:
        charset = self.headers.get_content_charset() or "utf-8"
        try:
            return self.content.decode(charset, errors="replace")
        except LookupError:
            return self.content.decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON; ValueError or RecursionError if it is none."""
        return json.loads(self.content)


class Client:
    """Connections to whatever is asked, kept for the next request. Several threads may use it.

    `seconds` is how long an answer may take until it is whole, `longest` how many bytes it may have.
    """

    def __init__(self, seconds: float, longest: int) -> None:
        self._seconds, self._longest = seconds, longest
        self._lock = threading.Lock()
        self._idle: list[tuple[tuple[str, str], HTTPConnection, float]] = []
        self._tls: ssl.SSLContext | None = None

    def close(self) -> None:
        """Close what is kept."""
        with self._lock:
            kept, self._idle = self._idle, []
        for _, connection, _ in kept:
            connection.close()

    def request(
        self, method: str, address: str, content: bytes, headers: Mapping[str, str]
    ) -> Response:
        """Ask once, and read the answer; raises the errors of this module."""
        parts, target = _taken_apart(address)
        given = {**COMMON_HEADERS, **_login(parts), **headers}
        where = (parts.scheme, parts.netloc)
        connection = self._kept(where) or self._opened(parts)
        is_kept = False
        try:
            answer = self._exchange(connection, method, target, content, given)
            body = self._body(answer)
            is_kept = not answer.will_close
        except TimeoutError:
            raise LateError from None
        except (OSError, HTTPException, ValueError, zlib.error) as error:
            raise BrokenError(type(error).__name__) from None
        finally:
            if is_kept:
                with self._lock:
                    self._idle.append((where, connection, time.monotonic()))
            else:
                connection.close()
        return Response(answer.status, answer.headers, body, method, address)

    def _exchange(
        self,
        connection: HTTPConnection,
        method: str,
        target: str,
        content: bytes,
        headers: Mapping[str, str],
    ) -> HTTPResponse:
        connection.sock.settimeout(self._seconds)
        # who refuses a request may answer and close before all of it was sent
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, target, body=content or None, headers=headers)
        ends_at = time.monotonic() + self._seconds
        connection.response_class = lambda sock, **given: HTTPResponse(  # type: ignore[assignment]
            _Hurried(sock, ends_at),  # type: ignore[arg-type]
            **given,
        )
        return connection.getresponse()

    def _body(self, answer: HTTPResponse) -> bytes:
        coding = answer.headers.get("Content-Encoding", "").strip().lower()
        unpacker = (
            zlib.decompressobj(wbits=zlib.MAX_WBITS | 32) if coding in {"gzip", "deflate"} else None
        )
        parts, length = [], 0
        while part := answer.read1(READ_AT_ONCE):
            found = unpacker.decompress(part, self._longest + 1) if unpacker else part
            parts.append(found)
            length += len(found)
            if length > self._longest:
                raise TooLongError
        if answer.length:
            raise BrokenError("IncompleteRead")
        answer.close()
        return b"".join(parts)

    def _kept(self, where: tuple[str, str]) -> HTTPConnection | None:
        """The connection that was used last, if one can be used still."""
        while True:
            with self._lock:
                found = next((kept for kept in reversed(self._idle) if kept[0] == where), None)
                if found is None:
                    return None
                self._idle.remove(found)
            _, connection, since = found
            if time.monotonic() - since < IDLE_SECONDS and not _has_news(connection.sock):
                return connection
            connection.close()

    def _opened(self, parts: SplitResult) -> HTTPConnection:
        seconds = min(self._seconds, CONNECT_SECONDS)
        host = str(parts.hostname)
        connection = (
            HTTPSConnection(host, parts.port, timeout=seconds, context=self._context())
            if parts.scheme == "https"
            else HTTPConnection(host, parts.port, timeout=seconds)
        )
        try:
            connection.connect()
        except (OSError, UnicodeError) as error:
            connection.close()
            raise UnreachableError(type(error).__name__) from None
        return connection

    def _context(self) -> ssl.SSLContext:
        """TLS that trusts whom Mozilla trusts, whatever is installed on the machine."""
        with self._lock:
            if self._tls is None:
                import certifi

                self._tls = ssl.create_default_context(cafile=certifi.where())
            return self._tls


class _Hurried(io.RawIOBase):
    """A socket that is read until a moment, however slowly it drips."""

    def __init__(self, sock: socket.socket, ends_at: float) -> None:
        self._sock, self._ends_at = sock, ends_at
        # keeps the socket open for the rest of an answer after which the connection is closed
        self._file = sock.makefile("rb", buffering=0)

    def makefile(self, *_: object) -> io.BufferedReader:
        """As http.client asks for it."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._file.readinto(buffer) or 0

    def close(self) -> None:
        self._file.close()
        super().close()


def _has_news(sock: socket.socket) -> bool:
    """Whether something can be read where nothing was asked: the other side has closed."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))


def _taken_apart(address: str) -> tuple[SplitResult, str]:
    """An address and what of it is asked for; raises AddressError."""
    try:
        parts = urlsplit(address)
        is_usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        if is_usable:
            str(parts.hostname).encode("idna")
    except ValueError:
        is_usable = False
    target = quote(parts.path or "/", safe=ADDRESS_CHARACTERS) if is_usable else ""
    if not is_usable:
        raise AddressError
    query = f"?{quote(parts.query, safe=ADDRESS_CHARACTERS)}" if parts.query else ""
    return parts, f"{target}{query}"


def _login(parts: SplitResult) -> dict[str, str]:
    """The login that is written in an address, as a header."""
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
