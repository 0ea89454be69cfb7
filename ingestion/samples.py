"""The beginning of a file that nobody declared yet, as something that DuckDB can read."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

from ingestion import file_text
from ingestion.sources import Format
from ingestion.sql import literal

_BYTES = 16 << 20
_WINDOWS_ONLY = re.compile(rb"[\x80-\x9f]")


def opened(path: Path, work: Path) -> tuple[dict[str, Any], str]:
    """The file's format block, and a relation of it: text columns, or typed ones of Parquet."""
    packed = file_text.compression(path, Format())
    name = path.name.lower() if packed == "none" else path.stem.lower()
    if name.endswith(".parquet"):
        return {"type": "parquet"}, f"read_parquet({literal(str(path))})"
    start, fallback = _start(path, packed)
    is_array = start.lstrip().startswith("[")
    if name.endswith((".ndjson", ".jsonl", ".json")):
        form: dict[str, Any] = {"type": "json" if is_array else "ndjson"}
        shape = "array" if is_array else "newline_delimited"
        read = path if is_array else _sample(start, work)
        return (
            form,
            f"read_json({literal(str(read))}, format = '{shape}', maximum_depth = 1, ignore_errors = {not is_array})",
        )
    first = next(
        csv.reader([start.split("\n", 1)[0]], delimiter=(delimiter := _delimiter(start))), []
    )
    has_header = bool(first) and len(set(first)) == len(first) and not any(map(_is_value, first))
    form = {"type": "csv"}
    if delimiter != ",":
        form["delimiter"] = delimiter
    if not has_header:
        form["header"] = False
    if fallback:
        form["encoding_fallback"] = fallback
    names = (
        [name.strip() for name in first]
        if has_header
        else [f"column{n}" for n in range(len(first))]
    )
    columns = ", ".join(f"{literal(name)}: 'varchar'" for name in names)
    options = f"delim = {literal(delimiter)}, header = {has_header}, columns = {{{columns}}}, quote = '\"'"
    options += ", auto_detect = false, null_padding = true, ignore_errors = true, parallel = false"
    return form, f"read_csv({literal(str(_sample(start, work)))}, {options})"


def _delimiter(start: str) -> str:
    """The separator that the first line has most of."""
    line = start.split("\n", 1)[0]
    return max((",", ";", "\t", "|"), key=lambda mark: (line.count(mark), mark == ","))


def _is_value(cell: str) -> bool:
    """A number, a date or an address is no column's name."""
    return not cell.strip() or "@" in cell or bool(re.match(r"\s*[-+(]?\d", cell))


def _start(path: Path, packed: str) -> tuple[str, str | None]:
    """The beginning of a file as text, whole lines; and the encoding of the lines that are no UTF-8.

    Windows writes letters such as the euro sign where Latin-1 has control characters, which nobody
    writes: one of them says that it is Windows' encoding.
    """
    with file_text.opened(path, packed) as stream:
        start = stream.read(_BYTES)
    if len(start) == _BYTES:
        start = start[: start.rfind(b"\n") + 1]
    start = start.removeprefix(b"\xef\xbb\xbf")
    try:
        return start.decode("utf-8"), None
    except UnicodeDecodeError:
        lines = start.split(b"\n")
        foreign = [line for line in lines if not _is_utf8(line)]
        fallback = "cp1252" if any(map(_WINDOWS_ONLY.search, foreign)) else "latin-1"
        return "\n".join(_decoded(line, fallback) for line in lines), fallback


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decoded(line: bytes, fallback: str) -> str:
    return line.decode("utf-8" if _is_utf8(line) else fallback, "replace")


def _sample(text: str, work: Path) -> Path:
    path = work / "sample"
    path.write_text(text, encoding="utf-8", newline="")
    return path
