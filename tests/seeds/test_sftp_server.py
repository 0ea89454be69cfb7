"""The SFTP stand-in over real connections."""

from __future__ import annotations

import asyncio
import socket
import stat
import time
from pathlib import Path

import asyncssh
import pytest

from seeds.sftp_server import SampleSftpServer


@pytest.fixture
def server(tmp_path):
    with SampleSftpServer(tmp_path / "sftp", tmp_path / "keys") as running:
        yield running


def talk(server: SampleSftpServer, conversation, **options):
    """Run `conversation(sftp)` over a connection that checks the server's key."""
    settings = {
        "username": server.username,
        "client_keys": [str(server.client_key)],
        "known_hosts": str(server.known_hosts),
        "password": None,
        "config": None,
        "agent_path": None,
    }

    async def main():
        async with (
            asyncssh.connect(server.host, server.port, **{**settings, **options}) as connection,
            connection.start_sftp_client() as sftp,
        ):
            return await conversation(sftp)

    return asyncio.run(asyncio.wait_for(main(), 20))


def test_files_go_both_ways(server, tmp_path):
    source = tmp_path / "receipts.csv.gz"
    source.write_bytes(b"till")
    assert server.publish([source]) == ["receipts.csv.gz"]

    async def exchange(sftp):
        await sftp.mkdir("/outbox/audience")
        async with sftp.open("/outbox/audience/.part", "wb") as file:
            await file.write(b"members")
        await sftp.posix_rename("/outbox/audience/.part", "/outbox/audience/members.csv")
        async with sftp.open("/drop/receipts.csv.gz", "rb") as file:
            return await sftp.listdir("/drop"), await file.read()

    names, content = talk(server, exchange)
    assert set(names) - {".", ".."} == {"receipts.csv.gz"}
    assert content == b"till"
    assert (server.root / "outbox/audience/members.csv").read_bytes() == b"members"


def test_publishing_the_same_content_again_touches_nothing(server, tmp_path):
    source = tmp_path / "cards.csv"
    source.write_text("one")
    server.publish([source])
    before = (server.root / "drop/cards.csv").stat()
    time.sleep(0.02)
    source.touch()
    assert server.publish([source]) == []
    after = (server.root / "drop/cards.csv").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    source.write_text("two")
    assert server.publish([source]) == ["cards.csv"]
    assert (server.root / "drop/cards.csv").read_text() == "two"


def test_only_the_right_key_and_name_get_in(server):
    async def nothing(sftp):
        return None

    stranger = asyncssh.generate_private_key("ssh-ed25519")
    for wrong in (
        {"client_keys": [stranger]},
        {"client_keys": None, "password": "guess"},
        {"username": "root"},
    ):
        with pytest.raises(asyncssh.PermissionDenied):
            talk(server, nothing, **wrong)


def test_nobody_gets_a_shell(server):
    async def main():
        async with asyncssh.connect(
            server.host,
            server.port,
            username=server.username,
            client_keys=[str(server.client_key)],
            known_hosts=str(server.known_hosts),
            config=None,
        ) as connection:
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.run("id", timeout=10)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_nothing_outside_of_the_root_can_be_reached(server, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (server.root / "drop/way-out").symlink_to(tmp_path)

    async def escape(sftp):
        for path in ("/../secret", "/../../secret", "/drop/../../secret", "/drop/way-out/secret"):
            with pytest.raises(asyncssh.SFTPError):
                async with sftp.open(path, "rb") as file:
                    await file.read()
        with pytest.raises(asyncssh.SFTPError):
            await sftp.symlink("/", "/drop/link")

    talk(server, escape)


def test_keys_are_private_and_stay_the_same(tmp_path):
    def run() -> tuple[bytes, list[str]]:
        with SampleSftpServer(tmp_path / "sftp", tmp_path / "keys") as server:
            keys = Path(tmp_path / "keys")
            for name in ("client_ed25519", "host_ed25519"):
                assert stat.S_IMODE((keys / name).stat().st_mode) == 0o600
            where, *key = server.known_hosts.read_text().split()
            assert where == f"[127.0.0.1]:{server.port}"
            return server.client_key.read_bytes(), key

    assert run() == run()


def test_stopping_is_quick_even_with_a_client_connected(tmp_path):
    server = SampleSftpServer(tmp_path / "sftp", tmp_path / "keys").start()
    with socket.create_connection((server.host, server.port), timeout=5):
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 2
    with pytest.raises(OSError):
        socket.create_connection((server.host, server.port), timeout=2)


def test_a_taken_port_is_an_error(server, tmp_path):
    with pytest.raises(OSError):
        SampleSftpServer(tmp_path / "b", tmp_path / "c", port=server.port).start()
