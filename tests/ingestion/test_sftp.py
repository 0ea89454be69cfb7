"""SFTP over real connections: OpenSSH's own server, and asyncssh's where a server has to misbehave."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion import fetch, load, remote_copies
from ingestion.connectors import sftp
from ingestion.sources import FetchError

NOW = datetime(2026, 7, 1, 12, 0)
OLD = 1_700_000_000
PASSPHRASE = "open sesame"
SSHD = "/usr/sbin/sshd"
Reads = Callable[[str, int, bytes], bytes]


def as_it_is(_path: str, _offset: int, block: bytes) -> bytes:
    """What an honest server sends."""
    return block


@pytest.fixture
def keys(tmp_path) -> Path:
    """A client's key with a passphrase, and the server's key."""
    folder = tmp_path / "keys"
    folder.mkdir()
    client = asyncssh.generate_private_key("ssh-ed25519")
    client.write_private_key(folder / "client", "pkcs8-pem", passphrase=PASSPHRASE)
    client.write_public_key(folder / "authorized")
    server = asyncssh.generate_private_key("ssh-ed25519")
    server.write_private_key(folder / "host")
    server.write_public_key(folder / "host.pub")
    (folder / "host").chmod(0o600)
    return folder


class Server:
    """A running server: where its files are, and how to log in."""

    def __init__(self, keys: Path, files: Path, prefix: str, username: str) -> None:
        self.keys, self.files, self.prefix, self.username = keys, files, prefix, username
        self.port = 0
        #: What a misbehaving server sends instead of a block, and says instead of a size.
        self.reads: Reads = as_it_is
        self.size: Callable[[int], int] = lambda size: size
        self.asked: list[tuple[str, int]] = []

    def connection(self, **changes: str) -> dict[str, str]:
        known = self.keys / "known_hosts"
        public = (self.keys / "host.pub").read_text().strip()
        known.write_text(f"[127.0.0.1]:{self.port} {public}\n")
        return {
            "host": "127.0.0.1", "port": str(self.port), "username": self.username,
            "private_key": str(self.keys / "client"), "passphrase": "${PASSPHRASE}",
            "known_hosts": str(known),
        } | changes  # fmt: skip

    def drop(self, name: str, content: str | bytes, at: float = OLD) -> Path:
        path = self.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(path, (at, at))
        return path


def own_accounts(keys: Path) -> list[str]:
    """What runs a command with an account `mainstem` that has a password, for it alone to see.

    sshd asks the system's files for passwords: in a mount namespace it finds copies of them.
    """
    if os.getuid() != 0 or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("a password of sshd's own needs root and mount namespaces: run as root")
    if not shutil.which("openssl"):
        pytest.skip("no openssl, which hashes the password: apt-get install openssl")
    command = ["openssl", "passwd", "-6", "-stdin"]
    hashed = subprocess.run(command, input="right", capture_output=True, text=True, check=True)
    mounts = []
    for name, line in (
        ("passwd", "mainstem:x:0:0::/root:/bin/sh"),
        ("shadow", f"mainstem:{hashed.stdout.strip()}:20000:0:99999:7:::"),
    ):
        (keys / name).write_text(f"{Path('/etc', name).read_text()}{line}\n")
        mounts.append(f"mount --bind {keys}/{name} /etc/{name}")
    script = f'{" && ".join(mounts)} && exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]


@contextmanager
def sshd(keys: Path, files: Path, *, password: bool = False) -> Iterator[Server]:
    """OpenSSH's sshd, on a port and with a configuration of its own."""
    if not Path(SSHD).exists():
        pytest.skip("no sshd: apt-get install openssh-server")
    server = Server(keys, files, str(files), os.environ.get("USER", "root"))
    if os.getuid() == 0:
        server.username = "mainstem" if password else "root"
        Path("/run/sshd").mkdir(exist_ok=True)  # where it confines itself, when it runs as root
    server.files.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server.port = probe.getsockname()[1]
    config = keys / "sshd_config"
    config.write_text(f"""
        ListenAddress 127.0.0.1
        Port {server.port}
        HostKey {keys}/host
        AuthorizedKeysFile {keys}/authorized
        PidFile none
        StrictModes no
        UsePAM no
        PermitRootLogin yes
        PasswordAuthentication {"yes" if password else "no"}
        PubkeyAuthentication {"no" if password else "yes"}
        Subsystem sftp internal-sftp
    """)
    within = own_accounts(keys) if password else []
    with (keys / "log").open("wb") as log:
        process = subprocess.Popen([*within, SSHD, "-D", "-e", "-f", config], stderr=log)
    deadline = time.monotonic() + 10
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", server.port)) == 0:
                break
        assert process.poll() is None and time.monotonic() < deadline, (keys / "log").read_text()
        time.sleep(0.05)
    yield server
    process.terminate()
    process.wait(10)


