"""An HTTP server that answers with whatever bytes a test says, when it says, however wrong."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """What was received; `number` counts from 0 over all of them."""

    number: int
    method: str
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw or b"null")


# what goes out: bytes are written at once, a float is a pause in seconds, None is a reset
Part = bytes | float | None
Behaviour = Callable[[Request], list[Part]]


def answer(status: int, body: bytes | str = b"", **headers: str) -> list[Part]:
    """A whole and proper answer; a header's name has _ for -."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Told", f"Content-Length: {len(content)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ["\r\n".join([*lines, "", ""]).encode() + content]


def json_answer(status: int, body: Any, **headers: str) -> list[Part]:
    return answer(status, json.dumps(body), Content_Type="application/json", **headers)


@dataclass
class Hostile:
    url: str = ""
    behaviour: Behaviour = lambda _: answer(200)
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def serve() -> Iterator[Hostile]:
    state = Hostile()
    listener = socket.create_server(("127.0.0.1", 0))
    state.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=meet, args=(connection,), daemon=True).start()

    def meet(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(20)
            request = receive(connection)
            if request is None:
                return
            with state.lock:
                request.number = len(state.requests)
                state.requests.append(request)
                parts = state.behaviour(request)
            for part in parts:
                if isinstance(part, float):
                    time.sleep(part)
                elif part is None:
                    linger = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                else:
                    connection.sendall(part)

    threading.Thread(target=accept, daemon=True).start()
    yield state
    listener.close()


def receive(connection: socket.socket) -> Request | None:
    read = b""
    while b"\r\n\r\n" not in read:
        chunk = connection.recv(65_536)
        if not chunk:
            return None
        read += chunk
    head, _, raw = read.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
    while len(raw) < int(headers.get("content-length", 0)):
        raw += connection.recv(65_536)
    return Request(0, method, path, headers, raw)
