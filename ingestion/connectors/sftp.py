"""Files on an SFTP server: what is new or changed is downloaded, the rest is already here.

A download that broke off goes on where it stopped, if the file there is still the same. A file
that is still being written is left alone. After the load was committed the files that were loaded
can be archived or deleted there; their copies here stay, so that they can be loaded again when
their declaration changes.
"""

from __future__ import annotations

import asyncio
import fnmatch
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from ingestion import checks, remote_copies, sftp_login
from ingestion.checks import Where
from ingestion.fetch import connection, resolve
from ingestion.remote_copies import Copy, Stamp
from ingestion.sources import Arrival, FetchError, SourceTable

if TYPE_CHECKING:
    import asyncssh

CONNECTION_KEYS = (
    "host", "port", "username", "private_key", "passphrase", "password", "known_hosts",
)  # fmt: skip
SECRET_KEYS = ("password", "passphrase")
WRITES = None
OPTION_KEYS = ("settle_seconds", "done_suffix", "ignore", "after", "archive")
AFTER = ("keep", "archive", "delete")
#: A server that sends nothing for so long, in the middle of a file, is gone.
SILENCE_SECONDS = 60
BLOCK_BYTES = 1 << 20
#: How often a run connects, when the connection is lost in the middle of a file.
CONNECTIONS = 3
PAUSE_SECONDS = 1
#: Nobody writes to a file that is so old by its own account; younger ones are looked at twice.
OLD_SECONDS = 600
IGNORED = (".*", "*.tmp", "*.part", "*.partial", "*.filepart")


class _BrokenFileError(Exception):
    """One file that cannot be had as it is; the others can."""


@dataclass(frozen=True)
class _Place:
    """Where a table's files are: the server's name, the glob, the copies' folder, the options."""

    host: str
    pattern: str
    folder: Path
    options: Mapping[str, Any]

    def origin(self, remote: str) -> str:
        """Without the port: a server on another port tomorrow is the same place."""
        return f"sftp://{self.host}/{remote.lstrip('/')}"

    @property
    def keeps(self) -> bool:
        """Whether loaded files stay on the server."""
        return bool(self.options.get("after", "keep") == "keep")

    def archive(self, remote: str) -> PurePosixPath:
        """The folder that a file is moved into: `archive`, seen from the file's own folder."""
        return PurePosixPath(remote).parent / str(self.options.get("archive", "archive"))


def check(block: Mapping[str, Any], at: Where) -> None:
    """Raise WrongError for a missing host or an option that means nothing."""
    if not block["connection"].get("host"):
        raise checks.WrongError((*at, "connection"), "connector sftp needs `connection.host`")
    checks.number(block, "settle_seconds", at)
    checks.one_of(block, "after", AFTER, at)
    checks.text(block, "done_suffix", at)
    checks.text(block, "archive", at)
    checks.texts(block.get("ignore"), (*at, "ignore"))
    if "archive" in block and block.get("after") != "archive":
        raise checks.WrongError((*at, "archive"), "`archive` is for `after: archive`: give that")


def fetch(
    table: SourceTable,
    *,
    project_root: Path,
    downloads: Path,
    env: Mapping[str, str],
    since: str | None = None,  # noqa: ARG001 - files are new or changed by size and time
) -> tuple[Arrival, ...]:
    """Download what `location` (a remote path or glob) matches and has changed.

    Copies are in `downloads/<source>/<table>/`. An origin is `sftp://host/remote/path`.
    """
    place, login = _place(table, downloads, env), connection(table, env)
    place.folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_fetch(place, login, project_root))


def settle(
    table: SourceTable,
    arrivals: Iterable[Arrival],
    *,
    project_root: Path,
    downloads: Path,
    env: Mapping[str, str],
) -> None:
    """Archive or delete on the server the files that these arrivals are copies of.

    A file that has changed there since it was downloaded is left: it is new.
    """
    place = _place(table, downloads, env)
    copies = remote_copies.remembered(place.folder)
    due = [copies[a.origin] for a in arrivals if a.origin in copies]
    due = [copy for copy in due if not copy.settled]
    if due and not place.keeps:
        asyncio.run(_settle(place, connection(table, env), project_root, due, copies))


def _place(table: SourceTable, downloads: Path, env: Mapping[str, str]) -> _Place:
    if table.ingest is None:
        raise FetchError(f"{table.source}.{table.name} is not declared rightly: see its problem")
    host = resolve(table.ingest.connection.get("host", ""), env, "connection.host")
    if not host:
        raise FetchError("connector sftp needs `connection.host`")
    pattern = resolve(table.ingest.location, env, "location")
    return _Place(host, pattern, downloads / table.source / table.name, table.ingest.options)