@pytest.fixture
def openssh(keys, tmp_path) -> Iterator[Server]:
    """OpenSSH's own server, which asks for a key."""
    with sshd(keys, tmp_path / "served") as server:
        yield server


@pytest.fixture
def openssh_with_password(keys, tmp_path) -> Iterator[Server]:
    """OpenSSH's own server, which asks for a password."""
    with sshd(keys, tmp_path / "served", password=True) as server:
        yield server


class Login(asyncssh.SSHServer):
    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("mainstem", "right")


@pytest.fixture
def asyncserver(keys, tmp_path) -> Iterator[Server]:
    """asyncssh's server, which can be told to misbehave."""
    server = Server(keys, tmp_path / "served", "", "mainstem")
    server.files.mkdir()

    class Sftp(asyncssh.SFTPServer):
        def __init__(self, channel: Any) -> None:
            super().__init__(channel, chroot=str(server.files).encode())

        def read(self, file_obj, offset, size):
            path = Path(file_obj.name.decode()).name
            server.asked.append((path, offset))
            try:
                return server.reads(path, offset, super().read(file_obj, offset, size))
            except ConnectionAbortedError:
                self.connection.abort()
                raise

        def stat(self, path):
            attrs = asyncssh.SFTPAttrs.from_local(super().stat(path))
            if attrs.permissions & 0o40000 == 0:
                attrs.size = server.size(attrs.size)
            return attrs

    loop, started = asyncio.new_event_loop(), threading.Event()

    async def serve() -> None:
        listener = await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Login, server_host_keys=[keys / "host"],
            authorized_client_keys=str(keys / "authorized"), sftp_factory=Sftp,
        )  # fmt: skip
        server.port = listener.get_port()
        started.set()

    loop.create_task(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    assert started.wait(10)
    yield server
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


@pytest.fixture(params=["openssh", "asyncserver"])
def server(request) -> Server:
    return request.getfixturevalue(request.param)


ENV = {"PASSPHRASE": PASSPHRASE, "PASSWORD": "right"}


def declare(project, server: Server, location: str = "drop/*.csv", **options: Any):
    options = {"connection": server.connection(), "settle_seconds": 0, **options}
    block = {"connector": "sftp", "location": f"{server.prefix}/{location}", **options}
    return project.declare(block, {"id": "integer"})


def run(project, table, *, settles: bool = True):
    """Fetch, load and settle, as a run does."""
    places = {"project_root": project.root, "downloads": project.root / "d", "env": ENV}
    arrivals = fetch.fetch(table, **places)
    results = load.load(project.con, table, arrivals, run_id="r", now=NOW)
    stands = {result.origin for result in results if result.status != "failed"}
    if settles:
        fetch.settle(table, [a for a in arrivals if a.origin in stands], **places)
    return results


def ids(project) -> list[int]:
    return [row[0] for row in project.rows("select id from raw_crm.people order by id")]


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_key_with_a_passphrase_logs_in_and_only_changes_are_loaded(project, server):
    server.drop("drop/a.csv", "id\n1\n")
    server.drop("drop/b.csv", "id\n2\n")
    server.drop("drop/c.txt", "no")
    table = declare(project, server)
    assert [r.status for r in run(project, table)] == ["loaded", "loaded"]
    assert [r.origin for r in run(project, table)] == [
        f"sftp://127.0.0.1/{server.prefix.lstrip('/')}/drop/{n}.csv".replace("1//", "1/")
        for n in "ab"
    ]
    server.drop("drop/b.csv", "id\n3\n", OLD + 9)
    assert [r.status for r in run(project, table)] == ["unchanged", "loaded"]
    assert ids(project) == [1, 3]
    with pytest.raises(FetchError, match=r"`connection\.passphrase` does not open"):
        fetch.fetch(
            table, project_root=project.root, downloads=project.root, env={"PASSPHRASE": "x"}
        )
    without = server.connection()
    del without["passphrase"]
    with pytest.raises(FetchError, match=r"it is encrypted, give `connection\.passphrase`"):
        run(project, declare(project, server, connection=without))


def test_a_stranger_s_host_key_is_refused(project, server):
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    (project.root / "hosts").write_text(f"[127.0.0.1]:{server.port} {other}\n")
    connection = server.connection(known_hosts="hosts")
    with pytest.raises(FetchError, match=r"host key that `connection\.known_hosts`"):
        run(project, declare(project, server, connection=connection))


@pytest.mark.parametrize("after", ["archive", "delete"])
def test_loaded_files_are_put_away_and_never_lost(project, server, after):
    server.drop("drop/a.csv", "id\n1\n")
    server.drop("drop/bad.csv", "nothing\n2\n")
    table = declare(project, server, after=after)
    # Killed before settling: the next run loads nothing anew, and settles.
    assert [r.status for r in run(project, table, settles=False)] == ["loaded", "failed"]
    assert "drop/a.csv" in names(server.files)
    assert [r.status for r in run(project, table)] == ["unchanged", "failed"]
    archived = ["drop/archive/a.csv"] if after == "archive" else []
    assert names(server.files) == [*archived, "drop/bad.csv"]
    (server.files / "drop" / "bad.csv").unlink()
    assert ids(project) == [1]
    # Another file of the same name is a new delivery, and nothing in the archive is replaced.
    server.drop("drop/a.csv", "id\n4\n", OLD + 5)
    run(project, table)
    assert ids(project) == [4]
    archived = ["drop/archive/1700000005-2-a.csv", *archived] if archived else []
    assert names(server.files) == archived
    # A type that does not fit what was loaded: the copies here fill the new table.
    block = {"connector": "sftp", "location": table.ingest.location, "after": after,
             "settle_seconds": 0, "connection": server.connection()}  # fmt: skip
    changed = project.declare(block, {"id": "date"})
    (again,) = run(project, changed)
    assert (again.rows_read, again.rows_quarantined) == (1, 1)


def test_a_file_that_changed_after_its_download_is_not_put_away(project, openssh):
    openssh.drop("drop/a.csv", "id\n1\n")
    table = declare(project, openssh, after="delete")
    places = {"project_root": project.root, "downloads": project.root / "d", "env": ENV}
    arrivals = fetch.fetch(table, **places)
    openssh.drop("drop/a.csv", "id\n2\n", OLD + 1)
    fetch.settle(table, arrivals, **places)
    assert names(openssh.files) == ["drop/a.csv"]
    run(project, table)
    assert (ids(project), names(openssh.files)) == ([2], [])


def test_settling_that_fails_says_so_and_is_done_by_the_next_run(project, openssh):
    openssh.drop("drop/a.csv", "id\n1\n")
    openssh.drop("drop/archive", "a file where the folder should be")
    with pytest.raises(FetchError, match=r"`after: archive` on .* failed .* are loaded"):
        run(project, declare(project, openssh, after="archive"))
    assert ids(project) == [1]
    (openssh.files / "drop" / "archive").unlink()
    run(project, declare(project, openssh, after="archive"))
    assert names(openssh.files) == ["drop/archive/a.csv"]


def test_markers_and_temporary_names(project, openssh):
    for name in ("a.csv", "b.csv", "b.csv.done", ".c.csv", "d.csv.part", "e.bak.csv"):
        openssh.drop(f"drop/{name}", f"id\n{ord(name[0])}\n")
    openssh.drop("drop/e.bak.csv.done", "")
    marked = {"done_suffix": ".done", "ignore": "*.bak.csv", "after": "archive"}
    run(project, declare(project, openssh, "drop/*", **marked))
    assert ids(project) == [ord("b")]
    assert "drop/archive/b.csv.done" in names(openssh.files)
    (openssh.files / "drop" / "a.csv.done").touch()
    run(project, declare(project, openssh, "drop/*", **marked))
    assert ids(project) == [ord("a"), ord("b")]


def test_a_file_that_is_still_growing_is_left_until_it_is_quiet(project, openssh):
    openssh.drop("drop/quiet.csv", "id\n1\n")
    growing = openssh.drop("drop/growing.csv", "id\n2\n", time.time())
    stop = threading.Event()

    def write() -> None:
        with growing.open("a") as file:
            while not stop.wait(0.1):
                file.write("3\n")
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    table = declare(project, openssh, settle_seconds=1)
    assert len(run(project, table)) == 1
    stop.set()
    writer.join()
    assert ids(project) == [1]
    assert [r.status for r in run(project, table)] == ["loaded", "unchanged"]
    assert len(ids(project)) == len(growing.read_text().splitlines())


CONTENT = "id\n" + "".join(f"{n}\n" for n in range(400_000))


def test_a_connection_that_drops_is_made_again_and_the_file_goes_on(
    project, asyncserver, monkeypatch
):
    monkeypatch.setattr(sftp, "PAUSE_SECONDS", 0)
    asyncserver.drop("drop/big.csv", CONTENT)
    asyncserver.drop("drop/a.csv", "id\n7\n")
    drops = iter([1_500_000])

    def reads(path: str, offset: int, block: bytes) -> bytes:
        if path == "big.csv" and offset >= 1_500_000 and next(drops, None):
            raise ConnectionAbortedError
        return block

    asyncserver.reads = reads
    results = run(project, declare(project, asyncserver))
    assert [(r.status, r.rows_loaded) for r in results] == [("loaded", 1), ("loaded", 400_000)]
    again = [offset for path, offset in asyncserver.asked if path == "big.csv"]
    restart = again[again.index(max(again)) :] if again.count(0) == 1 else []
    assert restart, "the file was begun anew"


def test_a_file_that_cannot_be_had_leaves_the_others_loaded_and_goes_on_next_time(
    project, asyncserver, monkeypatch
):
    monkeypatch.setattr(sftp, "PAUSE_SECONDS", 0)
    asyncserver.drop("drop/a.csv", "id\n7\n")
    big = asyncserver.drop("drop/big.csv", CONTENT)

    def reads(path: str, offset: int, block: bytes) -> bytes:
        if path == "big.csv" and offset >= 1_200_000:
            raise ConnectionAbortedError
        return block

    asyncserver.reads = reads
    good, bad = sorted(run(project, declare(project, asyncserver)), key=lambda r: r.status)[::-1]
    assert (good.status, bad.status) == ("loaded", "failed")
    assert "lost 3 times" in str(bad.error) and "goes on where it stopped" in str(bad.error)
    asyncserver.reads = as_it_is
    asyncserver.asked.clear()
    assert len(run(project, declare(project, asyncserver))) == 2
    assert min(o for p, o in asyncserver.asked if p == "big.csv") >= 1 << 20
    assert len(ids(project)) == 400_001
    # Another file in its place: what is here of the old one is of no use.
    asyncserver.reads = reads
    asyncserver.drop("drop/big.csv", CONTENT.replace("9", "8"), OLD + 1)
    run(project, declare(project, asyncserver))
    asyncserver.reads = as_it_is
    os.utime(big, (OLD + 2, OLD + 2))
    asyncserver.asked.clear()
    run(project, declare(project, asyncserver))
    assert min(o for p, o in asyncserver.asked if p == "big.csv") == 0
    assert len(ids(project)) == 400_001


@pytest.mark.parametrize("lie", [-2, 2])
def test_a_server_that_lies_about_a_size_is_not_believed(project, asyncserver, lie):
    asyncserver.drop("drop/a.csv", "id\n1\n2\n")
    asyncserver.size = lambda size: size + lie
    (result,) = run(project, declare(project, asyncserver))
    assert result.status == "failed"
    assert "the server says" in str(result.error)
    assert ids(project) == []
    asyncserver.size = lambda size: size
    run(project, declare(project, asyncserver))
    assert ids(project) == [1, 2]


@pytest.mark.parametrize("kind", ["asyncserver", "openssh_with_password"])
def test_a_password_comes_from_the_environment(project, request, kind):
    server = request.getfixturevalue(kind)
    server.drop("drop/a.csv", "id\n1\n")
    connection = server.connection(password="${PASSWORD}")
    del connection["private_key"], connection["passphrase"]
    table = declare(project, server, connection=connection)
    run(project, table)
    assert ids(project) == [1]
    with pytest.raises(
        FetchError, match=r"refused the login: check `connection\.username`"
    ) as wrong:
        places = {"project_root": project.root, "downloads": project.root / "d"}
        fetch.fetch(table, **places, env={**ENV, "PASSWORD": "wrong-one"})
    assert "wrong-one" not in str(wrong.value)


@given(st.text(st.characters(codec="utf-8"), max_size=400))
def test_no_name_that_a_server_gives_leads_out_of_the_folder(name):
    copy = remote_copies.file_name(name)
    assert Path("/d", copy).parent == Path("/d")
    assert len(copy.encode()) < 240 and "\0" not in copy
