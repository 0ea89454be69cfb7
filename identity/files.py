"""People's data in a file: CSV, TSV or Parquet read as text, whatever its encoding and headers.

Creates given(row_number, file, c1, c2, ...): every row of every file, in order, empty values null.
Columns are numbered, so that no header can be one too many or one that SQL stumbles over.
"""

from __future__ import annotations

import codecs
import csv
import glob
import io
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from identity.sections import nearest

PARQUET = (".parquet", ".pq")
DELIMITERS = ",\t;|"
CHUNK_BYTES = 1 << 20
CELL_CHARACTERS = 1 << 24
HEADER_LINES = 100  # as far as a header with line breaks may go
# Excel's own first line, which says what separates the cells
SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n])"?[\r\n]*', re.IGNORECASE)


# What programs write where there is nothing (R, pandas, databases, spreadsheets)
MARKERS = ("NA", "N/A", "n/a", "<NA>", "#N/A", "NULL", "null", "None", "NaN", "nan", "NaT", r"\N")
# ... unless it is somebody's name: it stands in several columns, or is too frequent in one
LEAST_MARKED = 2
SHARE_MARKED = 0.05


class FileError(ValueError):
    """A file that cannot be read; the message names it and says what to do."""


@dataclass(frozen=True)
class GivenFile:
    """One file: its path, its headers (each on one line), and what was odd about it."""

    path: Path
    headers: tuple[str, ...]
    rows: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Header:
    """The header of a text file, what separates its cells, and the lines up to its end."""

    cells: tuple[str, ...]
    delimiter: str
    lines: int


@dataclass(frozen=True)
class Given:
    """The table `given`: `columns` are the headers of c1, c2, ... over all files."""

    files: tuple[GivenFile, ...]
    columns: tuple[str, ...]
    rows: int

    def sql_name(self, header: str) -> str:
        """Return the column of `given` that holds `header`."""
        return f"c{self.columns.index(header) + 1}"


def read_files(con: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> Given:
    """Create `given` from the files; columns with the same header are one column.

    Raises FileError for a file that is missing, empty, a folder or of another format.
    """
    files, relations, columns = [], [], []
    for number, path in enumerate(paths):
        table = f"file_{number}"
        found = _read(con, path, table)
        files.append(found)
        names = _distinct(found.headers)
        columns += [name for name in names if name not in columns]
        relations.append((table, names))
    selects = []
    for number, (table, names) in enumerate(relations):
        values = ", ".join(
            f"nullif(trim(f{names.index(column) + 1}), '')" if column in names else "null::varchar"
            for column in columns
        )
        selects.append(f"select {number} as file, position, {values} from {table}")
    con.execute(
        f"""
        create or replace table given as
        select row_number() over (order by file, position) as row_number, * exclude (position)
        from ({" union all ".join(selects)}) as
            t(file, position, {", ".join(f"c{i + 1}" for i in range(len(columns)))})
        """
    )
    for table, _ in relations:
        con.execute(f"drop table {table}")
    return Given(tuple(files), tuple(columns), sum(f.rows for f in files))


def empty_markers(con: duckdb.DuckDBPyConnection, given: Given) -> tuple[str, ...]:
    """Empty the cells of `given` that say in a word that there is nothing; return the words.

    A word that stands in one column only, and seldom, may be a value (Mr Null, Ms Na).
    """
    names = [f"c{number + 1}" for number in range(len(given.columns))]
    counted = con.execute(
        " union all ".join(
            f"select {name} as word, count(*) / {given.rows} from given"
            f" where {name} in {MARKERS} group by all"
            for name in names
        )
    ).fetchall()
    shares: dict[str, list[float]] = {}
    for word, share in counted:
        shares.setdefault(word, []).append(share)
    words = tuple(
        word
        for word in MARKERS
        if len(shares.get(word, ())) >= LEAST_MARKED or max(shares.get(word, (0,))) > SHARE_MARKED
    )
    if words:
        values = ", ".join(
            f"case when list_contains($words::varchar[], {name}) then null else {name} end as {name}"
            for name in names
        )
        con.execute(
            f"create or replace table given as select * replace ({values}) from given",
            {"words": list(words)},
        )
    return words


def _read(con: duckdb.DuckDBPyConnection, path: Path, table: str) -> GivenFile:
    if not path.exists():
        near = [p.name for p in path.parent.glob("*")] if path.parent.is_dir() else []
        raise FileError(f"{path} does not exist; {nearest(path.name, near)}")
    if path.is_dir():
        raise FileError(f"{path} is a folder; name its files, e.g. {path}/*.csv")
    if path.stat().st_size == 0:
        raise FileError(f"{path} is empty")
    if path.suffix.lower() in PARQUET:
        return _read_parquet(con, path, table)
    return _read_text(con, path, table)


def _read_parquet(con: duckdb.DuckDBPyConnection, path: Path, table: str) -> GivenFile:
    with tempfile.TemporaryDirectory() as folder:
        name = str(_plainly_named(path, Path(folder)))
        try:
            headers = tuple(con.read_parquet(name).columns)
        except duckdb.Error as error:
            raise FileError(f"{path} is no Parquet file that DuckDB can read") from error
        # timestamps at midnight are dates; everything is compared as text
        values = ", ".join(
            f"regexp_replace(\"{_escaped(header)}\"::varchar, ' 00:00:00$', '') as f{index + 1}"
            for index, header in enumerate(headers)
        )
        con.execute(
            f"create table {table} as select row_number() over () as position, {values}"
            " from read_parquet($1)",
            [name],
        )
    return GivenFile(path, headers, _rows(con, table))


def _plainly_named(path: Path, folder: Path) -> Path:
    """The file under a name that DuckDB takes as it stands: it would look for others by [ ] * ?."""
    if not glob.has_magic(str(path)):
        return path
    plain = folder / "plain"
    try:
        plain.symlink_to(path.resolve())
    except OSError:  # Windows without the right to make links
        shutil.copyfile(path, plain)
    return plain


def _read_text(con: duckdb.DuckDBPyConnection, path: Path, table: str) -> GivenFile:
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
                    str(_plainly_named(text, Path(folder))),
                    header.delimiter,
                    is_first_line,
                    columns,
                ],
            )
        except duckdb.Error:
            # ragged rows, stray quotes: slower, but every row comes in
            con.execute(f"drop table if exists {table}")
            notes += _read_ragged(con, text, table, header, skips_first=is_first_line)
    rows = _rows(con, table)
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


def _distinct(headers: Iterable[str]) -> list[str]:
    """Name headers that are empty or come twice, so that each names one column."""
    names: list[str] = []
    for position, header in enumerate(headers, 1):
        name = header or f"column_{position}"
        times = 2
        while name in names:
            name = f"{header or 'column'}_{times}"
            times += 1
        names.append(name)
    return names


def _rows(con: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(con.execute(f"select count(*) from {table}").fetchall()[0][0])


def _escaped(name: str) -> str:
    return name.replace('"', '""')