async def _fetch(
    place: _Place, login: Mapping[str, str], project_root: Path
) -> tuple[Arrival, ...]:
    """Connect, list and download; again, when the connection was lost on the way."""
    copies = remote_copies.remembered(place.folder)
    failures: dict[str, str] = {}
    lost: str | None = None
    for attempt in range(CONNECTIONS):
        try:
            failures, lost = await _session(place, login, project_root, copies), None
            break
        except _lost() as error:
            lost = sftp_login.name(error)
        except FetchError as error:
            if attempt == 0:
                raise
            lost = str(error)
        await asyncio.sleep(PAUSE_SECONDS)
    arrivals = [
        Arrival(place.folder / copy.name, copy.origin)
        for copy in copies.values()
        if copy.origin not in failures and fnmatch.fnmatchcase(copy.remote, place.pattern)
    ]
    if lost is not None:
        failures[place.origin(place.pattern)] = (
            f"the connection to {place.host} was lost {CONNECTIONS} times ({lost}): run again; "
            "what is here already is kept, and a file that broke off goes on where it stopped"
        )
    arrivals += [Arrival(Path(), origin, error) for origin, error in failures.items()]
    return tuple(arrivals)


async def _session(
    place: _Place, login: Mapping[str, str], project_root: Path, copies: dict[str, Copy]
) -> dict[str, str]:
    """One connection's work; `copies` gets what was brought. Errors by origin."""
    import asyncssh

    failures = {}
    async with await sftp_login.connect(login, project_root) as ssh:
        sftp = await asyncio.wait_for(ssh.start_sftp_client(), sftp_login.CONNECT_SECONDS)
        found = await _listed(sftp, place)
        for origin in [origin for origin, copy in copies.items() if not copy.settled]:
            if copies[origin].remote in found:
                continue
            if place.keeps:
                del copies[origin]  # gone from the server, by somebody else's hand
            else:  # by ours, and then we were killed before that was written down
                copies[origin] = replace(copies[origin], settled=True)
        changed = {
            remote: stamp
            for remote, stamp in found.items()
            if place.origin(remote) not in copies
            or copies[place.origin(remote)].stamp != stamp
            or copies[place.origin(remote)].settled
        }
        for remote, stamp in (await _quiet(sftp, place, changed)).items():
            origin = place.origin(remote)
            try:
                copies[origin] = await _bring(sftp, place, remote, stamp)
            except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
                raise
            except (asyncssh.SFTPError, _BrokenFileError) as error:
                words = str(error) if isinstance(error, _BrokenFileError) else None
                failures[origin] = (
                    f"downloading {remote} from {place.host} failed "
                    f"({words or sftp_login.name(error)}): run again, and look at the file there "
                    "if it fails again"
                )
                continue
            remote_copies.remember(place.folder, copies)
    return failures


async def _listed(sftp: asyncssh.SFTPClient, place: _Place) -> dict[str, Stamp]:
    """The files that match, in order, each with its size and modification time."""
    import asyncssh

    try:
        names = [str(n) for n in await asyncio.wait_for(sftp.glob(place.pattern), SILENCE_SECONDS)]
    except asyncssh.SFTPNoSuchFile:
        if not place.keeps:
            return {}  # what was there was archived or deleted
        raise FetchError(
            f"nothing on {place.host} matches `location: {place.pattern}`: look at the folder "
            "there, or correct `location`"
        ) from None
    except asyncssh.SFTPPermissionDenied as error:
        raise FetchError(
            f"listing `location: {place.pattern}` on {place.host} failed "
            f"({sftp_login.name(error)}): check that the user may read that folder"
        ) from None
    done = place.options.get("done_suffix")
    ignored = (*IGNORED, *checks.texts(place.options.get("ignore"), ("ignore",)))
    found: dict[str, Stamp] = {}
    files = 0
    for remote in sorted(names):
        path = PurePosixPath(remote)
        stamp = await _stamp(sftp, remote)
        if stamp is None:
            continue
        files += 1
        if any(fnmatch.fnmatchcase(path.name, pattern) for pattern in ignored):
            continue
        if not place.keeps and path.parent.name == PurePosixPath(place.archive("/x")).name:
            continue
        if done and remote.endswith(done):
            continue
        if done and not await asyncio.wait_for(sftp.exists(remote + done), SILENCE_SECONDS):
            continue
        found[remote] = stamp
    if not found and not files and place.keeps:
        raise FetchError(
            f"`location: {place.pattern}` on {place.host} matches no file, only folders"
        )
    return found


