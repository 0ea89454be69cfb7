"""What is remembered of files copied from elsewhere: which state of them the copy here is of.

Kept beside the copies in `.remote.json`, which is replaced by rename: killed at any moment, the
next fetch downloads a file again or not at all, and never takes half of one for whole.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

MEMORY = ".remote.json"
Stamp = tuple[int | None, int | None]


@dataclass(frozen=True)
class Copy:
    """A copy's file name, where it is from, and the (size, mtime) there; settled: gone from there."""

    name: str
    origin: str
    remote: str
    size: int | None
    mtime: int | None
    settled: bool = False

    @property
    def stamp(self) -> Stamp:
        """The remote file's size in bytes and modification time in seconds since 1970."""
        return self.size, self.mtime


def file_name(remote: str) -> str:
    """The name of a copy: the server's own last part, never a way out of the folder."""
    path = PurePosixPath(remote)
    # A file system takes 255 bytes; the end of the name says how the file is packed.
    name = path.name.replace("\0", "").encode()[-180:].decode("utf-8", "ignore")
    known = path.parent if len(path.name.encode()) <= 180 else path
    return f"{hashlib.sha256(str(known).encode()).hexdigest()[:8]}-{name}"


def remembered(folder: Path) -> dict[str, Copy]:
    """Copies by origin, those whose file is whole; nothing where the memory cannot be read."""
    try:
        listed = json.loads((folder / MEMORY).read_text("utf-8"))
        copies = [Copy(**entry) for entry in listed]
    except (OSError, ValueError, TypeError):
        return {}  # everything is downloaded again, which is only slower
    return {copy.origin: copy for copy in copies if _is_whole(folder / copy.name, copy.size)}


def remember(folder: Path, copies: dict[str, Copy]) -> None:
    """Write the memory anew."""
    swap = folder / f"{MEMORY}.partial"
    listed = [asdict(copies[origin]) for origin in sorted(copies)]
    swap.write_text(json.dumps(listed, indent=1), "utf-8")
    swap.replace(folder / MEMORY)


def begun(folder: Path, name: str, stamp: Stamp) -> tuple[Path, int]:
    """The partial copy of a file in that state, and how many bytes of it are here already.

    A partial copy of another state is thrown away.
    """
    partial, sidecar = folder / f".{name}.partial", folder / f".{name}.state.json"
    try:
        state = json.loads(sidecar.read_text("utf-8"))
        have = partial.stat().st_size
        if tuple(state) == stamp and stamp[0] is not None and have <= stamp[0]:
            return partial, have
    except (OSError, ValueError, TypeError):
        pass
    partial.unlink(missing_ok=True)
    sidecar.write_text(json.dumps(stamp), "utf-8")
    return partial, 0


def forget(folder: Path, name: str) -> None:
    """Throw a partial copy away."""
    (folder / f".{name}.partial").unlink(missing_ok=True)
    (folder / f".{name}.state.json").unlink(missing_ok=True)


def finish(folder: Path, name: str) -> Path:
    """Let a complete partial copy appear under its name."""
    path = folder / name
    (folder / f".{name}.partial").replace(path)
    (folder / f".{name}.state.json").unlink(missing_ok=True)
    return path


def _is_whole(path: Path, size: int | None) -> bool:
    return path.is_file() and path.stat().st_size == size
