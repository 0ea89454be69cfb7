"""CSV files dropped into a folder of an SFTP server (their cells: see reverse_etl.csv_rows).

Each batch is one delta file `<sync>__<sync_run_id>__<number>.csv` with the columns `operation`
(upsert | remove), `key` and the mapped fields. It is written under a temporary name (leading dot,
`.part`) and renamed; then, the same way, `<file>.json` with its row count and SHA-256 is put beside
it. A reader waits for the `.json`. The names follow from the run, so that sending again overwrites
and never repeats.

In mode `replace` the files hold the whole audience, without the column `operation`, in as many parts
`<sync>__<sync_run_id>__full_<part>_of_<parts>.csv` as there are batches. With the last part
`<sync>__current.json` is replaced, which names the parts: a reader begins there.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncssh

from reverse_etl.csv_rows import csv_of
from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    Body,
    Capabilities,
    Destination,
    RetryError,
    StopError,
)

CONNECT_SECONDS = 10.0
TRANSFER_SECONDS = 300.0


class SftpCsv(Destination):
    capabilities = Capabilities(
        max_rows=100_000,
        default_rows=100_000,
        modes=frozenset({"upsert", "mirror", "replace"}),
        removal=True,
        connection_keys=frozenset({"host", "username", "known_hosts", "path"}),
        optional_connection_keys=frozenset(
            {"port", "private_key", "password", "timeout_seconds"},
        ),
        secret_keys=frozenset({"password"}),
        reserved_fields=frozenset({"operation", "key"}),
        cannot=(
            "Files are not taken back: a removal is a row in a later file, and what earlier files "
            "say of somebody stays until they are deleted."
        ),
    )

    def __init__(self, connection: Mapping[str, str]) -> None:
        self._folder = connection["path"].rstrip("/")
        try:
            port = int(connection.get("port") or 22)
        except ValueError as error:
            raise StopError("connection.port is not a number", code="bad_port") from error
        try:
            self._seconds = float(connection.get("timeout_seconds") or TRANSFER_SECONDS)
        except ValueError as error:
            raise StopError(
                "connection.timeout_seconds is not a number", code="bad_timeout"
            ) from error
        self._port = port
        self._connection = dict(connection)

    def send(self, batch: Batch) -> BatchAnswer:
        content = csv_of(batch)
        name = _file_name(batch)
        manifest = {
            "file": name,
            "sync": batch.sync_name,
            "rows": len(batch.rows),
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        files = {name: content, f"{name}.json": _json(manifest)}
        if batch.mode == "replace" and batch.position >= batch.of:
            current = {
                "sync": batch.sync_name,
                "sync_run_id": batch.sync_run_id,
                "rows": batch.total_rows,
                "files": [_file_name(batch, part) for part in range(1, batch.of + 1)],
            }
            files[f"{batch.sync_name}__current.json"] = _json(current)
        deadline = self._seconds + CONNECT_SECONDS
        try:
            asyncio.run(asyncio.wait_for(self._put(files), deadline))
        except TimeoutError:
            raise RetryError(
                f"the transfer took longer than {deadline:g} s (connection.timeout_seconds)",
                code="timeout",
                maybe_applied=True,
            ) from None
        return BatchAnswer(bytes_sent=sum(map(len, files.values())))

    def bodies(self, batch: Batch) -> Sequence[Body]:
        return [Body(_file_name(batch), csv_of(batch).decode())]

    async def _put(self, files: Mapping[str, bytes]) -> None:
        """Write each file under a temporary name and rename it, in the order given."""
        try:
            async with (
                await self._connect() as connection,
                connection.start_sftp_client() as sftp,
            ):
                await _ensure_folder(sftp, self._folder)
                for name, content in files.items():
                    await _put_file(sftp, f"{self._folder}/", name, content)
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPPermissionDenied):
            raise StopError(
                "the folder in connection.path cannot be written: create it (its parent has to "
                "exist), or give this user the right to",
                code="bad_path",
            ) from None
        except (asyncssh.Error, OSError) as error:
            raise RetryError(
                f"the transfer broke ({type(error).__name__})",
                code="connection_lost",
                maybe_applied=True,
            ) from None

    async def _connect(self) -> asyncssh.SSHClientConnection:
        login = self._connection
        try:
            return await asyncssh.connect(
                host=login["host"],
                port=self._port,
                username=login["username"],
                password=login.get("password") or None,
                client_keys=_client_keys(login.get("private_key") or ""),
                known_hosts=_known_hosts(login["known_hosts"]),
                # what is on the machine (an agent, ~/.ssh/config) must not decide where rows go
                config=[],
                agent_path=None,
                connect_timeout=CONNECT_SECONDS,
                login_timeout=CONNECT_SECONDS,
            )
        except asyncssh.HostKeyNotVerifiable:
            raise StopError(
                "the server's host key is not the one in connection.known_hosts",
                code="unknown_host_key",
            ) from None
        except asyncssh.PermissionDenied:
            raise StopError(
                "the server refused the login: look at connection.username and "
                "connection.private_key or connection.password",
                code="refused_login",
            ) from None
        except (asyncssh.Error, OSError):
            raise RetryError(
                "the server in connection.host and connection.port cannot be reached",
                code="unreachable",
                maybe_applied=False,
            ) from None


def _file_name(batch: Batch, part: int = 0) -> str:
    """The name of a batch's file; in mode replace of the part that is asked for, else of its own."""
    start = f"{batch.sync_name}__{batch.sync_run_id}"
    if batch.mode == "replace":
        return f"{start}__full_{part or batch.position:05d}_of_{batch.of:05d}.csv"
    return f"{start}__{batch.number:05d}.csv"


def _json(manifest: Mapping[str, object]) -> bytes:
    return json.dumps(manifest, indent=2).encode() + b"\n"


def _client_keys(private_key: str) -> list[asyncssh.SSHKey] | None:
    if not private_key:
        return None
    try:
        return [asyncssh.read_private_key(Path(private_key).expanduser())]
    except (OSError, asyncssh.KeyImportError):
        raise StopError(
            "connection.private_key does not name a readable private key file", code="bad_key"
        ) from None


def _known_hosts(declared: str) -> str | None:
    """The known-hosts file; None (no check at all) only where `none` is written out."""
    if declared.strip().lower() == "none":
        return None
    path = Path(declared).expanduser()
    if not path.is_file():
        raise StopError(
            "connection.known_hosts does not name a file: give one (ssh-keyscan writes it), or "
            "write none to trust any server",
            code="bad_known_hosts",
        )
    return str(path)


async def _ensure_folder(sftp: asyncssh.SFTPClient, folder: str) -> None:
    """Make the last part of the path; a missing parent is rather a typing error."""
    if folder and not await sftp.isdir(folder):
        await sftp.mkdir(folder)


async def _put_file(sftp: asyncssh.SFTPClient, folder: str, name: str, content: bytes) -> None:
    part = f"{folder}.{name}.part"
    async with sftp.open(part, "wb") as file:
        await file.write(content)
    try:
        await sftp.posix_rename(part, folder + name)
    except asyncssh.SFTPOpUnsupported:
        # plain SFTP renames onto nothing only, so an earlier try of the same file goes first
        with contextlib.suppress(asyncssh.SFTPNoSuchFile):
            await sftp.remove(folder + name)
        await sftp.rename(part, folder + name)
