"""One text file into a table, whatever its encoding, what separates its cells, and its header."""

from __future__ import annotations

import codecs
import csv
import glob
import io
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from identity.given import FileError, GivenFile

DELIMITERS = ",\t;|"
CHUNK_BYTES = 1 << 20
CELL_CHARACTERS = 1 << 24
HEADER_LINES = 100  # as far as a header with line breaks may go
# Excel's own first line, which says what separates the cells
SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n])"?[\r\n]*', re.IGNORECASE)


@dataclass(frozen=True)
class _Header:
    """The header of a text file, what separates its cells, and the lines up to its end."""

    cells: tuple[str, ...]
    delimiter: str
    lines: int


def read_text(con: duckdb.DuckDBPyConnection, path: Path, table: str) -> GivenFile:
    """Create a table of `position` and f1, f2, ..., all text. Raises FileError."""
    with tempfile.TemporaryDirectory() as folder:
        text, notes = _as_utf8(path, Path(folder))
        with text.open(encoding="utf-8-sig", newline="") as lines:
            sample = lines.read(CHUNK_BYTES)
        header = _header(path, sample)
        # DuckDB and Python count blank lines and line breaks in quotes differently: it gets no such
        # header to see
        is_first_line = header.lines == 1
        if not is_first_line:
            text = _below(text, header.lines, Path(folder))
        columns = {f"f{i + 1}": "varchar" for i in range(len(header.cells))}
        try:
            con.execute(
                f"""
                create table {table} as
                select row_number() over () as position, *
                from read_csv($1, delim = $2, quote = '"', escape = '"', header = $3,
                    columns = $4, auto_detect = false, null_padding = true, parallel = false,
                    max_line_size = 16000000)
                """,
                [
                    str(plainly_named(text, Path(folder))),
                    header.delimiter,
                    is_first_line,
                    columns,
                ],
            )
        except duckdb.Error:
            # ragged rows, stray quotes: slower, but every row comes in
            con.execute(f"drop table if exists {table}")
            notes += _read_ragged(con, text, table, header, skips_first=is_first_line)
    rows = count_rows(con, table)
    if rows == 0:
        raise FileError(f"{path} has a header and no rows")
    headers = header.cells
    if len(set(headers)) < len(headers):
        twice = sorted({h for h in headers if headers.count(h) > 1})
        notes.append(f"the header names {', '.join(twice)} more than once; they were numbered")
    return GivenFile(path, headers, rows, tuple(notes))


def _header(path: Path, sample: str) -> _Header:
    """Find the header, the first row with anything in it; raises FileError if there is none."""
    # universal line ends, as csv counts them; splitlines() also cuts at \x0b, \x85 and U+2028
    lines = list(io.StringIO(sample, newline=""))
    start = next((n for n, line in enumerate(lines) if line.strip()), len(lines))
    separator = SEPARATOR_LINE.fullmatch(lines[start]) if start < len(lines) else None
    if separator:
        start += 1
        start = next((n for n, line in enumerate(lines) if n >= start and line.strip()), len(lines))
    if start == len(lines) or "\x00" in sample:
        raise FileError(f"{path} is not a text file with columns; CSV, TSV and Parquet can be read")
    delimiter = separator[1] if separator else _delimiter(path, lines[start:])
    csv.field_size_limit(CELL_CHARACTERS)
    reader = csv.reader(lines[start:], delimiter=delimiter)
    row = next((row for row in reader if any(cell.strip() for cell in row)), [])
    if not row:
        raise FileError(f"{path} has no header: all its rows are empty")
    if any(cell.count("\n") > HEADER_LINES for cell in row):
        raise FileError(f"{path}: a quote in the header does not end")
    # a line break in a header is one of layout
    cells = tuple(re.sub(r"\s*[\r\n]+\s*", " ", cell.strip()) for cell in row)
    return _Header(cells, delimiter, start + reader.line_num)


def _delimiter(path: Path, lines: Sequence[str]) -> str:
    """What separates the cells of the first row, whose quotes may hold line breaks."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    quotes, first = 0, ""
    for line in lines[:HEADER_LINES]:
        first += line
        quotes += line.count('"')
        if quotes % 2 == 0:
            return max(DELIMITERS, key=first.count)
    return max(DELIMITERS, key=lines[0].count)


def _below(text: Path, lines: int, folder: Path) -> Path:
    """A copy of what stands below the first lines."""
    copy = folder / "below"
    with (
        text.open(encoding="utf-8-sig", newline="") as given,
        copy.open("w", encoding="utf-8", newline="") as out,
    ):
        for _ in range(lines):
            next(given)
        shutil.copyfileobj(given, out)
    return copy


def _read_ragged(
    con: duckdb.DuckDBPyConnection, path: Path, table: str, header: _Header, *, skips_first: bool
) -> list[str]:
    import pyarrow as pa

    width = len(header.cells)
    columns: list[list[str | None]] = [[] for _ in range(width)]
    odd = 0
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader((line.replace("\x00", "") for line in lines), delimiter=header.delimiter)
        if skips_first:
            next(rows, None)
        for row in rows:
            if not row:
                continue
            odd += len(row) != width
            for index in range(width):
                columns[index].append(row[index] if index < len(row) else None)
    con.register(
        "ragged",
        pa.table({f"f{i + 1}": pa.array(c, pa.string()) for i, c in enumerate(columns)}),
    )
    con.execute(f"create table {table} as select row_number() over () as position, * from ragged")
    con.unregister("ragged")
    return [f"{odd} rows had another number of columns than the header"] if odd else []


def _as_utf8(path: Path, folder: Path) -> tuple[Path, list[str]]:
    """The file itself, or a copy in UTF-8 of one that is something else; and what to say of it."""
    with path.open("rb") as content:
        start = content.read(4)
        if not start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            content.seek(0)
            decoder = codecs.getincrementaldecoder("utf-8")()
            try:
                while chunk := content.read(CHUNK_BYTES):
                    decoder.decode(chunk)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                return _mended(path, folder)
            return path, []
    copy = folder / "text"
    with (
        path.open(encoding="utf-16", newline="", errors="replace") as lines,
        copy.open("w", encoding="utf-8", newline="") as out,
    ):
        shutil.copyfileobj(lines, out)
    return copy, ["read as UTF-16"]


def _mended(path: Path, folder: Path) -> tuple[Path, list[str]]:
    """A copy whose lines are all UTF-8: programs that append to a file may write another encoding."""
    copy = folder / "text"
    odd = 0
    with path.open("rb") as lines, copy.open("wb") as out:
        for line in lines:
            try:
                line.decode("utf-8")
                out.write(line)
            except UnicodeDecodeError:
                odd += 1
                out.write(line.decode("cp1252", errors="replace").encode())
    return copy, [f"{odd} lines are not UTF-8: read as Windows-1252"]


def plainly_named(path: Path, folder: Path) -> Path:
    """The file under a name that DuckDB takes as it stands: it would look for others by [ ] * ?."""
    if not glob.has_magic(str(path)):
        return path
    plain = folder / "plain"
    try:
        plain.symlink_to(path.resolve())
    except OSError:  # Windows without the right to make links
        shutil.copyfile(path, plain)
    return plain


def count_rows(con: duckdb.DuckDBPyConnection, table: str) -> int:
    """How many rows a table has."""
    return int(con.execute(f"select count(*) from {table}").fetchall()[0][0])
