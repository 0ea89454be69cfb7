"""Whose turn it is among the batches of a stage, and how long there is nothing to begin."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from reverse_etl.flights import Flight
from reverse_etl.outbox import Reader

# so often the main thread looks up, whatever it waits for
LONGEST_LOOK = 1.0


@dataclass
class Turns:
    """Batches that are due, and those that wait for another try or for the end of a job.

    One that waits keeps its place among the `most` that are under way.
    """

    reader: Reader
    due: deque[Flight] = field(default_factory=deque)
    waiting: list[Flight] = field(default_factory=list)
    paused_until: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.due or self.waiting)

    def put_first(self, flights: Sequence[Flight]) -> None:
        """Put halves in the place of what was halved."""
        self.due.extendleft(reversed(flights))

    def wait(self, flight: Flight, seconds: float) -> None:
        """Give a batch its next turn in so many seconds."""
        flight.due_at = time.monotonic() + seconds
        self.waiting.append(flight)

    def hold(self, seconds: float) -> None:
        """Begin nothing for so many seconds."""
        self.paused_until = max(self.paused_until, time.monotonic() + seconds)

    def next(self, under_way: int, most: int) -> list[Flight]:
        """What is to be started now: first what was waiting for its time, then what is new."""
        now = time.monotonic()
        if now < self.paused_until:
            return []
        free = most - under_way - len(self.waiting)
        starting = [flight for flight in self.waiting if flight.due_at <= now]
        self.waiting = [flight for flight in self.waiting if flight.due_at > now]
        while self.due and free > 0:
            flight = self.due.popleft()
            flight.batch = self.reader.read(flight.ref, (later.ref for later in self.due))
            starting.append(flight)
            free -= 1
        return starting

    def pause(self, under_way: int, most: int) -> float:
        """Seconds until there may be something to begin, one at most."""
        at = min((flight.due_at for flight in self.waiting), default=float("inf"))
        if self.due and under_way + len(self.waiting) < most:
            at = 0.0
        return min(LONGEST_LOOK, max(0.0, max(at, self.paused_until) - time.monotonic()))

    def end(self) -> list[Flight]:
        """The batches that get no turn any more."""
        left = [*self.due, *self.waiting]
        self.due.clear()
        self.waiting.clear()
        return left
