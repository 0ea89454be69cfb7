"""What has to be known of a file before DuckDB reads it: its hash, header, end and encoding.

Only a file in another encoding, with broken characters that `encoding_fallback` explains, or with
mixed line ends is rewritten (to a temporary copy); every other file is read where it is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
from blake3 import blake3

from ingestion.sources import Format, LoadError

BLOCK_BYTES = 1 << 20
#: What fits into the processor's cache, for whoever looks at a block after it was hashed.
DIGESTED_BYTES = 1 << 17
#: Characters that DuckDB would read as a pattern in a path.
_PATTERN = frozenset("*?[]{}")
_BOM = b"\xef\xbb\xbf"


def digest(path: Path, also: Callable[[memoryview], None] | None = None) -> tuple[str, int]:
    """BLAKE3 of the file's bytes as they are, and their number.

    `also` is shown every block behind the three bytes before it; before the first are blanks. In a
    third of SHA-256's time, which for NDJSON was a tenth of the whole load.
    """
    hash_ = blake3()
    window = memoryview(bytearray(b"   " + bytes(DIGESTED_BYTES)))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(window[3:]):
            hash_.update(window[3 : size + 3])
            if also:
                also(window[: size + 3])
            window[:3] = bytes(window[size : size + 3])
    return hash_.hexdigest(), path.stat().st_size


def compression(path: Path, form: Format) -> str:
    """`none`, `gzip` or `zstd`: as declared, or from the file's name."""
    if form.compression != "auto":
        return form.compression
    return {".gz": "gzip", ".zst": "zstd"}.get(path.suffix.lower(), "none")


def opened(path: Path, packed: str) -> BinaryIO:
    """The file's content, decompressed while it is read."""
    stream = pa.input_stream(str(path), compression=None if packed == "none" else packed)
    return cast(BinaryIO, stream)


def header(path: Path, form: Format, packed: str) -> tuple[str, ...]:
    """The names in a CSV's first line, trimmed. Raises LoadError for an empty file or line."""
    with opened(path, packed) as stream:
        start = stream.read(BLOCK_BYTES).removeprefix(_BOM)
    text = start.decode("utf-8", "replace")
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=form.delimiter,
        quotechar=form.quote or None,
        quoting=csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE,
    )
    try:
        names = tuple(name.strip() for name in next(reader, []))
    except csv.Error:
        raise LoadError("its first line is not a readable CSV header") from None
    if not any(names):
        raise LoadError(
            "it is empty, or its first line is: a header was expected (declare `header: false` if "
            "the file has none)"
        )
    return names


def last_byte(path: Path, packed: str) -> bytes:
    """The last byte that is not white space, or b'' for an empty file."""
    if packed == "none":
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 65536))
            return file.read().rstrip()[-1:]
    tail = b""
    with opened(path, packed) as stream:
        while block := stream.read(BLOCK_BYTES):
            tail = block.rstrip()[-1:] or tail
    return tail


def unpacked_size(path: Path, packed: str) -> int:
    """The number of bytes of the content, decompressed."""
    if packed == "none":
        return path.stat().st_size
    size = 0
    with opened(path, packed) as stream:
        while block := stream.read(BLOCK_BYTES):
            size += len(block)
    return size


def prepared(
    path: Path, form: Format, packed: str, workspace: Path, *, one_newline: bool = False
) -> tuple[Path, str]:
    """The path that DuckDB is to read, and its compression.

    A copy in UTF-8 where the file is not (line by line: only lines that are not valid UTF-8 are
    read as `encoding_fallback`); with `one_newline`, one in which every line ends alike.
    """
    fallback = form.encoding_fallback
    utf8 = form.encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")
    if not utf8 or one_newline or (fallback and not _is_utf8(path, packed)):
        copy = workspace / ("content" + (".ndjson" if form.type == "ndjson" else ".text"))
        with copy.open("wb") as target:
            for text in _decoded(path, packed, form.encoding if not utf8 else None, fallback):
                data = text if isinstance(text, bytes) else text.encode()
                if one_newline:
                    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                target.write(data)
        return copy, "none"
    return plain_name(path, workspace), packed


def plain_name(path: Path, workspace: Path) -> Path:
    """The path, or a link to it where DuckDB would read the path itself as a pattern."""
    if not _PATTERN & set(str(path)):
        return path
    link = workspace / "link"
    link.symlink_to(path)
    return link


def _is_utf8(path: Path, packed: str) -> bool:
    with opened(path, packed) as stream:
        lines = iter(lambda: stream.read(BLOCK_BYTES), b"")
        rest = b""
        for block in lines:
            # Cut at a line's end, so that no character is split between two blocks.
            head, newline, rest_ = (rest + block).rpartition(b"\n")
            rest = rest_
            try:
                (head + newline).decode("utf-8")
            except UnicodeDecodeError:
                return False
        try:
            rest.decode("utf-8")
        except UnicodeDecodeError:
            return False
    return True


def _decoded(
    path: Path, packed: str, encoding: str | None, fallback: str | None
) -> Iterator[str | bytes]:
    with opened(path, packed) as stream:
        if encoding is not None:
            reader = io.TextIOWrapper(stream, encoding, newline="")
            try:
                while text := reader.read(BLOCK_BYTES):
                    yield text
            except UnicodeDecodeError as error:
                raise LoadError(
                    f"it is not {encoding} as `format.encoding` says, from character "
                    f"{error.start} of a block: correct `encoding`"
                ) from None
            return
        for line in _lines(stream):
            try:
                line.decode("utf-8")
                yield line
            except UnicodeDecodeError:
                yield line.decode(fallback, "replace") if fallback else line


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines with their newline; a `\\r\\n` is never split between two of them."""
    rest = b""
    while block := stream.read(BLOCK_BYTES):
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest


def numbered_lines(path: Path, packed: str, wanted: set[int]) -> dict[int, tuple[int, str]]:
    """For record numbers (from 1, blank lines not counted): the line's number and text."""
    found: dict[int, tuple[int, str]] = {}
    record = 0
    with opened(path, packed) as stream:
        for number, line in enumerate(_lines(stream), 1):
            if line.strip(b" \t\r\n"):
                record += 1
                if record in wanted:
                    text = line.rstrip(b"\r\n").decode("utf-8", "replace")
                    found[record] = (number, text[:4000])
    return found
