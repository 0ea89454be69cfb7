"""CSV and its kin: any delimiter, quoted or not, with a header or without one."""

from __future__ import annotations

from pathlib import Path

from ingestion import file_text
from ingestion.readers.relations import REJECTS, Reading, extra_names, extra_object, positions
from ingestion.sources import Format, SourceTable
from ingestion.sql import literal

MAX_LINE_BYTES = 16 << 20


def reading(table: SourceTable, form: Format, path: Path, packed: str) -> Reading:
    """The relation for a file of delimited fields. Raises LoadError for an unusable header."""
    names = (
        file_text.header(path, form, packed)
        if form.header
        else tuple(column.name for column in table.columns)
    )
    at = positions(table, names)
    fields = ", ".join(f"'f{i}': 'VARCHAR'" for i in range(len(names)))
    declared = ", ".join(
        f"f{at[column.name]} as t{i}" if column.name in at else f"null::varchar as t{i}"
        for i, column in enumerate(table.columns)
    )
    extra = [(name, f"f{i}") for i, name in enumerate(names) if i not in at.values()]
    whole = ", ".join(f"coalesce(f{i}, '')" for i in range(len(names)))
    relation = f"""
        select {declared}, {extra_object(extra)} as extra, null::varchar as defect,
            concat_ws({literal(form.delimiter)}, {whole}) as raw
        from read_csv({literal(str(path))}, auto_detect = false, columns = {{{fields}}},
            delim = {literal(form.delimiter)}, quote = {literal(form.quote)},
            escape = {literal(form.quote)}, header = {str(form.header).lower()}, nullstr = '',
            null_padding = false, strict_mode = true, hive_partitioning = false,
            compression = '{packed}', max_line_size = {MAX_LINE_BYTES},
            buffer_size = {2 * MAX_LINE_BYTES}, store_rejects = true, rejects_limit = 0,
            rejects_table = '{REJECTS}', rejects_scan = '{REJECTS}_scans')"""
    return Reading(
        relation,
        path,
        packed,
        names,
        2 if form.header else 1,
        keeps_rejects=True,
        undeclared=extra_names(extra),
    )
