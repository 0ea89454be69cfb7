"""Destinations that are HTTP APIs: one pooled client, one reading of statuses, one pace.

A vendor's file says which calls a batch makes and how to read the answers; what a connection that
breaks, a 429 or a 500 means is said here, once.
"""

import json
import threading
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpcore
import httpx

from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    Body,
    Destination,
    DestinationError,
    Job,
    RejectError,
    RetryError,
    RowAnswer,
    StopError,
)
from reverse_etl.exchange import Exchanges
from reverse_etl.pacing import Pace, asked_to_wait

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
LONGEST_ANSWER = 64_000_000
# headers that say how a body travelled, and hold no more when it has been read
OF_TRAVEL = frozenset({"content-encoding", "content-length", "transfer-encoding"})
# what every HTTP destination takes beside its own keys; base_url is for regions and for tests
COMMON_KEYS = frozenset({"timeout_seconds", "base_url"})
# what every request says of its sender
STANDARD_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "keep-alive",
    "User-Agent": "mainstem",
}


@dataclass(frozen=True)
class Call:
    """One request: `path` is relative to the base address, or a whole address."""

    method: str
    path: str
    content: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(
        default_factory=lambda: {"Content-Type": "application/json"}, repr=False
    )


def json_call(method: str, path: str, body: Any) -> Call:
    """A call whose body is JSON, compact and in UTF-8."""
    return Call(method, path, compact(body))


def compact(body: Any) -> bytes:
    """JSON without blanks, as UTF-8."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


class HttpDestination(Destination):
    """A destination type that is an HTTP API. `send` may be called from several threads."""

    base_url = ""
    # the keys of `connection` that errors tell people to look at
    address_key = "base_url"
    login_key = "access_token"

    def __init__(self, connection: Mapping[str, str]) -> None:
        self.connection = dict(connection)
        self._base = (connection.get(self.address_key) or self.base_url).rstrip("/")
        if not self._base.startswith(("http://", "https://")):
            raise StopError(
                f"connection.{self.address_key} is not an http:// or https:// address",
                code="bad_url",
            )
        for key in self.capabilities.connection_keys:
            if not connection.get(key, "").strip():
                raise StopError(f"connection.{key} is empty", code=f"no_{key}")
        try:
            self._seconds = float(connection.get("timeout_seconds") or ANSWER_SECONDS)
        except ValueError as error:
            raise StopError(
                "connection.timeout_seconds is not a number", code="bad_timeout"
            ) from error
        self._pace = Pace(self.capabilities.rate)
        self._renewing = threading.Lock()

    def __enter__(self) -> Self:
        self._exchanges = Exchanges(
            connections=max(4, self.capabilities.parallel), is_tls=self._base.startswith("https:")
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exchanges.close()

    @abstractmethod
    def calls(self, batch: Batch) -> Sequence[Call]:
        """The requests that carry a batch. One that needs the answer of another overrides `send`."""

    def read(self, batch: Batch, response: httpx.Response) -> Mapping[str, RowAnswer]:
        """What a response in 2xx says of single rows, by row key."""
        return {}

    def headers(self) -> Mapping[str, str]:
        """Headers of every request, the login among them."""
        return {}

    def renew(self) -> bool:
        """Get a new login after a 401; False if there is no way to."""
        return False

    def remark(self, response: httpx.Response) -> str:
        """What a response in 2xx says of the batch and of no single row (`BatchAnswer.remark`)."""
        return ""

    def trouble(self, response: httpx.Response) -> DestinationError | None:
        """What a response means, if it is no success. A vendor with its own signs overrides this."""
        return trouble_of(response, address_key=self.address_key, login_key=self.login_key)

    def reason(self, response: httpx.Response) -> str:
        """A refusal in the vendor's own words (`DestinationError.detail`)."""
        return ""

    def send(self, batch: Batch) -> BatchAnswer | Job:
        answers: dict[str, RowAnswer] = {}
        remarks: list[str] = []
        status, sent, done = None, 0, 0
        try:
            for call in self.calls(batch):
                response = self.request(call)
                status, sent, done = response.status_code, sent + len(call.content), done + 1
                answers.update(self.read(batch, response))
                remarks.append(self.remark(response))
        except DestinationError as error:
            error.maybe_applied = error.maybe_applied or done > 0
            raise
        remark = "; ".join(filter(None, remarks))
        return BatchAnswer(status, sent, answers, requests=done, remark=remark)

    def request(self, call: Call) -> httpx.Response:
        """Make one call at the vendor's pace; raises RetryError, RejectError or StopError.

        A 401 is met by `renew` once, since logins expire in the middle of a run.
        """
        limit = self.capabilities.max_bytes
        if limit is not None and len(call.content) > limit:
            raise RejectError(
                f"the request has {len(call.content)} bytes of at most {limit}", code="too_large"
            )
        login = dict(self.headers())
        response = self._once(call, login)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            with self._renewing:
                # another thread may have renewed it meanwhile
                renewed = dict(self.headers()) != login or self.renew()
            if renewed:
                response = self._once(call, dict(self.headers()))
        if error := self.trouble(response):
            error.detail = self.reason(response)
            raise error
        return response

    def bodies(self, batch: Batch) -> Sequence[Body]:
        return [
            Body(f"{call.method} {self.address(call)}", call.content.decode(errors="replace"))
            for call in self.calls(batch)
        ]

    def address(self, call: Call) -> str:
        """The whole address of a call."""
        return call.path if "://" in call.path else f"{self._base}/{call.path.lstrip('/')}"

    def _once(self, call: Call, login: Mapping[str, str]) -> httpx.Response:
        self._pace.wait()
        # messages of httpx and httpcore quote the address, and an address may hold a token
        try:
            request = httpx.Request(
                call.method,
                self.address(call),
                content=call.content or None,
                headers={**STANDARD_HEADERS, **login, **(call.headers if call.content else {})},
            )
            if request.url.userinfo:
                # a login in the address
                login_of = httpx.BasicAuth(request.url.username, request.url.password)
                next(login_of.sync_auth_flow(request))
            with self._exchanges.open(
                request,
                seconds=self._seconds,
                connect_seconds=min(self._seconds, CONNECT_SECONDS),
            ) as response:
                return _whole(response)
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            raise RetryError(
                f"the address in connection.{self.address_key} cannot be reached",
                code="unreachable",
                maybe_applied=False,
            ) from None
        except httpcore.TimeoutException:
            raise RetryError(
                f"no answer within {self._seconds:g} s (connection.timeout_seconds)",
                code="timeout",
                maybe_applied=True,
            ) from None
        except (httpx.InvalidURL, httpcore.UnsupportedProtocol):
            raise StopError(
                f"connection.{self.address_key} is not a usable address", code="bad_url"
            ) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpx.DecodingError) as error:
            raise RetryError(
                f"the connection broke ({type(error).__name__})",
                code="connection_lost",
                maybe_applied=True,
            ) from None


