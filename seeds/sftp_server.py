"""A stand-in for the sample company's SFTP server: loopback only, key authentication only.

It plays both ends that a file transfer has here: `drop/` is where the stores leave their exports,
`outbox/` is where we deliver files to others.
"""

from __future__ import annotations

import asyncio
import filecmp
import os
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import asyncssh

from seeds.stand_in import STOP_TIMEOUT_S, StandIn

START_TIMEOUT_S = 15.0


class _Confined(asyncssh.SFTPServer):
    """Serves one folder; what a symbolic link would lead out of it does not exist."""

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], root: Path) -> None:
        self._real = os.path.realpath(root).encode()
        super().__init__(chan, chroot=self._real)

    def map_path(self, path: bytes) -> bytes:
        local = super().map_path(path)
        real = os.path.realpath(local)
        if real != self._real and not real.startswith(self._real + b"/"):
            raise asyncssh.SFTPPermissionDenied("outside of the served folder")
        return local

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPPermissionDenied("links are not served")

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPPermissionDenied("links are not served")


def _key(path: Path) -> asyncssh.SSHKey:
    """The private key at `path`, made on first use, readable by its owner alone."""
    if not path.exists():
        partial = path.with_name(path.name + ".partial")
        partial.unlink(missing_ok=True)
        handle = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
        partial.replace(path)
    return asyncssh.read_private_key(path)


class SampleSftpServer(StandIn):
    """`with SampleSftpServer(root, keys_dir) as server:` serves `root` until the block ends.

    Keys are made in `keys_dir` on first use and kept, and `known_hosts` is written there on each
    start, so that a client can check whom it talks to.
    """

    username = "mainstem"

    def __init__(
        self, root: Path, keys_dir: Path, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        super().__init__(host, port)
        self.root = root
        self.client_key = keys_dir / "client_ed25519"
        self.known_hosts = keys_dir / "known_hosts"
        self._host_key = keys_dir / "host_ed25519"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._errors: list[Exception] = []

    def start(self) -> Self:
        if self._thread is not None:
            return self
        for folder in ("drop", "outbox"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self.client_key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        host_key, client_key = _key(self._host_key), _key(self.client_key)
        self._ready.clear()
        self._errors.clear()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(host_key, client_key)),
            name="sample-sftp",
            daemon=True,
        )
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S):
            raise TimeoutError(f"the sample's SFTP server did not start in {START_TIMEOUT_S} s")
        if self._errors:
            self._thread.join(STOP_TIMEOUT_S)
            self._thread = None
            raise self._errors[0]
        public = host_key.export_public_key().decode().split()
        self.known_hosts.write_text(f"[{self.host}]:{self.port} {public[0]} {public[1]}\n")
        return self

    async def _serve(self, host_key: asyncssh.SSHKey, client_key: asyncssh.SSHKey) -> None:
        connections: set[asyncssh.SSHServerConnection] = set()

        class Login(asyncssh.SSHServer):
            """Remembers who is connected, so that stopping need not wait for them."""

            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                self.conn = conn
                connections.add(conn)

            def connection_lost(self, exc: Exception | None) -> None:
                connections.discard(self.conn)

            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
                return username == SampleSftpServer.username and key.public_data == public

        public = client_key.public_data
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            server = await asyncssh.listen(
                self.host,
                self.port,
                server_factory=Login,
                server_host_keys=[host_key],
                sftp_factory=lambda chan: _Confined(chan, self.root),
                allow_scp=False,
                login_timeout=10,
            )
        except (OSError, asyncssh.Error) as error:
            self._errors.append(error)
            self._ready.set()
            return
        self.port = server.get_port()
        self._ready.set()
        await self._stop.wait()
        server.close()
        for connection in list(connections):
            connection.abort()

    def stop(self) -> None:
        if self._thread is None or self._loop is None or self._stop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_TIMEOUT_S)
        self._thread = None

    def publish(self, files: Iterable[Path]) -> list[str]:
        """Put files into `drop/`, as the stores would; returns the names that were new or changed.

        A file appears by renaming, and one with the same content stays as it is, so that whoever
        watches size and modification time sees no change.
        """
        published: list[str] = []
        drop = self.root / "drop"
        drop.mkdir(parents=True, exist_ok=True)
        for source in files:
            target = drop / source.name
            if target.exists() and filecmp.cmp(source, target, shallow=False):
                continue
            partial = drop / f".{source.name}.partial"
            shutil.copy2(source, partial)
            partial.replace(target)
            published.append(source.name)
        return published
