"""The pages of a JSON API: where the records of one are, and where the next one is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urljoin, urlsplit

from ingestion.sources import FetchError

Query = dict[str, str]


def parsed(body: bytes, where: str) -> Any:
    """A page's JSON. A number that a float cannot hold exactly stays the text that it is."""
    try:
        return json.loads(body, parse_float=_exact, parse_constant=_refused)
    except (ValueError, InvalidOperation, RecursionError):
        raise FetchError(
            f"{where} answered with something that is not JSON: check `location`"
        ) from None


def at(document: Any, path: str | None) -> Any:
    """What a dotted path leads to; None where it leads to nothing."""
    for part in path.split(".") if path else ():
        document = document.get(part) if isinstance(document, dict) else None
    return document


def records(document: Any, path: str | None, where: str) -> list[Any]:
    """The page's records: the list at the path, or the page itself."""
    found = at(document, path)
    if not isinstance(found, list):
        raise FetchError(f"{where} has no list at `records: {path or '(the whole answer)'}`")
    return found


def following(  # noqa: PLR0911 - a style, an answer
    pages: Mapping[str, Any],
    url: str,
    query: Query,
    document: Any,
    found: list[Any],
    links: Mapping[str, Any],
) -> tuple[str, Query] | None:
    """The next page's URL and query, or None after the last.

    Raises FetchError for a link that leads to another server: the request's header is a secret.
    """
    style = pages.get("style")
    if style == "offset":
        size = int(pages.get("size", 100))
        param = str(pages.get("param", "offset"))
        if len(found) < size:
            return None
        return url, {**query, param: str(int(query.get(param, "0")) + len(found))}
    if style == "cursor":
        if "more" in pages and not at(document, pages["more"]):
            return None
        value = at(document, pages["next"]) if "next" in pages else None
        if "last" in pages:
            value = at(found[-1], pages["last"]) if found else None
        if value in (None, ""):
            return None
        return url, {**query, str(pages.get("param", "cursor")): str(value)}
    if style == "link":
        target = (links.get("next") or {}).get("url")
        if not target:
            return None
        target = urljoin(url, str(target))
        if urlsplit(target)[:2] != urlsplit(url)[:2]:
            raise FetchError(
                f"{url.partition('?')[0]}: the link to the next page leads to another server, "
                f"{urlsplit(target).hostname}: the login is not sent there"
            )
        return target, {}
    return None


def first(pages: Mapping[str, Any]) -> Query:
    """What the first page's query has to say about pages."""
    query: Query = {}
    if "size" in pages and "size_param" in pages:
        query[str(pages["size_param"])] = str(pages["size"])
    return query


def _exact(text: str) -> float | str:
    number = float(text)
    return number if Decimal(text) == Decimal(repr(number)) else text


def _refused(text: str) -> None:
    raise ValueError(text)
