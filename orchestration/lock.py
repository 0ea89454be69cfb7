"""One writer at a time: a lock on MAINSTEM_HOME that says who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path


class BusyError(Exception):
    """Somebody else is writing; the message says who, since when, and what to do."""


@contextmanager
def hold(path: Path, purpose: str, *, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the lock at `path` while the block runs.

    The kernel drops it when the process ends, however it ends, so no lock outlives a kill.
    Raises BusyError if it is still taken after `wait_seconds`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_seconds
    with path.open("a+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise BusyError(_busy_message(path)) from None
                time.sleep(0.2)
        file.seek(0)
        file.truncate()
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        json.dump({"pid": os.getpid(), "purpose": purpose, "since": now}, file)
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.truncate()


def holder(path: Path) -> dict[str, str] | None:
    """Who holds the lock (`pid`, `purpose`, `since`), or None when it is free."""
    if not path.exists():
        return None
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = file.read()
            return dict(json.loads(text)) if text else {"purpose": "a process that just started"}
    return None


def _busy_message(path: Path) -> str:
    who = holder(path) or {}
    return (
        f"{path.parent} is being written by {who.get('purpose', 'another process')}"
        f" (process {who.get('pid', '?')}, since {who.get('since', 'a moment ago')})."
        " Wait for it to end, or end that process: it can be run again safely."
        " Reading (sql, explain, status) needs no waiting."
    )
