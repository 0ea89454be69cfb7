"""A file as a relation: one SELECT that DuckDB runs straight over the file. One module a kind.

The relation's columns are `t0 … tn`, the declared columns as text (NULL where there is nothing);
`extra`, the undeclared ones as JSON; `defect`, why the record as a whole cannot be used; and
`raw`, the record's text for the quarantine. What a query does not ask for is not computed.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from ingestion import file_text
from ingestion.readers import delimited, documents, parquet
from ingestion.readers.delimited import MAX_LINE_BYTES
from ingestion.readers.relations import REJECTS, Reading
from ingestion.sources import LoadError, SourceTable

__all__ = ["MAX_LINE_BYTES", "REJECTS", "Reading", "reading"]


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
    if form.type == "parquet":
        return parquet.reading(con, table, types, file_text.plain_name(path, workspace))
    packed = file_text.compression(path, form)
    path, packed = file_text.prepared(path, form, packed, workspace, one_newline=one_newline)
    if form.type == "csv":
        return delimited.reading(table, form, path, packed)
    return documents.reading(con, table, types, form, path, packed)
