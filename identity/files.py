"""People's data in a file: CSV, TSV or Parquet read as text, whatever its encoding and headers.

Creates given(row_number, file, c1, c2, ...): every row of every file, in order, empty values null.
Columns are numbered, so that no header can be one too many or one that SQL stumbles over.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb

from identity.given import FileError, Given, GivenFile
from identity.sections import nearest
from identity.text_files import count_rows, plainly_named, read_text

PARQUET = (".parquet", ".pq")
# What programs write where there is nothing (R, pandas, databases, spreadsheets)
MARKERS = ("NA", "N/A", "n/a", "<NA>", "#N/A", "NULL", "null", "None", "NaN", "nan", "NaT", r"\N")
# ... unless it is somebody's name: it stands in several columns, or is too frequent in one
LEAST_MARKED = 2
SHARE_MARKED = 0.05


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
            f" where list_contains($markers::varchar[], {name}) group by all"
            for name in names
        ),
        {"markers": list(MARKERS)},
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
    return read_text(con, path, table)


def _read_parquet(con: duckdb.DuckDBPyConnection, path: Path, table: str) -> GivenFile:
    with tempfile.TemporaryDirectory() as folder:
        name = str(plainly_named(path, Path(folder)))
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
    return GivenFile(path, headers, count_rows(con, table))


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


def _escaped(name: str) -> str:
    return name.replace('"', '""')