def _whole(response: httpx.Response) -> httpx.Response:
    """The answer with its body, which may not be of any length."""
    parts, length = [], 0
    for part in response.iter_bytes():
        parts.append(part)
        length += len(part)
        if length > LONGEST_ANSWER:
            raise RetryError(
                f"the answer is longer than {LONGEST_ANSWER // 1_000_000} MB",
                code="answer_too_long",
                maybe_applied=True,
            )
    kept = [(name, value) for name, value in response.headers.items() if name not in OF_TRAVEL]
    return httpx.Response(
        response.status_code, headers=kept, content=b"".join(parts), request=response.request
    )


def trouble_of(
    response: httpx.Response, *, address_key: str = "base_url", login_key: str = "access_token"
) -> DestinationError | None:
    """What a status outside 2xx means for the batch that was sent."""
    status = response.status_code
    if response.is_success:
        return None
    said, code = f"the destination answered {status}", f"http_{status}"
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return RetryError(
            said,
            code=code,
            http_status=status,
            maybe_applied=False,
            after_seconds=asked_to_wait(response, is_limit=True),
        )
    if status >= 500 or status in {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY}:
        return RetryError(
            said,
            code=code,
            http_status=status,
            maybe_applied=True,
            after_seconds=asked_to_wait(response),
        )
    if status in {401, 403}:
        return StopError(f"{said}: look at connection.{login_key}", code=code, http_status=status)
    if status in {404, 405, 410} or status < 400:
        return StopError(
            f"{said}: look at connection.{address_key} and the ids beside it",
            code=code,
            http_status=status,
        )
    return RejectError(said, code=code, http_status=status)
