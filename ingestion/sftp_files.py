"""The files of one SFTP server: listed, looked at, downloaded, put away."""

from __future__ import annotations

import asyncio
import fnmatch
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from ingestion import checks, remote_copies, sftp_login
from ingestion.remote_copies import Copy, Stamp
from ingestion.sources import FetchError

if TYPE_CHECKING:
    import asyncssh

#: A server that sends nothing for so long, in the middle of a file, is gone.
SILENCE_SECONDS = 60
BLOCK_BYTES = 1 << 20
#: Nobody writes to a file that is so old by its own account; younger ones are looked at twice.
OLD_SECONDS = 600
IGNORED = (".*", "*.tmp", "*.part", "*.partial", "*.filepart")


class BrokenFileError(Exception):
    """One file that cannot be had as it is; the others can."""


@dataclass(frozen=True)
class Place:
    """Where a table's files are: the server's name, the glob, the copies' folder, the options.

    `location` is the glob as it was declared.
    """

    host: str
    location: str
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


async def listed(sftp: asyncssh.SFTPClient, place: Place) -> dict[str, Stamp]:
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
        stamp = await stamp_of(sftp, remote)
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


async def quiet(
    sftp: asyncssh.SFTPClient, place: Place, changed: dict[str, Stamp]
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
    busy = {remote for remote in young if await stamp_of(sftp, remote) != changed[remote]}
    return {remote: stamp for remote, stamp in changed.items() if remote not in busy}


async def stamp_of(sftp: asyncssh.SFTPClient, remote: str) -> Stamp | None:
    """A file's size and modification time; None for a folder, and for what has gone meanwhile."""
    import asyncssh

    try:
        attrs = await asyncio.wait_for(sftp.stat(remote), SILENCE_SECONDS)
    except asyncssh.SFTPNoSuchFile:
        return None
    if attrs.type == asyncssh.FILEXFER_TYPE_DIRECTORY:
        return None
    return attrs.size, attrs.mtime


async def bring(sftp: asyncssh.SFTPClient, place: Place, remote: str, stamp: Stamp) -> Copy:
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
    after = await stamp_of(sftp, remote)
    if after != stamp:
        remote_copies.forget(place.folder, name)
        raise BrokenFileError("it changed while it was read")
    if said is not None and have != said:
        remote_copies.forget(place.folder, name)
        raise BrokenFileError(f"the server says {said} bytes and sends {min(have, said + 1)}")
    remote_copies.finish(place.folder, name)
    return Copy(name, place.origin(remote), remote, have, stamp[1])


async def put_away(sftp: asyncssh.SFTPClient, place: Place, copy: Copy) -> None:
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
