"""Rows as CSV: UTF-8, comma, quotes doubled, NULL as an empty cell, lists and structs as JSON.

Text that a spreadsheet would run as a formula (it begins with = + - @, a tab or a carriage return)
gets an apostrophe in front, as OWASP advises. Numbers, and text made of digits and signs alone such
as a phone number +49 30 1234, are left as they are: they cannot call anything.
"""

import csv
import io
import re
from typing import Any

from reverse_etl.destination import Batch
from reverse_etl.json_values import Number, parse, plain

FORMULA_START = re.compile(r"[=+\-@\t\r]")
PLAIN_NUMBER = re.compile(r"[+-][0-9][0-9 .,()-]*")


def csv_of(batch: Batch) -> bytes:
    """A header, then one line a row: operation (not in mode replace), key and the mapped fields."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    # csv quotes the characters of its own line end alone: a carriage return would end a line unseen
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    is_delta = batch.mode != "replace"
    lines.writerow([*(["operation"] * is_delta), "key", *batch.field_names])
    for row in batch.rows:
        fields = parse(row.fields)
        cells = [cell(row.key), *(cell(fields.get(name)) for name in batch.field_names)]
        writer = quoted if any("\r" in value for value in cells) else lines
        writer.writerow([*([row.operation] * is_delta), *cells])
    return text.getvalue().encode()


def cell(value: Any) -> str:
    """A parsed JSON value as a CSV cell that no spreadsheet runs as a formula."""
    if (
        isinstance(value, str)
        and not isinstance(value, Number)
        and FORMULA_START.match(value)
        and not PLAIN_NUMBER.fullmatch(value)
    ):
        return f"'{value}"
    return plain(value) or ""
