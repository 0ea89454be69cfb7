"""A table or a query of a database, whole or from where the last extraction ended, as Parquet.

A whole extraction replaces the one before it, for its origin is the same. An incremental one's
origin carries where its window begins; rows of a window overlap with those loaded before, which is
why a `cursor` needs a `key`: the newest of them stands.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ingestion import checks, extraction, windows
from ingestion.checks import Where
from ingestion.cursors import begin
from ingestion.fetch import connection
from ingestion.sources import Arrival, FetchError, SourceTable
from ingestion.windows import Window

CONNECTION_KEYS = ("url", "password")
SECRET_KEYS = ("password",)
WRITES = "parquet"
OPTION_KEYS = ("table", "query", "timeout_seconds")
#: What a URL's scheme may be, and the engine that reads it.
ENGINES = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "sqlite": "sqlite",
    "mysql": "mysql",
    "mariadb": "mysql",
}


def location(block: Mapping[str, Any]) -> str | None:
    """The table's name, or `query`: it has no other location."""
    table = block.get("table")
    return table if isinstance(table, str) else "query"


def check(block: Mapping[str, Any], at: Where) -> None:
    """Raise WrongError for a missing URL, a password in it, or not one of `table` and `query`."""
    url = str(block["connection"].get("url") or "")
    where: Where = (*at, "connection", "url")
    if not url:
        raise checks.WrongError(
            (*at, "connection"),
            "connector database needs `connection.url`, such as postgresql://user@host/database",
        )
    if not url.startswith("$"):
        _known_scheme(url, where)
    if re.search(r"://[^/@:]*:(?!\$\{)[^/@]+@", url):
        raise checks.WrongError(
            where, "a password stands in `url`: put it into `password: ${NAME}`"
        )
    for key in ("table", "query"):
        checks.text(block, key, at)
    if ("table" in block) == ("query" in block):
        raise checks.WrongError(at, "connector database needs either `table` or `query`")
    if "location" in block:
        raise checks.WrongError(
            (*at, "location"), "connector database has no `location`: give `table` or `query`"
        )
    checks.number(block, "timeout_seconds", at)


def _known_scheme(url: str, where: Where) -> None:
    scheme = url.partition(":")[0]
    if scheme not in ENGINES:
        hint = checks.nearest(scheme, ENGINES) or f"; it is one of {', '.join(ENGINES)}"
        raise checks.WrongError(where, f"`url` begins with an unknown database {scheme}{hint}")


def fetch(
    table: SourceTable,
    *,
    project_root: Path,
    downloads: Path,
    env: Mapping[str, str],
    since: str | Window | None = None,
) -> tuple[Arrival, ...]:
    """Extract into `downloads/<source>/<table>/`, in place of the extraction before.

    An origin is `postgresql://host/database/table`, without port and user, and when there is a
    `since`, `?column>=start` or the window.
    """
    if table.ingest is None:
        raise FetchError(f"{table.source}.{table.name} is not declared rightly: see its problem")
    given, options = connection(table, env), table.ingest.options
    try:
        url = urlsplit(given.get("url", ""))
        scheme, _ = url.scheme, url.port
    except ValueError:
        raise FetchError("`connection.url` is not a readable URL") from None
    if scheme not in ENGINES:
        raise FetchError(f"`connection.url` begins with none of {', '.join(ENGINES)}")
    cursor = table.ingest.cursor
    request = extraction.Request(
        url=url,
        password=given.get("password") or unquote(url.password or "") or None,
        root=project_root,
        table=options.get("table"),
        query=options.get("query"),
        seconds=options.get("timeout_seconds", 3600),
    )
    place = f"{scheme}://{url.hostname or ''}{url.path}"
    origin = f"{place}/{options.get('table', 'query')}"
    if cursor is not None and isinstance(since, Window):
        start, end = windows.bounds(table, since)
        request = replace(request, column=cursor.column, start=start, end=end)
        origin += since.label
    elif cursor is not None and isinstance(since, str):
        start = begin(cursor, since)
        request = replace(request, column=cursor.column, start=start)
        origin += f"?{cursor.column}>={start}"
    folder = downloads / table.source / table.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(origin.encode()).hexdigest()[:16]}.parquet"
    for old in folder.iterdir():
        if old != path and (old.suffix == ".parquet" or old.name.endswith(".parquet.partial")):
            old.unlink()  # loaded long ago, or half of it
    extraction.write(request, ENGINES[scheme], path)
    return (Arrival(path, origin, is_whole=cursor is not None and since is None),)
