"""A file as a relation of texts: one SELECT that DuckDB runs straight over the file.

The relation's columns are `t0 … tn`, the declared columns as text (NULL where there is nothing);
`extra`, the undeclared ones as JSON; `defect`, why the record as a whole cannot be used; and
`raw`, the record's text for the quarantine. What a query does not ask for is not computed.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingestion import file_text
from ingestion.sources import Format, LoadError, SourceTable
from ingestion.sql import literal

MAX_LINE_BYTES = 16 << 20
REJECTS = "ingestion_rejects"


@dataclass(frozen=True)
class Reading:
    """How to read one file.

    `names` are the file's own field names by position (CSV), for naming what was rejected;
    `first_line` is the number of the first record; `path` and `packed` are what DuckDB reads.
    """

    relation: str
    path: Path
    packed: str
    names: tuple[str, ...] = ()
    first_line: int = 1
    keeps_rejects: bool = False


def reading(
    con: duckdb.DuckDBPyConnection,
    table: SourceTable,
    types: dict[str, str],
    path: Path,
    workspace: Path,
    *,
    one_newline: bool = False,
) -> Reading:
    """The relation for a file. Raises LoadError where the file as a whole cannot be read."""
    if table.ingest is None:
        raise LoadError("its table is not declared rightly")
    form = table.ingest.format
    packed = file_text.compression(path, form)
    path, packed = file_text.prepared(path, form, packed, workspace, one_newline=one_newline)
    if form.type == "csv":
        return _csv(table, form, path, packed)
    return _json(con, table, types, form, path, packed)


def _csv(table: SourceTable, form: Format, path: Path, packed: str) -> Reading:
    names = (
        file_text.header(path, form, packed)
        if form.header
        else tuple(column.name for column in table.columns)
    )
    at = _positions(table, names)
    fields = ", ".join(f"'f{i}': 'VARCHAR'" for i in range(len(names)))
    declared = ", ".join(
        f"f{at[column.name]} as t{i}" if column.name in at else f"null::varchar as t{i}"
        for i, column in enumerate(table.columns)
    )
    extra = [(name, f"f{i}") for i, name in enumerate(names) if i not in at.values()]
    extra_json = "null::json"
    if extra:
        pairs = ", ".join(f"{literal(name)}, {field}" for name, field in extra)
        some = ", ".join(field for _, field in extra)
        # A second column of one name would hide the first in a JSON object.
        unique = len({name for name, _ in extra}) == len(extra)
        if not unique:
            pairs = ", ".join(f"{literal(f'{name}.{field[1:]}')}, {field}" for name, field in extra)
        extra_json = f"case when coalesce({some}) is not null then json_object({pairs}) end"
    whole = ", ".join(f"coalesce(f{i}, '')" for i in range(len(names)))
    relation = f"""
        select {declared}, {extra_json} as extra, null::varchar as defect,
            concat_ws({literal(form.delimiter)}, {whole}) as raw
        from read_csv({literal(str(path))}, auto_detect = false, columns = {{{fields}}},
            delim = {literal(form.delimiter)}, quote = {literal(form.quote)},
            escape = {literal(form.quote)}, header = {str(form.header).lower()}, nullstr = '',
            null_padding = false, strict_mode = true, hive_partitioning = false,
            compression = '{packed}', max_line_size = {MAX_LINE_BYTES},
            buffer_size = {2 * MAX_LINE_BYTES}, store_rejects = true, rejects_limit = 0,
            rejects_table = '{REJECTS}', rejects_scan = '{REJECTS}_scans')"""
    return Reading(relation, path, packed, names, 2 if form.header else 1, keeps_rejects=True)


def _positions(table: SourceTable, names: tuple[str, ...]) -> dict[str, int]:
    """Where each declared column is in the file. Raises LoadError for what must be and is not."""
    at: dict[str, int] = {}
    for column in table.columns:
        found = [i for i, name in enumerate(names) if name in (column.name, *column.aliases)]
        if len(found) > 1:
            raise LoadError(
                f"its header has column {column.name} {len(found)} times (aliases counted): "
                "leave one"
            )
        if found:
            at[column.name] = found[0]
        elif column.required or (table.ingest and column.name in table.ingest.key):
            close = difflib.get_close_matches(column.name, names, 1)
            hint = f"; is it `{close[0]}`? Then add that to the column's `aliases`" if close else ""
            raise LoadError(f"its header has no column {column.name}, which is required{hint}")
    if not at:
        raise LoadError(
            f"its header has none of the declared columns, and {len(names)} others: check "
            "`format.delimiter`, `format.header` and the columns' names"
        )
    return at


def _json(  # noqa: PLR0917
    con: duckdb.DuckDBPyConnection,
    table: SourceTable,
    types: dict[str, str],
    form: Format,
    path: Path,
    packed: str,
) -> Reading:
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
    relation = f"""
        select {", ".join(declared)},
            nullif(json_merge_patch(document, {literal(json.dumps(known))})::varchar, '{{}}')::json
                as extra,
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
