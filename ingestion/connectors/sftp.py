"""Files on an SFTP server: what is new or changed is downloaded, the rest is already here.

Downloads appear by rename, and what a copy was made from (size and modification time) is kept
beside it in `.remote.json`: killed at any moment, the next fetch downloads a file again or not at
all, and never half of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from ingestion.fetch import resolve
from ingestion.sources import Arrival, FetchError, SourceTable

if TYPE_CHECKING:
    import asyncssh

CONNECTION_KEYS = ("host", "port", "username", "private_key", "password", "known_hosts")
CONNECT_SECONDS = 10
#: A server that sends nothing for so long, in the middle of a file, is gone.
SILENCE_SECONDS = 60
BLOCK_BYTES = 1 << 20
MEMORY = ".remote.json"


def fetch(
    table: SourceTable, *, project_root: Path, downloads: Path, env: Mapping[str, str]
) -> tuple[Arrival, ...]:
    """Download what `location` (a remote path or glob) matches and has changed.

    Copies are in `downloads/<source>/<table>/`. An origin is `sftp://host/remote/path`, without
    the port, so that a server on another port tomorrow is the same place.
    """
    if table.ingest is None:
        return ()
    pattern = resolve(table.ingest.location, env, "location")
    connection = {
        key: resolve(value, env, f"connection.{key}")
        for key, value in table.ingest.connection.items()
    }
    if not connection.get("host"):
        raise FetchError("connector sftp needs `connection.host`")
    folder = downloads / table.source / table.name
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_download(pattern, connection, project_root, folder))


async def _download(
    pattern: str, connection: Mapping[str, str], project_root: Path, folder: Path
) -> tuple[Arrival, ...]:
    import asyncssh

    host = connection["host"]
    async with await _connect(connection, project_root) as ssh:
        try:
            sftp = await asyncio.wait_for(ssh.start_sftp_client(), CONNECT_SECONDS)
            found = await asyncio.wait_for(sftp.glob(pattern), SILENCE_SECONDS)
        except asyncssh.SFTPNoSuchFile:
            raise FetchError(
                f"nothing on {host} matches `location: {pattern}`: look at the folder there, or "
                "correct `location`"
            ) from None
        except (asyncssh.Error, OSError, TimeoutError) as error:
            raise FetchError(
                f"listing `location: {pattern}` on {host} failed ({_name(error)}): check that the "
                "user may read that folder"
            ) from None
        arrivals = []
        for remote in sorted(str(path) for path in found):
            try:
                path = await _bring(sftp, remote, folder)
            except (asyncssh.Error, OSError, TimeoutError) as error:
                raise FetchError(
                    f"downloading {remote} from {host} failed ({_name(error)}): run again; what "
                    "was complete before is kept"
                ) from None
            if path is not None:
                arrivals.append(Arrival(path, f"sftp://{host}/{remote.lstrip('/')}"))
    if not arrivals:
        raise FetchError(f"`location: {pattern}` on {host} matches no file, only folders")
    return tuple(arrivals)


async def _connect(
    connection: Mapping[str, str], project_root: Path
) -> asyncssh.SSHClientConnection:
    """Log in, with the key or password given and nothing else (no agent, no ~/.ssh/config)."""
    import asyncssh

    host, port = connection["host"], connection.get("port", "22")
    if not port.isdigit():
        raise FetchError(f"`connection.port: {port}` is not a number")
    options: dict[str, Any] = {"agent_path": None, "config": None, "client_keys": None}
    if connection.get("private_key"):
        key = project_root / Path(connection["private_key"]).expanduser()
        try:
            options["client_keys"] = [asyncssh.read_private_key(key)]
        except (OSError, asyncssh.KeyImportError) as error:
            raise FetchError(
                f"`connection.private_key` {key.name} cannot be read ({_name(error)}): it is the "
                "path of an unencrypted private key, relative to the project's root"
            ) from None
    if connection.get("password"):
        options["password"] = connection["password"]
    known_hosts = connection.get("known_hosts", "~/.ssh/known_hosts")
    if known_hosts == "none":
        options["known_hosts"] = None
    else:
        path = project_root / Path(known_hosts).expanduser()
        if not path.is_file():
            raise FetchError(
                f"`connection.known_hosts` {known_hosts} is not a file: make it with "
                f"`ssh-keyscan -p {port} {host}`, checking the key with the server's owner"
            )
        options["known_hosts"] = str(path)
    if connection.get("username"):
        options["username"] = connection["username"]
    try:
        return await asyncssh.connect(
            host,
            int(port),
            connect_timeout=CONNECT_SECONDS,
            login_timeout=CONNECT_SECONDS,
            keepalive_interval=15,
            **options,
        )
    except asyncssh.HostKeyNotVerifiable:
        raise FetchError(
            f"{host} shows a host key that `connection.known_hosts` does not have: if the server "
            f"is right, add it with `ssh-keyscan -p {port} {host}`"
        ) from None
    except asyncssh.PermissionDenied:
        raise FetchError(
            f"{host} refused the login: check `connection.username` and `connection.private_key` "
            "or `connection.password`"
        ) from None
    except (asyncssh.Error, OSError, TimeoutError) as error:
        raise FetchError(
            f"{host}:{port} cannot be reached ({_name(error)}): check `connection.host` and "
            "`connection.port`, and that the server is up"
        ) from None


async def _bring(sftp: asyncssh.SFTPClient, remote: str, folder: Path) -> Path | None:
    """Download one file unless the copy here is of the same size and time; None for a folder."""
    import asyncssh

    attrs = await asyncio.wait_for(sftp.stat(remote), SILENCE_SECONDS)
    if attrs.type == asyncssh.FILEXFER_TYPE_DIRECTORY:
        return None
    # The server chose the name: only its last part is used, and never as a way out of the folder.
    name = PurePosixPath(remote).name
    prefix = hashlib.sha256(str(PurePosixPath(remote).parent).encode()).hexdigest()[:8]
    path = folder / f"{prefix}-{name}"
    memory = _remembered(folder)
    stamp = [attrs.size, attrs.mtime]
    if path.is_file() and memory.get(path.name) == stamp and path.stat().st_size == attrs.size:
        return path
    partial = folder / f".{path.name}.partial"
    with partial.open("wb") as target:
        async with await asyncio.wait_for(sftp.open(remote, "rb"), SILENCE_SECONDS) as source:
            while block := await asyncio.wait_for(source.read(BLOCK_BYTES), SILENCE_SECONDS):
                target.write(cast(bytes, block))
    after = await asyncio.wait_for(sftp.stat(remote), SILENCE_SECONDS)
    if partial.stat().st_size != after.size or [after.size, after.mtime] != stamp:
        partial.unlink()
        raise OSError("the file changed or broke off while it was read")
    partial.replace(path)
    memory[path.name] = stamp
    swap = folder / f"{MEMORY}.partial"
    swap.write_text(json.dumps(memory, indent=1, sort_keys=True), "utf-8")
    swap.replace(folder / MEMORY)
    return path


def _remembered(folder: Path) -> dict[str, Any]:
    try:
        remembered = json.loads((folder / MEMORY).read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # nothing known: everything is downloaded again, which is only slower
    return remembered if isinstance(remembered, dict) else {}


def _name(error: BaseException) -> str:
    """What kind of error it was, and the system's own words for it where there are any."""
    words = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
