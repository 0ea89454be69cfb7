"""Rows as a Parquet file, by DuckDB: decimals, lists and structs keep their types and digits."""

import re
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from reverse_etl import quoting
from reverse_etl.destination import Batch
from reverse_etl.json_values import column_types, family, parse, plain

LARGEST_PRECISION = 38


class BadValueError(Exception):
    """A value does not fit its column's type; the message has no value in it."""


def write_parquet(batch: Batch, path: Path) -> None:
    """Write operation (not in mode replace), key and the mapped fields; raises BadValueError.

    Texts that are no UTF-8 raise UnicodeError.
    """
    parsed = [parse(row.fields) for row in batch.rows]
    texts = {
        name: [plain(fields.get(name)) for fields in parsed]
        for name in dict.fromkeys(batch.field_names)
    }
    head: dict[str, list[str | None]] = {}
    if batch.mode != "replace":
        head["operation"] = [row.operation for row in batch.rows]
    head["key"] = [row.key for row in batch.rows]
    columns = head | texts
    rows = pa.table(
        {f"c{at}": pa.array(values, pa.string()) for at, values in enumerate(columns.values())}
    )
    types = column_types(batch)
    picked = [
        f"{_typed(f'c{at}', types[name], columns[name]) if name in types else f'c{at}'} "
        f"AS {quoting.name(name)}"
        for at, name in enumerate(columns)
    ]
    with duckdb.connect(config={"memory_limit": "1GB", "threads": 2}) as con:
        con.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
        con.register("given", rows)
        try:
            con.execute(
                f"COPY (SELECT {', '.join(picked)} FROM given) TO {quoting.text(str(path))} "
                "(FORMAT parquet, COMPRESSION zstd)"
            )
        except (
            duckdb.ConversionException,
            duckdb.OutOfRangeException,
            duckdb.InvalidInputException,
        ):
            # its message quotes the value
            raise BadValueError("a value does not fit the type of its column") from None


def _typed(column: str, duckdb_type: str, texts: Sequence[str | None]) -> str:
    """A column of texts cast to what its values were."""
    kind = family(duckdb_type)
    if kind == "text":
        return column
    if kind == "blob":
        return f"from_base64({column})"
    if kind == "json":
        is_plain = duckdb_type.upper() == "JSON"
        return f"{column}::JSON" if is_plain else f"{column}::JSON::{duckdb_type}"
    if kind == "decimal" and not duckdb_type.upper().startswith("DECIMAL("):
        # also for HUGEINT, which DuckDB would write as a float
        return _decimal(column, texts)
    return f"{column}::{duckdb_type}"


def _decimal(column: str, texts: Sequence[str | None]) -> str:
    """A decimal wide enough for every digit there is; text if none is."""
    whole = scale = 0
    for text in texts:
        if text is not None:
            before, _, after = text.lstrip("-").partition(".")
            whole, scale = max(whole, len(before)), max(scale, len(re.sub(r"\D", "", after)))
    if whole + scale > LARGEST_PRECISION:
        return column
    return f"{column}::DECIMAL({LARGEST_PRECISION}, {scale})"
