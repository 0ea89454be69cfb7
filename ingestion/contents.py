"""What has to be known of all bytes of a file: their hash and, of NDJSON, its keys and numbers.

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
_COLON, _QUOTE, _BLANK, _MINUS, _NINE = (np.uint8(ord(sign)) for sign in ':" -9')
#: How a colon that counts looks before a null, `":null` or `": null`, with every quote a blank:
#: without its second bit it is one.
_NULLS = tuple(np.uint32(int.from_bytes(text, "little")) for text in (b" :nu", b" : n"))
_QUOTE_IS_BLANK = np.uint32(0xFFFFFFFD)


@dataclass(frozen=True)
class Contents:
    """A file's BLAKE3 (None where it changed meanwhile), its bytes and, if counted, its keys.

    `keys` are colons behind a quote, a blank or a control sign: in JSON each key has one, and texts
    may have more. `numbers` are those of them with a number behind: right behind, or, where that is how
    the file begins, behind one blank.
    """

    content_hash: str | None
    size: int
    keys: int | None
    numbers: int | None


def read(path: Path, *, count: bool) -> Contents:
    """Read the file once."""
    counter = _Counter()
    content_hash, size = file_text.digest(path, counter.add if count else None)
    found = (counter.keys, counter.numbers) if count else (None, None)
    return Contents(content_hash, size, *found)


class _Counter:
    """Counts keys, and keys of numbers, in windows of bytes that overlap by three.

    All in NumPy, in memory that is there already: a window is in the processor's cache meanwhile.
    Whether a file writes a blank behind its colons is what its first keys say; a number that is
    written in the other way is not counted.
    """

    def __init__(self) -> None:
        self.keys = self.numbers = 0
        self._spaced: bool | None = None
        most = file_text.DIGESTED_BYTES
        self._space = (np.empty(most, bool), np.empty(most, bool), np.empty(most, np.uint8))

    def add(self, window: memoryview) -> None:
        """Look at each byte with the one before and the two behind it."""
        signs = np.frombuffer(window, np.uint8)
        keys, fits, value = (space[: len(signs) - 3] for space in self._space)
        np.equal(signs[1:-2], _COLON, out=keys)
        np.less_equal(signs[:-3], _QUOTE, out=fits)
        np.logical_and(keys, fits, out=keys)
        found = int(np.count_nonzero(keys))
        self.keys += found
        behind = signs[2:-1]
        if self._spaced is None and found:
            self._spaced = int(np.count_nonzero(keys & (behind == _BLANK))) * 2 > found
        if self._spaced:
            np.equal(behind, _BLANK, out=fits)
            np.logical_and(keys, fits, out=keys)
            behind = signs[3:]
        np.subtract(behind, _MINUS, out=value)
        np.less_equal(value, _NINE - _MINUS, out=fits)
        np.logical_and(keys, fits, out=keys)
        self.numbers += int(np.count_nonzero(keys))


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
