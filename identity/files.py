"""People's data in a file: CSV, TSV or Parquet read as text, whatever its encoding and headers.

Creates given(row_number, file, c1, c2, ...): every row of every file, in order, empty values null.
Columns are numbered, so that no header can be one too many or one that SQL stumbles over.
"""

from __future__ import annotations

import codecs
import csv
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


class FileError(ValueError):
    """A file that cannot be read; the message names it and says what to do."""


@dataclass(frozen=True)
class GivenFile:
    """One file: its path, its headers as they stand there, and what was odd about it."""

    path: Path
    headers: tuple[str, ...]
    rows: int
    notes: tuple[str, ...] = ()


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
    try:
        relation = con.read_parquet(str(path))
    except duckdb.Error as error:
        raise FileError(f"{path} is no Parquet file that DuckDB can read") from error
    headers = tuple(relation.columns)
    # timestamps at midnight are dates; everything is compared as text
    values = ", ".join(
        f"regexp_replace(\"{_escaped(name)}\"::varchar, ' 00:00:00$', '') as f{index + 1}"
        for index, name in enumerate(headers)
    )
    con.execute(
        f"create table {table} as select row_number() over () as position, {values}"
        " from read_parquet($1)",
        [str(path)],
    )
    return GivenFile(path, headers, _rows(con, table))


def _read_text(con: duckdb.DuckDBPyConnection, path: Path, table: str) -> GivenFile:
    with tempfile.TemporaryDirectory() as folder:
        text, notes = _as_utf8(path, Path(folder))
        with text.open(encoding="utf-8-sig", newline="") as lines:
            sample = lines.read(CHUNK_BYTES)
        first = next((line for line in sample.splitlines() if line.strip()), "")
        if not first or "\x00" in sample:
            raise FileError(
                f"{path} is not a text file with columns; CSV, TSV and Parquet can be read"
            )
        delimiter = "\t" if path.suffix.lower() == ".tsv" else max(DELIMITERS, key=first.count)
        headers = tuple(h.strip() for h in next(csv.reader([first], delimiter=delimiter)))
        columns = {f"f{i + 1}": "varchar" for i in range(len(headers))}
        try:
            con.execute(
                f"""
                create table {table} as
                select row_number() over () as position, *
                from read_csv($1, delim = $2, quote = '"', escape = '"', header = true,
                    columns = $3, auto_detect = false, null_padding = true, parallel = false,
                    max_line_size = 16000000)
                """,
                [str(text), delimiter, columns],
            )
        except duckdb.Error:
            # ragged rows, stray quotes: slower, but every row comes in
            con.execute(f"drop table if exists {table}")
            notes += _read_ragged(con, text, table, delimiter, len(headers))
    rows = _rows(con, table)
    if rows == 0:
        raise FileError(f"{path} has a header and no rows")
    if len(set(headers)) < len(headers):
        twice = sorted({h for h in headers if headers.count(h) > 1})
        notes.append(f"the header names {', '.join(twice)} more than once; they were numbered")
    return GivenFile(path, headers, rows, tuple(notes))


def _read_ragged(
    con: duckdb.DuckDBPyConnection, path: Path, table: str, delimiter: str, width: int
) -> list[str]:
    import pyarrow as pa

    columns: list[list[str | None]] = [[] for _ in range(width)]
    odd = 0
    csv.field_size_limit(1 << 24)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader((line.replace("\x00", "") for line in lines), delimiter=delimiter)
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
