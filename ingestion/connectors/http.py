"""A paged JSON API: every page's records, one to a line, in one NDJSON file.

With a `cursor` only what changed since the last load is asked for, and the origin carries since
when; rows that come again are settled by the key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ingestion import checks, json_pages, requests, windows
from ingestion.checks import Where
from ingestion.cursors import begin
from ingestion.fetch import connection, resolve
from ingestion.sources import Arrival, FetchError, SourceTable
from ingestion.windows import Window

if TYPE_CHECKING:
    import httpx

CONNECTION_KEYS = ("auth", "auth_header", "username", "password")
SECRET_KEYS = ("auth", "password")
WRITES = "ndjson"
OPTION_KEYS = (
    "params", "pages", "records", "since_param", "since_format", "until_param", "max_pages", "max_bytes",
)  # fmt: skip
PAGES_KEYS = ("style", "param", "size", "size_param", "next", "last", "more")
STYLES = ("offset", "cursor", "link")
SINCE_FORMATS = ("iso", "unix", "text")
MAX_PAGES = 10_000
MAX_BYTES = 4 << 30


def check(block: Mapping[str, Any], at: Where) -> None:
    """Raise WrongError for options that do not go together."""
    if not str(block.get("location", "")).startswith(("http://", "https://", "$")):
        raise checks.WrongError((*at, "location"), "`location` is a URL: https://…")
    if "pages" in block:
        _check_pages(checks.mapping(block["pages"], (*at, "pages")), (*at, "pages"))
    params = checks.mapping(block.get("params", {}), (*at, "params"))
    for key, value in params.items():
        if isinstance(value, (dict, list)) or value is None:
            raise checks.WrongError((*at, "params", key), f"`{key}` is a text or a number")
    for key in ("records", "since_param", "until_param"):
        checks.text(block, key, at)
    checks.one_of(block, "since_format", SINCE_FORMATS, at)
    if ("since_param" in block) != ("cursor" in block):
        raise checks.WrongError(at, "`since_param` and `cursor` go together: give both or neither")
    if "until_param" in block and "since_param" not in block:
        raise checks.WrongError((*at, "until_param"), "`until_param` needs a `since_param`")
    for key in ("max_pages", "max_bytes"):
        checks.number(block, key, at)


def _check_pages(pages: Mapping[str, Any], at: Where) -> None:
    checks.known(pages, PAGES_KEYS, at)
    if "style" not in pages:
        raise checks.WrongError(at, f"`pages` needs a `style`: {', '.join(STYLES)}")
    checks.one_of(pages, "style", STYLES, at)
    for key in ("param", "size_param", "next", "last", "more"):
        checks.text(pages, key, at)
    if pages.get("size", 1) == 0:
        raise checks.WrongError((*at, "size"), "`size` is at least 1")
    checks.number(pages, "size", at)
    if pages["style"] == "offset" and "size" not in pages:
        raise checks.WrongError(at, "style offset needs `size`: a shorter page is the last one")
    if pages["style"] == "cursor" and ("next" in pages) == ("last" in pages):
        raise checks.WrongError(
            at, "style cursor needs `next` (where the answer says it) or `last` (a record's field)"
        )


def fetch(
    table: SourceTable,
    *,
    project_root: Path,  # noqa: ARG001 - nothing here is a path
    downloads: Path,
    env: Mapping[str, str],
    since: str | Window | None = None,
) -> tuple[Arrival, ...]:
    """Bring every page into `downloads/<source>/<table>/`, in place of what was brought before.

    An origin is the URL without its query, and when there is a `since`, `?since_param=…` or the window.
    """
    import httpx

    if table.ingest is None:
        raise FetchError(f"{table.source}.{table.name} is not declared rightly: see its problem")
    options = table.ingest.options
    url = resolve(table.ingest.location, env, "location")
    where = url.partition("?")[0]
    # A query in `location` would be lost: httpx replaces it by the parameters given.
    query = dict(httpx.QueryParams(url.partition("?")[2]))
    for key, value in options.get("params", {}).items():
        # YAML's true is an API's true, not Python's True.
        text = str(value).lower() if isinstance(value, bool) else str(value)
        query[key] = resolve(text, env, f"params.{key}")
    query |= json_pages.first(options.get("pages", {}))
    origin = where
    form = options.get("since_format", "iso")
    window = since if isinstance(since, Window) else None
    if window is not None:
        start, end = (_since(bound, form) for bound in windows.bounds(table, window))
        query[options["since_param"]] = start
        if "until_param" in options:
            query[options["until_param"]] = end
        origin += window.label
    elif table.ingest.cursor is not None and isinstance(since, str):
        start = _since(begin(table.ingest.cursor, since), form)
        query[options["since_param"]] = start
        origin += "?" + urlencode({options["since_param"]: start})
    folder = downloads / table.source / table.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(origin.encode()).hexdigest()[:16]}.ndjson"
    for old in folder.iterdir():
        if old != path and (old.suffix == ".ndjson" or old.name.endswith(".ndjson.partial")):
            old.unlink()  # loaded long ago, or half of it
    partial = path.with_name(f".{path.name}.partial")
    with _client(connection(table, env)) as client, partial.open("w", encoding="utf-8") as file:
        for record in _records(client, where, query, options):
            if window is not None and not _is_within(record, table, window):
                continue
            file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
    partial.replace(path)
    whole = table.ingest.cursor is not None and since is None
    return (Arrival(path, origin, is_whole=whole),)


def _client(given: Mapping[str, str]) -> httpx.Client:
    import httpx

    headers = {"accept": "application/json", "user-agent": "mainstem"}
    if "auth" in given:
        headers[given.get("auth_header", "authorization")] = given["auth"]
    login = (given["username"], given.get("password", "")) if "username" in given else None
    timeout = httpx.Timeout(requests.SILENCE_SECONDS, connect=requests.CONNECT_SECONDS)
    return httpx.Client(headers=headers, auth=login, timeout=timeout, trust_env=False)


def _records(
    client: httpx.Client, url: str, query: dict[str, str], options: Mapping[str, Any]
) -> Iterator[Any]:
    pages, where = options.get("pages", {}), url
    most_pages, left = options.get("max_pages", MAX_PAGES), options.get("max_bytes", MAX_BYTES)
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    page: tuple[str, dict[str, str]] | None = (url, query)
    while page is not None:
        url, query = page
        known = (url, tuple(sorted(query.items())))
        if known in seen:
            raise FetchError(f"{where} leads from page {len(seen)} back to one before: see `pages`")
        seen.add(known)
        if len(seen) > most_pages:
            raise FetchError(
                f"{where} has more than `max_pages: {most_pages}`: raise it, or ask for less"
            )
        answer = requests.get(client, url, query, most_bytes=left, where=where)
        left -= len(answer.body)
        document = json_pages.parsed(answer.body, where)
        found = json_pages.records(document, options.get("records"), where)
        yield from found
        page = json_pages.following(pages, url, query, document, found, answer.links)


def _is_within(record: Any, table: SourceTable, window: Window) -> bool:
    """Whether a record's cursor lies in the window. An API may answer with more than was asked for;
    what cannot be read is kept, for loading to say so."""
    name = table.ingest.cursor.column if table.ingest and table.ingest.cursor else ""
    names = next((n, *c.aliases) for c in table.columns if (n := c.name) == name)
    value = next((record[n] for n in names if isinstance(record, dict) and n in record), None)
    if value is None:
        return False
    try:
        if table.ingest and table.ingest.options.get("since_format") == "unix":
            moment = datetime.fromtimestamp(float(value), UTC)
        else:
            moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return True
    moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return window.start <= moment < window.end


def _since(text: str, form: str) -> str:
    """The cursor as the API wants it: ISO 8601 in UTC, Unix seconds, or as it is."""
    if form == "text":
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    if form == "unix":
        return str(int(moment.timestamp()))
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
