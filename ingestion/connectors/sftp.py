"""Files on an SFTP server: what is new or changed is downloaded, the rest is already here.

A download that broke off goes on where it stopped, if the file there is still the same. A file
that is still being written is left alone. After the load was committed the files that were loaded
can be archived or deleted there; their copies here stay, so that they can be loaded again when
their declaration changes.
"""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingestion import checks, remote_copies, sftp_files, sftp_login
from ingestion.checks import Where
from ingestion.fetch import connection, resolve
from ingestion.remote_copies import Copy
from ingestion.sftp_files import SILENCE_SECONDS, Place
from ingestion.sources import Arrival, FetchError, SourceTable
from ingestion.windows import Window

if TYPE_CHECKING:
    pass

CONNECTION_KEYS = (
    "host", "port", "username", "private_key", "passphrase", "password", "known_hosts",
)  # fmt: skip
SECRET_KEYS = ("password", "passphrase")
WRITES = None
OPTION_KEYS = ("settle_seconds", "done_suffix", "ignore", "after", "archive")
AFTER = ("keep", "archive", "delete")
#: How often a run connects, when the connection is lost in the middle of a file.
CONNECTIONS = 3
PAUSE_SECONDS = 1


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
    since: str | Window | None = None,  # noqa: ARG001 - files are new or changed by size and time
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


def _place(table: SourceTable, downloads: Path, env: Mapping[str, str]) -> Place:
    if table.ingest is None:
        raise FetchError(f"{table.source}.{table.name} is not declared rightly: see its problem")
    host = resolve(table.ingest.connection.get("host", ""), env, "connection.host")
    if not host:
        raise FetchError("connector sftp needs `connection.host`")
    pattern = resolve(table.ingest.location, env, "location")
    return Place(
        host,
        table.ingest.location,
        pattern,
        downloads / table.source / table.name,
        table.ingest.options,
    )


async def _fetch(place: Place, login: Mapping[str, str], project_root: Path) -> tuple[Arrival, ...]:
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
        failures[place.location] = (
            f"the connection to {place.host} was lost {CONNECTIONS} times ({lost}): run again; "
            "what is here already is kept, and a file that broke off goes on where it stopped"
        )
    arrivals += [Arrival(Path(), origin, error) for origin, error in failures.items()]
    return tuple(arrivals)


async def _session(
    place: Place, login: Mapping[str, str], project_root: Path, copies: dict[str, Copy]
) -> dict[str, str]:
    """One connection's work; `copies` gets what was brought. Errors by origin."""
    import asyncssh

    failures = {}
    async with await sftp_login.connect(login, project_root) as ssh:
        sftp = await asyncio.wait_for(ssh.start_sftp_client(), sftp_login.CONNECT_SECONDS)
        found = await sftp_files.listed(sftp, place)
        for origin in [origin for origin, copy in copies.items() if not copy.settled]:
            if copies[origin].remote not in found:
                del copies[origin]  # gone from the server, and not by our hand
        changed = {
            remote: stamp
            for remote, stamp in found.items()
            if place.origin(remote) not in copies
            or copies[place.origin(remote)].stamp != stamp
            or copies[place.origin(remote)].settled
        }
        for remote, stamp in (await sftp_files.quiet(sftp, place, changed)).items():
            origin = place.origin(remote)
            try:
                copies[origin] = await sftp_files.bring(sftp, place, remote, stamp)
            except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
                raise
            except (asyncssh.SFTPError, sftp_files.BrokenFileError) as error:
                words = str(error) if isinstance(error, sftp_files.BrokenFileError) else None
                failures[origin] = (
                    f"downloading {remote} from {place.host} failed "
                    f"({words or sftp_login.name(error)}): run again, and look at the file there "
                    "if it fails again"
                )
                continue
            remote_copies.remember(place.folder, copies)
    return failures


async def _settle(
    place: Place,
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
                stamp = await sftp_files.stamp_of(sftp, copy.remote)
                if stamp is not None and stamp != copy.stamp:
                    continue
                # First: killed in between, a file that is still there is a new one to the next run,
                # which loads nothing of it again, and settles it.
                copies[copy.origin] = replace(copy, settled=True)
                remote_copies.remember(place.folder, copies)
                if stamp is not None:
                    await asyncio.wait_for(sftp_files.put_away(sftp, place, copy), SILENCE_SECONDS)
        except (asyncssh.Error, OSError, TimeoutError) as error:
            verb = place.options["after"]
            raise FetchError(
                f"`after: {verb}` on {place.host} failed ({sftp_login.name(error)}): check that "
                "the user may write there; the rows are loaded, and the next run tries again"
            ) from None


def _lost() -> tuple[type[BaseException], ...]:
    """The errors that say that the connection is gone, not that a file is wrong."""
    import asyncssh

    return asyncssh.Error, OSError, TimeoutError
