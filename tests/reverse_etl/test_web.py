"""The HTTP client: what it keeps, how long it waits, and what it says when an answer does not come."""

import base64
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hostile_server import Hostile, Part, serve

from reverse_etl import web


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    with serve() as server:
        yield server


@pytest.fixture
def client() -> Iterator[web.Client]:
    made = web.Client(seconds=1.0, longest=10_000)
    yield made
    made.close()


class Kept(ThreadingHTTPServer):
    """A server that keeps connections, and counts them."""

    daemon_threads = True
    connections = 0

    def get_request(self) -> tuple[socket.socket, object]:
        self.connections += 1
        return super().get_request()


@pytest.fixture
def kept() -> Iterator[Kept]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            if self.path == "/chunked":
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            else:
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            # says nothing of it, as servers do that have waited for long
            self.close_connection = self.path == "/closing"

        def log_message(self, *_: object) -> None:
            return None

    server = Kept(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_connection_is_used_again(client: web.Client, kept: Kept) -> None:
    url = f"http://127.0.0.1:{kept.server_port}"
    for path in ("", "/chunked", "/chunked", "/a"):
        found = client.request("POST", url + path, b"said", {})
        assert (found.status_code, found.content) == (200, b"said")
    assert kept.connections == 1


def test_a_connection_that_was_closed_meanwhile_is_not(client: web.Client, kept: Kept) -> None:
    """It would be unknown whether the request arrived."""
    url = f"http://127.0.0.1:{kept.server_port}"
    client.request("POST", url + "/closing", b"one", {})
    time.sleep(0.2)
    assert client.request("POST", url, b"two", {}).content == b"two"
    assert kept.connections == 2


def test_headers_that_drip_are_late(client: web.Client, hostile: Hostile) -> None:
    drip: list[Part] = [b"HTTP/1.1 200 OK\r\nX: ", *[p for _ in range(40) for p in (b"x", 0.1)]]
    hostile.behaviour = lambda _: drip
    begun = time.monotonic()
    with pytest.raises(web.LateError):
        client.request("POST", hostile.url, b"x", {})
    assert time.monotonic() - begun < 2.5


def test_an_answer_that_is_cut_is_broken(client: web.Client, hostile: Hostile) -> None:
    for cut in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 2",
        b"nonsense\r\n\r\n",
    ):
        hostile.behaviour = lambda _, cut=cut: [cut]
        with pytest.raises(web.BrokenError):
            client.request("POST", hostile.url, b"x", {})


def test_packed_answers_are_unpacked_as_far_as_they_may_go(
    client: web.Client, hostile: Hostile
) -> None:
    for body, fits in ((b"said", True), (b"0" * 5_000_000, False)):
        packed = gzip.compress(body)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        said = head.encode() + packed
        hostile.behaviour = lambda _, said=said: [said]
        if fits:
            assert client.request("POST", hostile.url, b"x", {}).text == "said"
        else:
            with pytest.raises(web.TooLongError):
                client.request("POST", hostile.url, b"x", {})


def test_who_answers_before_all_was_sent_is_heard(client: web.Client) -> None:
    """A receiver that finds a body too large closes in its middle, and says so."""
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(
                b"HTTP/1.1 413 Told\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            connection.shutdown(socket.SHUT_WR)
            time.sleep(0.2)
            while connection.recv(1 << 20):
                pass

    threading.Thread(target=refuse, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    assert client.request("POST", url, b"x" * 20_000_000, {}).status_code == 413
    listener.close()


def test_what_cannot_be_asked_is_told_from_what_is_not_there(client: web.Client) -> None:
    for address in ("ftp://example.com", "http://", "http://[::1", "http://a:99999/", "nothing"):
        with pytest.raises(web.AddressError):
            client.request("GET", address, b"", {})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for address in (f"http://127.0.0.1:{port}/", "https://nowhere.invalid/"):
        with pytest.raises(web.UnreachableError):
            client.request("GET", address, b"", {})


def test_tls_that_cannot_be_trusted_is_unreachable(client: web.Client, hostile: Hostile) -> None:
    with pytest.raises(web.UnreachableError):
        client.request("POST", hostile.url.replace("http:", "https:"), b"x", {})


def test_an_address_keeps_its_escapes_and_its_login(client: web.Client, hostile: Hostile) -> None:
    address = hostile.url.replace("://", "://jo:a%40b@") + "/a b/ü%20%2F?q=ä&r=%26#part"
    client.request("POST", address, b"x", {})
    (request,) = hostile.requests
    assert request.path == "/a%20b/%C3%BC%20%2F?q=%C3%A4&r=%26"
    assert request.headers["authorization"] == f"Basic {base64.b64encode(b'jo:a@b').decode()}"
    client.request("POST", address, b"x", {"Authorization": "Bearer t"})
    assert hostile.requests[1].headers["authorization"] == "Bearer t"
