"""Log in to an SFTP server: the key or password declared and nothing else, its host key checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingestion.sources import FetchError

if TYPE_CHECKING:
    import asyncssh

CONNECT_SECONDS = 10


async def connect(
    connection: Mapping[str, str], project_root: Path
) -> asyncssh.SSHClientConnection:
    """A connection (no agent, no ~/.ssh/config). Raises FetchError naming the key to look at."""
    import asyncssh

    host, port = connection["host"], connection.get("port", "22")
    if not port.isdigit():
        raise FetchError(f"`connection.port: {port}` is not a number")
    options: dict[str, Any] = {"agent_path": None, "config": None, "client_keys": None}
    if connection.get("private_key"):
        options["client_keys"] = [_private_key(connection, project_root)]
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
            f"{host}:{port} cannot be reached ({name(error)}): check `connection.host` and "
            "`connection.port`, and that the server is up"
        ) from None


def _private_key(connection: Mapping[str, str], project_root: Path) -> asyncssh.SSHKey:
    import asyncssh

    path = project_root / Path(connection["private_key"]).expanduser()
    passphrase = connection.get("passphrase") or None
    try:
        return asyncssh.read_private_key(path, passphrase)
    except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        # asyncssh says it in either way, by the key's format.
        wrong = isinstance(error, asyncssh.KeyEncryptionError) or "decrypt" in str(error)
        if passphrase and wrong:
            raise FetchError(
                f"`connection.passphrase` does not open `connection.private_key` {path.name}: "
                "check the variable that it is taken from"
            ) from None
        needs = "passphrase" in str(error).lower()
        hint = (
            "it is encrypted, give `connection.passphrase`"
            if needs
            else "it is the path of a private key, relative to the project's root"
        )
        raise FetchError(
            f"`connection.private_key` {path.name} cannot be read ({name(error)}): {hint}"
        ) from None


def name(error: BaseException) -> str:
    """What kind of error it was, and the system's own words for it where there are any."""
    words = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
