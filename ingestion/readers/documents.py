"""JSON: one object a line, an array, or an array somewhere inside a document."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from ingestion import file_text
from ingestion.readers import shortcut
from ingestion.readers.relations import Reading
from ingestion.readers.shortcut import undeclared
from ingestion.sources import Format, LoadError, SourceTable
from ingestion.sql import literal, pointer, quoted


def reading(
    con: duckdb.DuckDBPyConnection,
    table: SourceTable,
    types: dict[str, str],
    form: Format,
    path: Path,
    packed: str,
) -> Reading:
    """The relation for a file of JSON objects. Raises LoadError where it is no such file."""
    records = _records(con, form, path, packed)
    kinds = {
        name: "JSON" if _is_read_as_json(types[column.name]) else "VARCHAR"
        for column in table.columns
        for name in (column.name, *column.aliases)
    }
    groups = _told_apart(kinds)
    at = {name: f"s{i}.{quoted(name)}" for i, group in enumerate(groups) for name in group}
    structs = ", ".join(
        f"json_transform(document, {literal(json.dumps(group))}) as s{i}"
        for i, group in enumerate(groups)
    )
    rest = shortcut.remainder("document", kinds)
    # Where no key is undeclared, taking the declared ones out, which costs the most, is spared.
    relation = f"""
        select {", ".join(_texts(table, types, at))},
            case when {undeclared("document", kinds)} and not {shortcut.says_nothing(rest)}
                then {rest} end as extra,
            case when record is null then 'malformed JSON'
                when document is null then 'not a JSON object' end as defect,
            record::varchar as raw
        from (
            select *, {structs} from (
                select record, case when starts_with(ltrim(record::varchar), '{{') then record end
                    as document
                from ({records})
            )
        )"""
    quick = None
    if form.type == "ndjson" and len(groups) == 1:
        names = {name: quoted(name) for name in kinds}
        wanted = shortcut.Wanted(table, types, kinds, _texts(table, types, names))
        quick = shortcut.quick(con, records, wanted, path, packed)
    return Reading(relation, path, packed, quick=quick, is_open=True)


def _texts(table: SourceTable, types: dict[str, str], at: dict[str, str]) -> list[str]:
    """SQL for the declared columns as texts, given SQL for what each name has."""
    declared = []
    for i, column in enumerate(table.columns):
        wanted = [at[name] for name in (column.name, *column.aliases)]
        if types[column.name] == "JSON":
            wanted = [f"nullif({value}::varchar, 'null')" for value in wanted]
        elif _is_read_as_json(types[column.name]):
            # A number begins with a digit or a minus; whatever else is there has a text of its own.
            wanted = [
                f"case when {value}::varchar between '-' and ':' then {value}::varchar "
                f"else {value} ->> '$' end"
                for value in wanted
            ]
        text = f"coalesce({', '.join(wanted)})" if len(wanted) > 1 else wanted[0]
        # JSON can say "no value" and "the empty text"; no type but a text can hold the latter, and
        # casting makes nothing of it, except bytes.
        if types[column.name] in ("BLOB", "BIT"):
            text = f"nullif({text}, '')"
        declared.append(f"{text} as t{i}")
    return declared


def _is_read_as_json(duckdb_type: str) -> bool:
    """Whether a value comes as JSON: it is, or as a fraction, whose text JSON writes much faster."""
    return duckdb_type in ("JSON", "DOUBLE", "FLOAT") or duckdb_type.startswith("DECIMAL")


def _told_apart(kinds: dict[str, str]) -> list[dict[str, str]]:
    """The names in groups, none with two that differ in case only: a struct cannot hold those."""
    groups: list[dict[str, str]] = []
    for name, kind in kinds.items():
        for group in groups:
            if name.lower() not in {other.lower() for other in group}:
                group[name] = kind
                break
        else:
            groups.append({name: kind})
    return groups


def _records(con: duckdb.DuckDBPyConnection, form: Format, path: Path, packed: str) -> str:
    """SQL for a file's records as one JSON column, `record`: NULL for a line that is no JSON."""
    options = f"compression = '{packed}', hive_partitioning = false"
    if form.type == "ndjson":
        return (
            f"select json as record from read_json_objects({literal(str(path))}, "
            f"format = 'newline_delimited', ignore_errors = true, {options})"
        )
    end = file_text.last_byte(path, packed)
    if form.records is None:
        # DuckDB reads `[{…},` and stops without a word: half a file would pass for a whole one.
        if end != b"]":
            raise LoadError("its JSON array does not end with `]`: it was cut, deliver it again")
        return (
            f"select json as record from read_json_objects({literal(str(path))}, "
            f"format = 'array', {options})"
        )
    size = file_text.unpacked_size(path, packed) + 1024
    document = (
        f"read_json_objects({literal(str(path))}, format = 'unstructured', {options}, "
        f"maximum_object_size = {size})"
    )
    place = pointer(*form.records.split("."))
    kinds = con.execute(f"select json_type(json, {place}) from {document}").fetchall()
    if [kind for (kind,) in kinds] != ["ARRAY"]:
        raise LoadError(f"it has no array at `format.records: {form.records}`")
    return f"select unnest(json_extract(json, {place})::json[]) as record from {document}"
