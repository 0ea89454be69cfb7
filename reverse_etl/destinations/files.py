"""Parquet or CSV files in a folder of this machine (or a mounted one): exactly once.

In `<path>/<sync>/` a batch is one file `date=<day>/<sync_run_id>__<number>.<format>` with the columns
operation (upsert | remove), key and the mapped fields, and beside it `<file>.json` with its rows and
SHA-256. Both are written under a hidden name and renamed, the manifest last: a reader waits for it.
A batch that is sent again finds its manifest, on whatever day it was, and writes nothing.

In mode `replace` a session collects its parts in a hidden folder, which its last batch renames to
`snapshot=<day>__<id>` with a manifest `_SUCCESS` in it; then `current.json`, the same manifest, is
replaced and says which snapshot is the one to read. The one before it is kept, older ones go.

In Parquet a field has its column's type where the batch says it; else one that fits the values of
the file, so that files of one sync may differ: read them with `union_by_name`. Days are UTC.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reverse_etl.csv_rows import csv_of
from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    Body,
    Capabilities,
    Destination,
    RejectError,
    RetryError,
    StopError,
)
from reverse_etl.parquet_rows import BadValueError, write_parquet

FORMATS = ("parquet", "csv")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
KEPT_SNAPSHOTS = 2


class Files(Destination):
    capabilities = Capabilities(
        max_rows=1_000_000,
        default_rows=50_000,
        modes=frozenset({"mirror", "upsert", "add_only", "replace", "events"}),
        removal=True,
        connection_keys=frozenset({"path"}),
        optional_connection_keys=frozenset({"format"}),
        reserved_fields=frozenset({"operation", "key", "date", "snapshot"}),
        max_bytes=256_000_000,
        exactly_once=True,
        cannot=(
            "Object stores (s3://…) cannot be written to: a rename is not atomic there. Files are "
            "not taken back: a removal is a row in a later file, and what earlier files say of "
            "somebody stays until they are deleted. Mode update_only."
        ),
    )

    def __init__(self, connection: Mapping[str, str]) -> None:
        if "://" in connection["path"]:
            raise StopError(
                "connection.path is an address; this destination writes to folders alone",
                code="bad_path",
            )
        self._root = Path(connection["path"]).expanduser().absolute()
        self._format = (connection.get("format") or FORMATS[0]).lower()
        if self._format not in FORMATS:
            raise StopError(f"connection.format is none of {', '.join(FORMATS)}", code="bad_format")

    def send(self, batch: Batch) -> BatchAnswer:
        with _troubles():
            folder = self._folder(batch)
            if batch.mode == "replace":
                return BatchAnswer(bytes_sent=self._add_to_session(folder, batch))
            name = self._name(batch)
            if any(folder.glob(f"date=*/{name}.json")):
                return BatchAnswer()
            for half in folder.glob(f"date=*/.{name}*.part"):
                half.unlink()
            # a try that was killed may have left its file, and not yet its manifest
            left = [path.parent for path in folder.glob(f"date=*/{name}")]
            day = left[0] if left else folder / f"date={_today()}"
            day.mkdir(exist_ok=True)
            return BatchAnswer(bytes_sent=self._put(day, name, batch))

    def bodies(self, batch: Batch) -> Sequence[Body]:
        if self._format == "csv":
            return [Body(self._name(batch), csv_of(batch).decode())]
        lines = (
            f'{{"operation":"{row.operation}","key":{json.dumps(row.key, ensure_ascii=False)},'
            f'"fields":{row.fields}}}'
            for row in batch.rows
        )
        return [Body(self._name(batch), "\n".join(lines))]

    def check(self) -> str:
        place = self._root if self._root.is_dir() else self._root.parent
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            raise StopError(
                "connection.path cannot be written: create the folder (its parent has to exist), "
                "or give this user the right to",
                code="bad_path",
            )
        return f"{self._format} files: the folder can be written"

    def _folder(self, batch: Batch) -> Path:
        """The sync's folder, made if it is missing, and certainly inside `path`."""
        for name in (batch.sync_name, batch.sync_run_id):
            if not NAME.fullmatch(name):
                raise StopError(
                    "the sync's name cannot be part of a file's name: use letters, digits and _",
                    code="bad_name",
                )
        self._root.mkdir(exist_ok=True)
        folder = self._root / batch.sync_name
        folder.mkdir(exist_ok=True)
        if not folder.resolve().is_relative_to(self._root.resolve()):
            raise StopError(
                "the sync's folder in connection.path is a link to somewhere else", code="bad_path"
            )
        return folder

    def _name(self, batch: Batch) -> str:
        if batch.mode == "replace":
            return f"part-{batch.position:05d}.{self._format}"
        return f"{batch.sync_run_id}__{batch.number:05d}.{self._format}"

    def _put(self, folder: Path, name: str, batch: Batch) -> int:
        """Write a batch's file, then its manifest; answers the file's size in bytes."""
        part = folder / f".{name}.part"
        if self._format == "csv":
            part.write_bytes(csv_of(batch))
        else:
            write_parquet(batch, part)
        _settle(part, folder / name)
        size = (folder / name).stat().st_size
        with (folder / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        manifest = {"file": name, "rows": len(batch.rows), "bytes": size, "sha256": digest}
        _write(folder / f"{name}.json", {**manifest, "sync": batch.sync_name})
        return size

    def _add_to_session(self, folder: Path, batch: Batch) -> int:
        mark = batch.idempotency_key[:16]
        for snapshot in folder.glob(f"snapshot=*__{mark}"):
            # renamed by a try that was killed before, or after, it said so
            self._publish(folder, snapshot)
            return 0
        session = folder / ".session"
        if batch.position == 1:
            shutil.rmtree(session, ignore_errors=True)
        session.mkdir(exist_ok=True)
        size = self._put(session, self._name(batch), batch)
        if batch.position >= batch.of:
            parts = [
                json.loads((session / f"part-{at:05d}.{self._format}.json").read_bytes())
                for at in range(1, batch.of + 1)
                if (session / f"part-{at:05d}.{self._format}.json").exists()
            ]
            rows = sum(part["rows"] for part in parts)
            if len(parts) < batch.of or (batch.total_rows and rows != batch.total_rows):
                raise StopError(
                    f"{rows} of the {batch.total_rows} rows of this replacing session are there, "
                    "so the snapshot before it stays: run the sync again with --full",
                    code="broken_session",
                )
            snapshot = folder / f"snapshot={_today()}__{mark}"
            about = {
                "sync": batch.sync_name,
                "sync_run_id": batch.sync_run_id,
                "snapshot": snapshot.name,
                "rows": rows,
                "files": parts,
            }
            _write(session / "_SUCCESS", about)
            _settle(session, snapshot)
            self._publish(folder, snapshot)
        return size

    def _publish(self, folder: Path, snapshot: Path) -> None:
        """Make a snapshot the current one, and delete those before the last."""
        _write(folder / "current.json", json.loads((snapshot / "_SUCCESS").read_bytes()))
        others = sorted(
            (path for path in folder.glob("snapshot=*") if path != snapshot),
            key=lambda path: path.stat().st_mtime_ns,
        )
        for old in others[: max(0, len(others) - KEPT_SNAPSHOTS + 1)]:
            shutil.rmtree(old)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _write(path: Path, manifest: Mapping[str, Any]) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(manifest, indent=2) + "\n")
    _settle(part, path)


def _settle(part: Path, path: Path) -> None:
    """Rename what was written, once it is on the disk; the name is on the disk afterwards too."""
    _flush(part)
    part.replace(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _troubles() -> Iterator[None]:
    """What the file system and the values do, as errors without a path or a value."""
    try:
        yield
    except BadValueError as error:
        raise RejectError(str(error), code="bad_value") from None
    except UnicodeError as error:
        raise RejectError(
            f"a value is no text ({type(error).__name__})", code="bad_value"
        ) from None
    except (PermissionError, FileNotFoundError, NotADirectoryError, FileExistsError) as error:
        raise StopError(
            "the folder in connection.path cannot be written: create it (its parent has to "
            f"exist), or give this user the right to ({type(error).__name__})",
            code="bad_path",
        ) from None
    except OSError as error:
        raise RetryError(
            f"the files in connection.path cannot be written ({error.strerror})",
            code="not_written",
            maybe_applied=False,
        ) from None
