"""HTTP requests over pooled connections, each with one deadline for all of its answer.

This is the engine inside httpx, without the client around it: no cookies, no redirects, nothing from
the environment, and no log line with an address, which may hold a token.

A timeout of httpx is one of each read, so that an answer whose headers drip has none. What httpcore hands
on to a connection as a timeout is therefore a moment here, and a connection makes seconds of it.
"""

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

# for addresses without TLS: reading the authorities that are trusted takes longer than many a sync
TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Exchanges:
    """A pool of connections, for several threads at once. Errors are those of httpcore."""

    def __init__(self, *, connections: int, is_tls: bool) -> None:
        context = httpx.create_ssl_context(trust_env=False) if is_tls else TRUSTS_NOBODY
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, max_connections=connections, network_backend=_Network()
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    @contextmanager
    def open(
        self, request: httpx.Request, *, seconds: float, connect_seconds: float
    ) -> Iterator[httpx.Response]:
        """Send a request; its answer, whose body has to be read within the seconds as well."""
        url, now = request.url, time.monotonic()
        moments = {"connect": now + connect_seconds, "write": now + seconds, "read": now + seconds}
        with self._pool.stream(
            request.method,
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=request.content,
            extensions={"timeout": moments},
        ) as answer:
            yield httpx.Response(
                answer.status, headers=answer.headers, stream=_Body(answer), request=request
            )


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_stream()


class _Network(httpcore.NetworkBackend):
    """Opens connections whose timeouts are moments (time.monotonic)."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Connection(self._inner.connect_tcp(host, port, left, local_address, socket_options))


class _Connection(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Connection(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(moment: float | None, late: type[httpcore.TimeoutException]) -> float | None:
    """Seconds until a moment. Raises `late` when it is over."""
    if moment is None:
        return None
    seconds = moment - time.monotonic()
    if seconds <= 0:
        raise late
    return seconds
