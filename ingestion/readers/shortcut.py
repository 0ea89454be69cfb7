"""NDJSON in one parse: the declared keys alone, and proof afterwards that there were no others.

DuckDB parses a line once to give the declared keys, without a word about the rest; asking for the
rest parses it again, for a third of what a load costs. So the first lines are asked, and if they
have nothing undeclared the file is read for the declared keys alone. Then they are counted: a colon
after a quote or white space, and not before a null, comes at least once for every key of every
object that has a value, so where such colons are as many as values were stored, and keys inside
stored JSON, none was overlooked. (`contents` counts them, while it hashes the file.) Where they are
more (an object where a text was declared, ` :` within a text), every line is asked. If a
value was overlooked after all, or a line had none of the declared keys, the load is rolled back and
reads in full. (An undeclared key that is null says nothing, and is not kept by either way.)

Where the declared types allow it, numbers are not even made texts: see `numbers`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from ingestion import contents
from ingestion.contents import Contents
from ingestion.readers import numbers
from ingestion.sources import SourceTable
from ingestion.sql import literal, pointer, quoted

_FIRST_LINES = 2_000
_KEY, _IN_TEXT, _NULL_KEY = '":', '\\":', '":null'


class OverlookedError(Exception):
    """The quick reading was not the whole truth: read in the next slower way."""


@dataclass(frozen=True)
class Quick:
    """A relation like that of a Reading, but with nothing undeclared and no text of the record.

    `stray` is a query that has a row if a line has an undeclared key; with `countable`, colons can
    tell as much. `values` has SQL for the columns (by position) that are read as numbers; only
    colons can tell that nothing else became one. `slower` is the next way, None to read in full.
    """

    relation: str
    stray: str
    countable: bool
    values: Mapping[int, str] = field(default_factory=dict)
    slower: Quick | None = None


@dataclass(frozen=True)
class Wanted:
    """What is wanted of each record: the declared columns with their DuckDB types.

    `kinds` has VARCHAR or JSON for every name that a column may have in it; `texts` are SQL for the
    columns over columns of these names.
    """

    table: SourceTable
    types: Mapping[str, str]
    kinds: Mapping[str, str]
    texts: list[str]


def undeclared(record: str, names: Iterable[str]) -> str:
    """SQL: whether a JSON object has a key that is none of these, or one of them twice."""
    return f"len(json_keys({record})) > list_count({_extracted(record, names)})"


def remainder(record: str, names: Iterable[str]) -> str:
    """SQL: what a JSON object has besides these keys, as JSON; `{}` if nothing."""
    return f"json_merge_patch({record}, {literal(json.dumps(dict.fromkeys(names)))})"


def says_nothing(rest: str) -> str:
    """SQL: whether all that a JSON object has is null."""
    return f"len(list_filter(json_extract({rest}, '$.*'), lambda v: v::varchar <> 'null')) = 0"


def _extracted(record: str, names: Iterable[str]) -> str:
    """SQL: what these keys have, as JSON."""
    return f"json_extract({record}, [{', '.join(map(pointer, names))}])"


def quick(
    con: duckdb.DuckDBPyConnection, records: str, wanted: Wanted, path: Path, packed: str
) -> Quick | None:
    """The quickest reading that the first lines allow; none if they have undeclared keys.

    `records` is SQL for the file's records, `path` and `packed` are what DuckDB reads.
    """
    rest = remainder("record", wanted.kinds)
    # a key that stands twice leaves nothing, and has to be read in full as well
    stray = (
        f"{undeclared('record', wanted.kinds)} "
        f"and ({rest}::varchar = '{{}}' or not {says_nothing(rest)})"
    )
    countable = packed == "none"
    numeric = countable and numbers.can_be_told(wanted.table, wanted.types)
    unlikely = numbers.unlikely(wanted.table, wanted.types, "record") if numeric else "false"
    strays, doubts = con.execute(
        f"select count(*) filter ({stray}), count(*) filter ({unlikely}) "
        f"from (select * from ({records}) limit {_FIRST_LINES})"
    ).fetchall()[0]
    if strays:
        return None
    query = f"select 1 from ({records}) where {stray} limit 1"
    options = f"{literal(str(path))}, compression = '{packed}'"
    by_texts = Quick(_relation(wanted.kinds, wanted.texts, options), query, countable)
    if not numeric or doubts:
        return by_texts
    kinds, columns, values = dict(wanted.kinds), list(wanted.texts), {}
    for i, column in enumerate(wanted.table.columns):
        kind = wanted.types[column.name]
        if numbers.is_number(kind):
            names = (column.name, *column.aliases)
            kinds |= dict.fromkeys(names, "DOUBLE")
            number = f"coalesce({', '.join(map(quoted, names))})"
            # A text tells whether there is a number, not which.
            columns[i] = f"case when {number} is not null then '0' end as t{i}, {number} as n{i}"
            values[i] = numbers.value(f"n{i}", kind)
        elif kind == "BOOLEAN":  # whose cast takes numbers
            values[i] = f"case when t{i} = 'true' then true when t{i} = 'false' then false end"
    return Quick(_relation(kinds, columns, options), query, countable, values, by_texts)


def _relation(kinds: Mapping[str, str], columns: list[str], options: str) -> str:
    """A Reading's relation: `kinds` is what DuckDB makes of each name, `columns` what is selected."""
    declared = ", ".join(f"{literal(name)}: '{kind}'" for name, kind in kinds.items())
    present = ", ".join(f"t{i}::varchar" for i in range(len(columns)))
    return f"""
        select *, null::json as extra, null::varchar as raw,
            case when coalesce({present}) is null then 'nothing declared' end as defect
        from (
            select {", ".join(columns)}
            from read_json({options}, columns = {{{declared}}}, ignore_errors = true,
                format = 'newline_delimited', hive_partitioning = false)
        )"""


