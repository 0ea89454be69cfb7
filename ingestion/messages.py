"""What a user is told about a file that cannot be loaded: no local path, nobody's data."""

from __future__ import annotations

import re

from ingestion.sources import Arrival, LoadError


def message(error: Exception, arrival: Arrival) -> str:
    """What went wrong with a file and what to do, without a local path or anybody's data."""
    if isinstance(error, LoadError):
        return f"{arrival.origin}: {error}"
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        return f"{arrival.origin}: cannot be read ({error.strerror}): check the file and run again"
    if found := re.search(r"Malformed JSON.*?at byte (\d+) in (\S+) (\d+): (.*?)\.?\s*$", text):
        byte, unit, number, reason = found.groups()
        return (
            f"{arrival.origin}: {unit} {number} is malformed JSON at byte {byte} ({reason}): "
            "deliver the file again, whole"
        )
    if "top-level JSON array" in text:
        return (
            f"{arrival.origin}: it is not a JSON array: declare `format.records`, or "
            "`format.type: ndjson` where each line is an object"
        )
    if re.search("gzip|zstd|zlib|compress", text, re.IGNORECASE):
        return (
            f"{arrival.origin}: its compression is broken or not what its name says: deliver it "
            "again, whole, or correct `format.compression`"
        )
    # DuckDB quotes values in its messages: nothing in quotes is repeated.
    text = re.sub(r"\"[^\"]*\"|'[^']*'", "…", text).replace(str(arrival.path), arrival.origin)
    return f"{arrival.origin}: cannot be read ({text}): check the file against `format`"