async def _quiet(
    sftp: asyncssh.SFTPClient, place: _Place, changed: dict[str, Stamp]
) -> dict[str, Stamp]:
    """Those of the changed files that nobody is writing to, after looking twice at young ones."""
    wait = int(place.options.get("settle_seconds", 2))
    now = time.time()
    young = [
        remote
        for remote, (_, mtime) in changed.items()
        if mtime is None or mtime > now - max(OLD_SECONDS, wait)
    ]
    if not young or not wait:
        return changed
    await asyncio.sleep(wait)
    busy = {remote for remote in young if await _stamp(sftp, remote) != changed[remote]}
    return {remote: stamp for remote, stamp in changed.items() if remote not in busy}


async def _stamp(sftp: asyncssh.SFTPClient, remote: str) -> Stamp | None:
    """A file's size and modification time; None for a folder, and for what has gone meanwhile."""
    import asyncssh

    try:
        attrs = await asyncio.wait_for(sftp.stat(remote), SILENCE_SECONDS)
    except asyncssh.SFTPNoSuchFile:
        return None
    if attrs.type == asyncssh.FILEXFER_TYPE_DIRECTORY:
        return None
    return attrs.size, attrs.mtime


async def _bring(sftp: asyncssh.SFTPClient, place: _Place, remote: str, stamp: Stamp) -> Copy:
    """Download one file, from where an earlier download of the same state of it broke off."""
    name = remote_copies.file_name(remote)
    partial, have = remote_copies.begun(place.folder, name, stamp)
    said = stamp[0]
    with partial.open("ab") as target:
        async with await asyncio.wait_for(sftp.open(remote, "rb"), SILENCE_SECONDS) as source:
            while block := await asyncio.wait_for(source.read(BLOCK_BYTES, have), SILENCE_SECONDS):
                target.write(cast(bytes, block))
                have += len(block)
                if said is not None and have > said:
                    break
    after = await _stamp(sftp, remote)
    if after != stamp:
        remote_copies.forget(place.folder, name)
        raise _BrokenFileError("it changed while it was read")
    if said is not None and have != said:
        remote_copies.forget(place.folder, name)
        raise _BrokenFileError(f"the server says {said} bytes and sends {min(have, said + 1)}")
    remote_copies.finish(place.folder, name)
    return Copy(name, place.origin(remote), remote, have, stamp[1])


async def _settle(
    place: _Place,
    login: Mapping[str, str],
    project_root: Path,
    due: list[Copy],
    copies: dict[str, Copy],
) -> None:
    import asyncssh

    async with await sftp_login.connect(login, project_root) as ssh:
        try:
            sftp = await asyncio.wait_for(ssh.start_sftp_client(), sftp_login.CONNECT_SECONDS)
            for copy in due:
                stamp = await _stamp(sftp, copy.remote)
                if stamp is not None and stamp != copy.stamp:
                    continue
                if stamp is not None:
                    await asyncio.wait_for(_put_away(sftp, place, copy), SILENCE_SECONDS)
                copies[copy.origin] = replace(copy, settled=True)
                remote_copies.remember(place.folder, copies)
        except (asyncssh.Error, OSError, TimeoutError) as error:
            verb = place.options["after"]
            raise FetchError(
                f"`after: {verb}` on {place.host} failed ({sftp_login.name(error)}): check that "
                "the user may write there; the rows are loaded, and the next run tries again"
            ) from None


async def _put_away(sftp: asyncssh.SFTPClient, place: _Place, copy: Copy) -> None:
    """Move a file, and its marker, into the archive without replacing anything there; or delete."""
    marker = copy.remote + str(place.options.get("done_suffix", ""))
    # The marker goes first: a file without one is not taken for a new one.
    for remote in dict.fromkeys((marker, copy.remote)):
        if remote != copy.remote and not await sftp.exists(remote):
            continue
        if place.options["after"] == "delete":
            await sftp.remove(remote)
            continue
        folder = place.archive(copy.remote)
        await sftp.makedirs(str(folder), exist_ok=True)
        target, name = folder / PurePosixPath(remote).name, PurePosixPath(remote).name
        number = 1
        while await sftp.exists(str(target)):
            number += 1
            target = folder / f"{copy.mtime}-{number}-{name}"
        await sftp.rename(remote, str(target))


def _lost() -> tuple[type[BaseException], ...]:
    """The errors that say that the connection is gone, not that a file is wrong."""
    import asyncssh

    return asyncssh.Error, OSError, TimeoutError
