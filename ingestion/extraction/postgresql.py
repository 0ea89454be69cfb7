"""PostgreSQL over ADBC: binary COPY straight into Arrow batches.

Infinity, and days before the year 1 or after 9999, come out of the driver as some other moment: a
column that has such a value is read as text, and loading quarantines those rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from urllib.parse import parse_qsl, quote, urlencode

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as driver
import pyarrow as pa
from pyarrow import compute

from ingestion.extraction import (
    CONNECT_SECONDS,
    Batches,
    OutOfRangeError,
    Request,
    said,
    selection,
)
from ingestion.sources import FetchError

BATCH_BYTES = 8 << 20
_EPOCH = date(1970, 1, 1).toordinal()
_FIRST_DAY, _LAST_DAY = date.min.toordinal() - _EPOCH, date.max.toordinal() - _EPOCH
#: Types that the driver gives as they are; of any other it would give PostgreSQL's inner bytes.
_PLAIN = frozenset(
    (
        *("bool", "int2", "int4", "int8", "float4", "float8", "numeric", "bytea", "uuid"),
        *("text", "varchar", "bpchar", "char", "name", "json", "jsonb"),
        *("date", "timestamp", "timestamptz", "time"),
    )
)


@contextmanager
def read(request: Request) -> Iterator[Batches]:
    """The result in batches of about 8 MiB, in a read-only transaction whose time zone is UTC."""
    # COPY takes no parameters; backslashes are plain characters in '…' by default.
    sql = selection(request, '"', lambda bound: "'" + bound.replace("'", "''") + "'")
    try:
        with (
            driver.connect(_uri(request)) as con,
            con.cursor(
                adbc_stmt_kwargs={"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)}
            ) as cursor,
        ):
            schema = cursor.adbc_execute_schema(sql)
            cursor.execute(_readable(sql, schema, request.as_text))
            reader = cursor.fetch_record_batch()
            stored = pa.schema([(field.name, _storage(field.type)) for field in reader.schema])
            yield Batches(stored, (_plain(batch, stored) for batch in reader))
    except adbc_driver_manager.Error as error:
        raise FetchError(_explained(error, request)) from None


def _uri(request: Request) -> str:
    url = request.url
    user = url.username or ""
    if request.password:
        user += ":" + quote(request.password, safe="")
    settings = {
        "TimeZone": "UTC",
        "default_transaction_read_only": "on",
        # Else a large table is read from where somebody else's scan is, and never twice alike.
        "synchronize_seqscans": "off",
        "statement_timeout": f"{request.seconds}s",
    }
    options = " ".join(f"-c {key}={value}" for key, value in settings.items())
    query = dict(parse_qsl(url.query)) | {
        "connect_timeout": str(CONNECT_SECONDS),
        "tcp_user_timeout": "60000",
        "application_name": "mainstem",
        "options": options,
    }
    place = url.netloc.rpartition("@")[2]
    at = f"{user}@" if user else ""
    return f"postgresql://{at}{place}{url.path}?{urlencode(query, quote_via=quote)}"


def _readable(sql: str, schema: pa.Schema, as_text: frozenset[str]) -> str:
    """The query with whatever the driver has no type for turned into text by PostgreSQL."""
    columns = []
    for field in schema:
        name = '"' + field.name.replace('"', '""') + '"'
        kind = (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
        if kind.startswith("_"):
            columns.append(f"to_json({name})::text as {name}")
        elif kind == "money":  # its text depends on the server's locale, its bytes on the currency
            columns.append(f"{name}::numeric::text as {name}")
        elif kind in _PLAIN and field.name not in as_text:
            columns.append(name)
        else:
            columns.append(f"{name}::text as {name}")
    return f"select {', '.join(columns)} from (\n{sql}\n) as readable"


def _storage(kind: pa.DataType) -> pa.DataType:
    # A UUID's storage is its sixteen bytes: as text everybody can read it.
    if isinstance(kind, pa.UuidType):
        return pa.string()
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _plain(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    arrays = [
        pa.array([None if u is None else str(u) for u in array.to_pylist()], pa.string())
        if isinstance(array.type, pa.UuidType)
        else array.storage
        if isinstance(array, pa.ExtensionArray)
        else array
        for array in batch.columns
    ]
    if beyond := [
        field.name
        for field, array in zip(schema, arrays, strict=True)
        if pa.types.is_temporal(field.type) and _is_beyond(array)
    ]:
        raise OutOfRangeError(beyond)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _is_beyond(array: pa.Array) -> bool:
    """Whether a moment lies outside the years 1 to 9999."""
    if pa.types.is_date32(array.type):
        first, last, width = _FIRST_DAY, _LAST_DAY, pa.int32()
    elif pa.types.is_timestamp(array.type):
        per_day = 86_400 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[array.type.unit]
        first, last, width = _FIRST_DAY * per_day, (_LAST_DAY + 1) * per_day - 1, pa.int64()
    else:
        return False
    found = compute.min_max(array.cast(width))
    least, greatest = found["min"].as_py(), found["max"].as_py()
    return least is not None and (least < first or greatest > last)


def _explained(error: adbc_driver_manager.Error, request: Request) -> str:
    """What PostgreSQL said: names of things where the fault is in the declaration, never values."""
    code = error.sqlstate or ""
    text = str(error).partition("ERROR:")[2] or str(error)
    line = text.strip().splitlines()[0]
    if code[:2] not in ("42", "3D", "28"):
        line = said(text, request)
    if code.startswith("57014"):
        return f"PostgreSQL stopped after `timeout_seconds: {request.seconds}`: raise it"
    what = "`table` or `query`" if code.startswith("42") else "`connection.url` and its variables"
    return f"PostgreSQL refuses ({line}): check {what}"