def verify(
    con: duckdb.DuckDBPyConnection,
    reading: Quick,
    path: Path,
    types: Mapping[str, str],
    inserted: str,
    found: Contents | None,
) -> None:
    """Raise OverlookedError unless the rows `inserted` (FROM … WHERE …) are all that is in the file.

    `types` are their declared columns; `found` is what was counted in the file, if it was.
    """
    # Of a row that does not fit, all must be null to be doubtful; where numbers are read as such, it
    # has no text that the quarantine could tell.
    doubtful = "_occurrence is null"
    if not reading.values:
        doubtful += "".join(f" and {quoted(name)} is null" for name in types)
    if con.execute(f"select 1 {inserted} and {doubtful} limit 1").fetchall():
        raise OverlookedError
    if reading.countable:
        found = found or contents.read(path, count=True)
        there = _values(con, types, inserted)
        if _all_stored(con, path, types, inserted, found.keys or 0, sum(there.values())):
            if not reading.values:
                return
            count = sum(n for name, n in there.items() if numbers.is_number(types[name]))
            like = numbers.texts_like_numbers(types, inserted)
            if found.numbers == count and not con.execute(like).fetchall():
                return
    if reading.values or con.execute(reading.stray).fetchall():
        raise OverlookedError


def _values(
    con: duckdb.DuckDBPyConnection, types: Mapping[str, str], inserted: str
) -> dict[str, int]:
    """How many values were stored of each column."""
    # By where it is null: what has no null at all is not even read.
    nulls = [
        f"select {literal(name)}, count(*) {inserted} and {quoted(name)} is null" for name in types
    ]
    counts = con.execute(" union all ".join(nulls)).fetchall()
    rows = con.execute(f"select count(*) {inserted}").fetchall()[0][0]
    return {name: int(rows - count) for name, count in counts}


def _all_stored(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    types: Mapping[str, str],
    inserted: str,
    keys: int,
    stored: int,
) -> bool:
    """Whether the file has no more keys than values were stored, nulls aside."""
    if keys == stored:
        return True
    inner, inner_nulls = _keys_inside(con, types, inserted)
    if keys == stored + inner:
        return True
    return keys - contents.null_keys(path) == stored + inner - inner_nulls


def _keys_inside(
    con: duckdb.DuckDBPyConnection, types: Mapping[str, str], inserted: str
) -> tuple[int, int]:
    """How many keys the stored JSON has inside at least, and how many of them are null at most.

    Stored JSON is written without blanks, and within a text a quote comes behind a backslash: a
    quote and a colon without one are a key's. (One that ends with a backslash is left out.)
    """
    names = [quoted(name) for name, kind in types.items() if kind == "JSON"]
    if not names:
        return 0, 0

    def times(text: str) -> str:
        each = [
            f"coalesce(strlen({name}) - strlen(replace({name}::varchar, {literal(text)}, '')), 0)"
            for name in names
        ]
        return f"coalesce(sum({' + '.join(each)}), 0)::bigint // {len(text)}"

    keys = f"{times(_KEY)} - {times(_IN_TEXT)}"
    inner, nulls = con.execute(f"select {keys}, {times(_NULL_KEY)} {inserted}").fetchall()[0]
    return int(inner), int(nulls)
