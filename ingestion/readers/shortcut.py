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
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingestion import contents
from ingestion.sql import literal, quoted

_FIRST_LINES = 2_000
_KEY, _IN_TEXT, _NULL_KEY = '":', '\\":', '":null'


class OverlookedError(Exception):
    """The quick reading was not the whole truth: read in full."""


@dataclass(frozen=True)
class Quick:
    """A relation like that of a Reading, but with nothing undeclared and no text of the record.

    `stray` is a query that has a row if a line has an undeclared key; with `countable`, colons can
    tell as much.
    """

    relation: str
    stray: str
    countable: bool


def undeclared(record: str, names: Iterable[str]) -> str:
    """SQL: whether a JSON object has a key that is none of these, or one of them twice."""
    return f"len(json_keys({record})) > list_count({_values(record, names)})"


def remainder(record: str, names: Iterable[str]) -> str:
    """SQL: what a JSON object has besides these keys, as JSON; `{}` if nothing."""
    return f"json_merge_patch({record}, {literal(json.dumps(dict.fromkeys(names)))})"


def says_nothing(rest: str) -> str:
    """SQL: whether all that a JSON object has is null."""
    return f"len(list_filter(json_extract({rest}, '$.*'), lambda v: v::varchar <> 'null')) = 0"


def _values(record: str, names: Iterable[str]) -> str:
    """SQL: what these keys have, as JSON."""
    pointers = ", ".join(
        literal("/" + name.replace("~", "~0").replace("/", "~1")) for name in names
    )
    return f"json_extract({record}, [{pointers}])"


def quick(
    con: duckdb.DuckDBPyConnection,
    records: str,
    kinds: dict[str, str],
    texts: list[str],
    path: Path,
    packed: str,
) -> Quick | None:
    """The quick reading, unless the first lines have undeclared keys.

    `records` is SQL for the file's records; `kinds` has VARCHAR or JSON for each name; `texts` are
    SQL for the declared columns over columns of these names.
    """
    rest = remainder("record", kinds)
    # a key that stands twice leaves nothing, and has to be read in full as well
    stray = (
        f"{undeclared('record', kinds)} and ({rest}::varchar = '{{}}' or not {says_nothing(rest)})"
    )
    (strays,) = con.execute(
        f"select count(*) from (select * from ({records}) limit {_FIRST_LINES}) where {stray}"
    ).fetchall()[0]
    if strays:
        return None
    columns = ", ".join(f"{literal(name)}: '{kind}'" for name, kind in kinds.items())
    present = ", ".join(f"t{i}::varchar" for i in range(len(texts)))
    relation = f"""
        select *, null::json as extra, null::varchar as raw,
            case when coalesce({present}) is null then 'nothing declared' end as defect
        from (
            select {", ".join(texts)}
            from read_json({literal(str(path))}, columns = {{{columns}}}, ignore_errors = true,
                format = 'newline_delimited', compression = '{packed}', hive_partitioning = false)
        )"""
    query = f"select 1 from ({records}) where {stray} limit 1"
    return Quick(relation, query, countable=packed == "none")


def verify(
    con: duckdb.DuckDBPyConnection,
    reading: Quick,
    path: Path,
    types: Mapping[str, str],
    inserted: str,
    keys: int | None,
) -> None:
    """Raise OverlookedError unless the rows `inserted` (FROM … WHERE …) are all that is in the file.

    `types` are their declared columns; `keys` those that `contents` counted in the file, if it did.
    """
    nothing = " and ".join(f"{quoted(name)} is null" for name in types)
    if con.execute(f"select 1 {inserted} and _occurrence is null and {nothing} limit 1").fetchall():
        raise OverlookedError
    if reading.countable and _all_stored(con, path, types, inserted, keys):
        return
    if con.execute(reading.stray).fetchall():
        raise OverlookedError


def _all_stored(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    types: Mapping[str, str],
    inserted: str,
    keys: int | None,
) -> bool:
    """Whether the file has no more keys than values were stored, nulls aside."""
    if keys is None:
        keys = contents.read(path, count=True).keys or 0
    # By where each column is null: what has no null at all is not even read.
    nulls = [f"select count(*) {inserted} and {quoted(name)} is null" for name in types]
    counts = con.execute(" union all ".join(nulls)).fetchall()
    rows = con.execute(f"select count(*) {inserted}").fetchall()[0][0]
    stored = int(rows * len(types) - sum(count for (count,) in counts))
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
