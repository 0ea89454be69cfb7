"""JSON: one object a line, an array, or an array somewhere inside a document."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from ingestion import file_text
from ingestion.readers.relations import Reading
from ingestion.sources import Format, LoadError, SourceTable
from ingestion.sql import literal


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
    pointers: dict[str, list[str]] = {"texts": [], "documents": []}
    declared = []
    for i, column in enumerate(table.columns):
        # As a text, a JSON string would lose its quotes and with them be no JSON any more.
        kind = "documents" if types[column.name] == "JSON" else "texts"
        wanted = []
        for name in (column.name, *column.aliases):
            pointers[kind].append("/" + name.replace("~", "~0").replace("/", "~1"))
            wanted.append(f"{kind}[{len(pointers[kind])}]")
        if kind == "documents":
            wanted = [f"nullif({value}::varchar, 'null')" for value in wanted]
        text = f"coalesce({', '.join(wanted)})"
        # JSON can say "no value" and "the empty text"; no type but a text can hold the latter.
        keeps_empty = types[column.name] == "VARCHAR"
        declared.append(f"{text if keeps_empty else empty_as_null(text)} as t{i}")
    known = {name: None for column in table.columns for name in (column.name, *column.aliases)}
    texts, documents = (f"[{', '.join(map(literal, found))}]" for found in pointers.values())
    if not pointers["documents"]:
        documents = "[]::varchar[]"
    if not pointers["texts"]:
        texts = "[]::varchar[]"
    # As many keys as declared values are there: none is undeclared, and taking the declared ones
    # out, which costs as much as reading all of them, can be spared.
    relation = f"""
        select {", ".join(declared)},
            case when len(json_keys(document)) <> list_count(texts) + list_count(documents) then
                nullif(json_merge_patch(document, {literal(json.dumps(known))})::varchar, '{{}}')::json
            end as extra,
            case when record is null then 'malformed JSON'
                when document is null then 'not a JSON object' end as defect,
            record::varchar as raw
        from (
            select record, document, json_extract_string(document, {texts}) as texts,
                json_extract(document, {documents}) as documents
            from (
                select record, case when starts_with(ltrim(record::varchar), '{{') then record end
                    as document
                from ({records})
            )
        )"""
    return Reading(relation, path, packed)


def empty_as_null(text: str) -> str:
    """SQL: the text, or NULL where it is empty."""
    return f"nullif({text}, '')"


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
    parts = [part.replace("~", "~0").replace("/", "~1") for part in form.records.split(".")]
    pointer = literal("/" + "/".join(parts))
    kinds = con.execute(f"select json_type(json, {pointer}) from {document}").fetchall()
    if [kind for (kind,) in kinds] != ["ARRAY"]:
        raise LoadError(f"it has no array at `format.records: {form.records}`")
    return f"select unnest(json_extract(json, {pointer})::json[]) as record from {document}"
