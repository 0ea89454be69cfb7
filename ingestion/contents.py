"""What has to be known of all bytes of a file: their hash and, of NDJSON, how many keys they have.

Both come of one pass. Where the file has been lying still it is made beside DuckDB's own, in a
thread; where it changed a moment ago, before it, so that no row can be newer than the hash.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ingestion import file_text

_SETTLED_NS = 2_000_000_000
#: A colon as the second of two bytes, and the greatest first byte that still counts, a quote.
_COLON_SECOND, _QUOTE = np.uint16(ord(":") << 8), np.uint16(ord('"'))
#: How a colon that counts looks before a null, `":null` or `": null`, with every quote a blank:
#: without its second bit it is one.
_NULLS = tuple(np.uint32(int.from_bytes(text, "little")) for text in (b" :nu", b" : n"))
_QUOTE_IS_BLANK = np.uint32(0xFFFFFFFD)


@dataclass(frozen=True)
class Contents:
    """A file's BLAKE3 (None where it changed meanwhile), its bytes, and its keys if counted."""

    content_hash: str | None
    size: int
    keys: int | None


def read(path: Path, *, count: bool) -> Contents:
    """Read the file once."""
    keys = 0
    last = b" "

    def add(block: memoryview) -> None:
        nonlocal keys, last
        keys += _colons(last, block)
        last = bytes(block[-1:])

    content_hash, size = file_text.digest(path, add if count else None)
    return Contents(content_hash, size, keys if count else None)


def null_keys(path: Path) -> int:
    """How many of those keys are before a null, written as JSON writers write it."""
    found, rest = 0, b""
    with path.open("rb", buffering=0) as file:
        while block := file.read(file_text.DIGESTED_BYTES):
            text = rest + block
            for start in range(min(4, len(text))):
                fours = np.frombuffer(text, "<u4", max(0, (len(text) - start) // 4), start)
                fours = fours & _QUOTE_IS_BLANK
                found += sum(int(np.count_nonzero(fours == null)) for null in _NULLS)
            rest = text[-3:]
    return found


def _colons(before: bytes, block: memoryview) -> int:
    """Colons in a block behind a quote, a blank or a control sign; `before` is the byte before it.

    In JSON the colon after a key comes behind one of those. Two bytes at a time are compared as one
    number, from the first byte on and from the second: a sixth of the time of signs by themselves.
    """
    found = int(block[0] == ord(":") and before <= b'"')
    for start in (0, 1):
        twos = np.frombuffer(block, "<u2", (len(block) - start) // 2, start)
        found += int(np.count_nonzero(twos - _COLON_SECOND <= _QUOTE))
    return found


@contextmanager
def reading(path: Path, *, count: bool) -> Iterator[Callable[[], Contents]]:
    """Read the file in a thread of its own, or at once; give what waits for it and has its result.

    Without a hash where the file was changed before the caller asked for it.
    """
    before = path.stat()
    if time.time_ns() - before.st_mtime_ns < _SETTLED_NS:
        at_once = read(path, count=count)
        yield lambda: at_once
        return
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(read, path, count=count)

        def found() -> Contents:
            result, after = future.result(), path.stat()
            marks = [(s.st_size, s.st_mtime_ns, s.st_ino) for s in (before, after)]
            return result if marks[0] == marks[1] else replace(result, content_hash=None)

        yield found
