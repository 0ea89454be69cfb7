"""How fast a vendor may be asked: its rate, and how long it asks to wait."""

import threading
import time
from collections import deque
from email.utils import parsedate_to_datetime

import httpx

from reverse_etl.destination import Rate


def asked_to_wait(response: httpx.Response, *, is_limit: bool = False) -> float | None:
    """Seconds that a response asks to wait: Retry-After (RFC 9110, 10.2.3), else a reset header.

    The latter only where a rate limit was met (`is_limit`), since many say with every answer when
    their window ends. Vendors give that moment in unix seconds or milliseconds, or the seconds
    until then; anything above a billion is read as a moment.
    """
    given = response.headers.get("Retry-After", "").strip()
    if given:
        try:
            return max(0.0, float(given))
        except ValueError:
            pass
        try:
            return max(0.0, float(parsedate_to_datetime(given).timestamp()) - time.time())
        except ValueError:
            pass
    for name in ("X-RateLimit-Reset", "RateLimit-Reset") if is_limit else ():
        try:
            reset = float(response.headers.get(name, ""))
        except ValueError:
            continue
        moment = reset / 1000 if reset > 1e11 else reset
        return max(0.0, moment - time.time() if moment > 1e9 else moment)
    return None


class Pace:
    """Keeps the requests of all threads under a vendor's rate."""

    def __init__(self, rate: Rate | None) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._made: deque[float] = deque()

    def wait(self) -> None:
        """Return when one more request may be made."""
        if self._rate is None:
            return
        with self._lock:
            now = time.monotonic()
            if len(self._made) >= self._rate.requests:
                free_at = self._made.popleft() + self._rate.seconds
                if free_at > now:
                    time.sleep(free_at - now)
            self._made.append(time.monotonic())
