"""MySQL and MariaDB over PyMySQL, unbuffered, in batches.

Values come as the server writes them, and Arrow turns whole columns into numbers: neither a Python
object a value, nor a rounding. Dates and times stay text, because `0000-00-00` and `838:59:59` are
values there that no other type can hold: loading casts them, or quarantines their rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.cursors import SSCursor

from ingestion.extraction import CONNECT_SECONDS, Batches, Request, said, selection
from ingestion.sources import FetchError

ROWS = 20_000
_BINARY_CHARSET = 63
_UNSIGNED = 32
_TYPES = {
    FIELD_TYPE.TINY: pa.int64(),
    FIELD_TYPE.SHORT: pa.int64(),
    FIELD_TYPE.INT24: pa.int64(),
    FIELD_TYPE.LONG: pa.int64(),
    FIELD_TYPE.LONGLONG: pa.int64(),
    FIELD_TYPE.YEAR: pa.int64(),
    FIELD_TYPE.DOUBLE: pa.float64(),
    FIELD_TYPE.FLOAT: pa.float64(),
}
_BYTES = frozenset(
    (
        FIELD_TYPE.BLOB,
        FIELD_TYPE.TINY_BLOB,
        FIELD_TYPE.MEDIUM_BLOB,
        FIELD_TYPE.LONG_BLOB,
        FIELD_TYPE.STRING,
        FIELD_TYPE.VAR_STRING,
        FIELD_TYPE.VARCHAR,
        FIELD_TYPE.BIT,
        FIELD_TYPE.GEOMETRY,
    )
)


@contextmanager
def read(request: Request) -> Iterator[Batches]:
    """The result in batches of 20,000 rows, in a read-only transaction whose time zone is UTC."""
    try:
        with closing(_connect(request)) as con, con.cursor(SSCursor) as cursor:
            cursor.execute("set time_zone = '+00:00'")
            cursor.execute("start transaction read only")
            cursor.execute(selection(request, "`", lambda bound: str(con.escape(bound))))
            fields = vars(cursor)["_result"].fields  # PEP 249 has no flags
            schema = pa.schema([(field.name, _type(field)) for field in fields])
            yield Batches(schema, _batches(cursor, schema))
    except pymysql.MySQLError as error:
        code, text = (*error.args, "")[:2] if error.args else (0, "")
        at_fault = int(code or 0) in range(1044, 1065) or code in (1142, 1146)
        words = str(text) if at_fault else said(str(text), request)
        raise FetchError(
            f"MySQL refuses (error {code}: {words}): check `connection.url` and its variables, and "
            "`table` or `query`"
        ) from None


def _connect(request: Request) -> pymysql.Connection[Any]:
    url = request.url
    encoders: Any = dict(pymysql.converters.encoders)
    return pymysql.connect(
        host=url.hostname or "127.0.0.1",
        port=url.port or 3306,
        user=unquote(url.username or "") or None,
        password=request.password or "",
        database=url.path.lstrip("/") or None,
        charset="utf8mb4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=request.seconds,
        # No decoders: every value stays the server's own text.
        conv=encoders,
    )


def _type(field: Any) -> pa.DataType:
    if field.type_code in _BYTES and (
        field.charsetnr == _BINARY_CHARSET or field.type_code == FIELD_TYPE.BIT
    ):
        return pa.binary()
    if field.type_code == FIELD_TYPE.LONGLONG and field.flags & _UNSIGNED:
        return pa.uint64()
    if field.type_code in (FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL):
        return pa.string()
    return _TYPES.get(field.type_code, pa.string())


def _batches(cursor: SSCursor, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    while rows := cursor.fetchmany(ROWS):
        arrays = []
        for values, kind in zip(zip(*rows, strict=True), schema.types, strict=True):
            if pa.types.is_binary(kind) or pa.types.is_string(kind):
                arrays.append(pa.array(values, kind))
            else:
                arrays.append(pa.array(values, pa.string()).cast(kind))
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
