"""HTTP requests that are tried again: after 429 and 5xx, as long as the server asks, or longer."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from ingestion.sources import FetchError

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 10
SILENCE_SECONDS = 60
ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 120
_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))


@dataclass(frozen=True)
class Answer:
    """A good answer: its body, unpacked, and the links of its Link header by their `rel`."""

    body: bytes
    links: Mapping[str, Any]


def get(
    client: httpx.Client, url: str, query: Mapping[str, str], *, most_bytes: int, where: str
) -> Answer:
    """GET, tried up to six times. Raises FetchError, which names `where` and never the query."""
    import httpx

    words = "no answer"
    for attempt in range(1, ATTEMPTS + 1):
        asked = None
        try:
            with client.stream("GET", url, params=query or None) as answer:
                if answer.status_code == 200:
                    links = {str(rel): link for rel, link in answer.links.items()}
                    return Answer(_body(answer, most_bytes, where), links)
                if answer.status_code not in _AGAIN:
                    raise FetchError(_refusal(answer.status_code, where))
                words = f"HTTP {answer.status_code}"
                asked = _retry_after(answer.headers.get("retry-after"))
        except httpx.RequestError as error:
            words = type(error).__name__
        except httpx.InvalidURL:
            raise FetchError(f"{where} is not a readable URL: check `location`") from None
        if asked is not None and asked > LONGEST_PAUSE_SECONDS:
            raise FetchError(f"{where} asks to wait {asked:.0f} seconds ({words}): run again later")
        if attempt < ATTEMPTS:
            time.sleep(_pause(attempt) if asked is None else asked + random.random() / 4)  # noqa: S311
    raise FetchError(
        f"{where} failed {ATTEMPTS} times ({words}): check that the service is up, and run again"
    )


def _pause(attempt: int) -> float:
    """Twice as long each time, and never in step with others who were refused at that moment."""
    return float(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * (0.5 + random.random() / 2))  # noqa: S311


def _body(answer: httpx.Response, most_bytes: int, where: str) -> bytes:
    body = bytearray()
    for block in answer.iter_bytes():
        body += block
        if len(body) > most_bytes:
            raise FetchError(
                f"{where} sends more than `max_bytes` allows: raise it, or ask for less"
            )
    return bytes(body)


def _refusal(status: int, where: str) -> str:
    if status in (401, 403):
        return f"{where} refused the login (HTTP {status}): check the variables in `connection`"
    if 300 <= status < 400:
        return f"{where} has moved (HTTP {status}): put the new address into `location`"
    return f"{where} answered HTTP {status}: check `location` and `params`"


def _retry_after(text: str | None) -> float | None:
    """Seconds, from a number of them or a date; None where neither stands there."""
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
