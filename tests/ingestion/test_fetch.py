"""Finding files and bringing them over a real SSH connection, and what is said when that fails."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import pytest

from ingestion import fetch
from ingestion.sources import Column, FetchError, Ingest, SourceTable


def table(connector: str, location: str, connection: dict[str, str] | None = None) -> SourceTable:
    ingest = Ingest(connector, location, connection=connection or {})
    columns = (Column("id", "integer"),)
    return SourceTable("stores", "receipts", "raw_stores", Path("x.yml"), 1, columns, ingest)


def bring(declared: SourceTable, root: Path, env: dict[str, str] | None = None):
    return fetch.fetch(declared, project_root=root, downloads=root / "downloads", env=env or {})


# ---------------------------------------------------------------- files


def test_files_are_found_by_pattern_in_the_order_of_their_origins(tmp_path):
    for name in ("b 2.csv", "b1.csv", "c.csv"):
        (tmp_path / name).write_text(name)
    found = bring(table("files", "${DIR:-.}/b*.csv"), tmp_path)
    assert [arrival.origin for arrival in found] == ["b 2.csv", "b1.csv"]
    assert [arrival.path.read_text() for arrival in found] == ["b 2.csv", "b1.csv"]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b9.csv").write_text("x")
    found = bring(table("files", "${DIR:-.}/b*.csv"), tmp_path, {"DIR": "sub"})
    assert [arrival.origin for arrival in found] == ["sub/b9.csv"]


def test_an_absolute_folder_is_allowed_because_it_was_declared(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "a.csv").write_text("x")
    (arrival,) = bring(table("files", f"{folder}/*.csv"), tmp_path / "project")
    assert arrival.origin == f"{folder}/a.csv"


@pytest.mark.parametrize("location", ["../secret.csv", "drop/../../secret.csv", "link.csv"])
def test_nothing_outside_the_project_is_read(tmp_path, location):
    (tmp_path / "secret.csv").write_text("x")
    root = tmp_path / "project"
    (root / "drop").mkdir(parents=True)
    (root / "link.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(FetchError, match="leads out of its folder"):
        bring(table("files", location), root)


def test_no_match_and_an_unset_variable_name_the_key_and_the_next_step(tmp_path):
    with pytest.raises(
        FetchError, match=r"no file matches `location: drop/x\*` of stores.receipts"
    ):
        bring(table("files", "drop/x*"), tmp_path)
    with pytest.raises(FetchError, match=r"`location` uses \$\{FOLDER\}, which is not set"):
        bring(table("files", "${FOLDER}/x*"), tmp_path)


# ---------------------------------------------------------------- sftp


@dataclass
class Server:
    """A running SFTP server: what it serves, how to log in, and what was read from it."""

    root: Path
    home: Path
    port: int = 0
    opened: list[str] = field(default_factory=list)

    def connection(self, **changes: str) -> dict[str, str]:
        return {
            "host": "127.0.0.1",
            "port": str(self.port),
            "username": "mainstem",
            "private_key": str(self.home / "client"),
            "known_hosts": str(self.home / "known_hosts"),
        } | changes


class Login(asyncssh.SSHServer):
    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("mainstem", "right")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "served", tmp_path / "keys")
    (server.root / "drop").mkdir(parents=True)
    server.home.mkdir()
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    client_key = asyncssh.generate_private_key("ssh-ed25519")
    client_key.write_private_key(server.home / "client")
    client_key.write_public_key(server.home / "authorized")

    class Sftp(asyncssh.SFTPServer):
        def __init__(self, channel: asyncssh.SSHServerChannel) -> None:
            super().__init__(channel, chroot=str(server.root).encode())

        def open(self, path, pflags, attrs):
            server.opened.append(path.decode())
            return super().open(path, pflags, attrs)

    started, loop = threading.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        listener = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Login,
            server_host_keys=[host_key],
            authorized_client_keys=str(server.home / "authorized"),
            sftp_factory=Sftp,
        )
        server.port = listener.get_port()
        started.set()

    loop.create_task(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    assert started.wait(10)
    public = host_key.export_public_key().decode().strip()
    (server.home / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {public}\n")
    yield server
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


def drop(server: Server, name: str, content: str, at: int = 1_700_000_000) -> None:
    path = server.root / "drop" / name
    path.write_text(content)
    os.utime(path, (at, at))


def test_new_and_changed_files_are_downloaded_and_the_others_left(server, tmp_path):
    declared = table("sftp", "/drop/receipts_*.csv", server.connection())
    drop(server, "receipts_1.csv", "one")
    drop(server, "receipts_2.csv", "two")
    drop(server, "other.csv", "no")
    found = bring(declared, tmp_path)
    assert [(a.origin, a.path.read_text()) for a in found] == [
        ("sftp://127.0.0.1/drop/receipts_1.csv", "one"),
        ("sftp://127.0.0.1/drop/receipts_2.csv", "two"),
    ]
    assert sorted(server.opened) == ["/drop/receipts_1.csv", "/drop/receipts_2.csv"]
    server.opened.clear()
    assert bring(declared, tmp_path) == found
    assert server.opened == []
    drop(server, "receipts_2.csv", "2nd", at=1_700_000_009)  # the same size, another time
    drop(server, "receipts_3.csv", "three")
    texts = [arrival.path.read_text() for arrival in bring(declared, tmp_path)]
    assert texts == ["one", "2nd", "three"]
    assert sorted(server.opened) == ["/drop/receipts_2.csv", "/drop/receipts_3.csv"]


def test_a_damaged_copy_or_memory_is_downloaded_again(server, tmp_path):
    declared = table("sftp", "/drop/*", server.connection())
    drop(server, "a.csv", "content")
    (arrival,) = bring(declared, tmp_path)
    arrival.path.write_text("con")
    (again,) = bring(declared, tmp_path)
    assert again.path.read_text() == "content"
    (arrival.path.parent / ".remote.json").write_text("{")
    assert bring(declared, tmp_path)[0].path.read_text() == "content"
    # What a killed download left behind is neither loaded nor in the way.
    (arrival.path.parent / f".{arrival.path.name}.partial").write_text("half")
    assert [a.path.read_text() for a in bring(declared, tmp_path)] == ["content"]


def test_a_password_from_the_environment_logs_in(server, tmp_path):
    drop(server, "a.csv", "x")
    connection = server.connection(password="${SFTP_PASSWORD}")
    del connection["private_key"]
    declared = table("sftp", "/drop/*.csv", connection)
    assert len(bring(declared, tmp_path, {"SFTP_PASSWORD": "right"})) == 1
    with pytest.raises(FetchError, match=r"connection.password` uses \$\{SFTP_PASSWORD\}"):
        bring(declared, tmp_path)
    with pytest.raises(FetchError, match="refused the login") as refused:
        bring(declared, tmp_path, {"SFTP_PASSWORD": "wrong"})
    assert "wrong" not in str(refused.value)


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_every_failure_names_the_key_to_look_at(server, tmp_path):
    drop(server, "a.csv", "x")
    other = asyncssh.generate_private_key("ssh-ed25519")
    other.write_private_key(tmp_path / "other")
    public = other.export_public_key().decode().strip()
    (tmp_path / "hosts").write_text(f"[127.0.0.1]:{server.port} {public}\n")
    (tmp_path / "empty").write_text("")
    cases = [
        ({"port": closed_port()}, r"cannot be reached \(.*`connection.host`"),
        ({"port": "ssh"}, "`connection.port: ssh` is not a number"),
        ({"private_key": str(tmp_path / "other")}, "refused the login.*`connection.private_key`"),
        ({"private_key": "missing"}, "`connection.private_key` missing cannot be read"),
        ({"known_hosts": str(tmp_path / "hosts")}, "host key that `connection.known_hosts`"),
        ({"known_hosts": str(tmp_path / "empty")}, "host key that `connection.known_hosts`"),
        ({"known_hosts": "missing"}, "`connection.known_hosts` missing is not a file"),
    ]
    for changes, says in cases:
        with pytest.raises(FetchError, match=says):
            bring(table("sftp", "/drop/*.csv", server.connection(**changes)), tmp_path)
    for location in ("/drop/*.txt", "/nowhere/*.csv", "/nowhere/a.csv"):
        with pytest.raises(FetchError, match="matches `location: /"):
            bring(table("sftp", location, server.connection()), tmp_path)
    unchecked = server.connection(known_hosts="none")
    assert len(bring(table("sftp", "/drop/*.csv", unchecked), tmp_path)) == 1
