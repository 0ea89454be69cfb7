"""Finding the rows that a receiver meets with nothing but 500: which batches are halved, and when.

A 500 says neither yes nor no, so a batch is left in flight over it, and sent again whole by the next
run. If it gets nothing else in all tries of that run either, it is taken apart, one batch at a time:
both halves of a piece are tried once before the newest piece that got 500 again is halved, so that
one row among many never makes for more than two of them in a row.

A receiver that answers 500 to everybody looks the same. So nothing counts as found before the
receiver has answered something else in this run; too many halves in a row that get 500 end the
search; and halves of which nothing was answered are put together again, so that batches do not go
to pieces in run after run. Of rows that were found before, 500 is what is expected.
"""

from collections.abc import Set
from dataclasses import dataclass, field

import duckdb

from reverse_etl import outbox
from reverse_etl.destination import BatchAnswer, Capabilities, RetryError, RowAnswer
from reverse_etl.flights import Family, Flight
from reverse_etl.ledger import OpenRun
from reverse_etl.outbox import FOUND_CODE, SERVER_ERROR

# a session means something as a whole alone, and an event happens as often as it is told
WHOLE_MODES = frozenset({"replace", "events"})

# what got 500 in all its tries, with what was said last
Suspect = tuple[Flight, RetryError]


def is_server_error(error: RetryError) -> bool:
    """Whether it may be about a row: other statuses, and who asks to wait, speak of the server."""
    return error.http_status == SERVER_ERROR and error.after_seconds is None


def may_halve(capabilities: Capabilities, mode: str) -> bool:
    """Whether rows that may have arrived may be sent again under another idempotency key."""
    return capabilities.repeats_in_parts and mode not in WHOLE_MODES


@dataclass
class Halving:
    """What is suspected of holding such rows. One for all deliveries of a run.

    `longest_silence` is how many halves in a row may get 500; `known` are the keys of rows that an
    earlier run found; `fresh` has the numbers of batches that this run was the first to leave.
    """

    longest_silence: int
    known: Set[str]
    is_alive: bool = False  # the receiver has answered something in this run
    # what was in flight got nothing but 500: one batch of the plan tells whether to go on
    is_on_trial: bool = False
    silence: int = 0
    due: list[Suspect] = field(default_factory=list)
    # of the batch that is being taken apart
    at: Family | None = None
    pieces: list[Suspect] = field(default_factory=list)
    rows: list[Suspect] = field(default_factory=list)
    families: list[Family] = field(default_factory=list)
    fresh: set[int] = field(default_factory=set)

    @property
    def is_at_work(self) -> bool:
        """Whether there is anything to look into."""
        return bool(self.at or self.due or self.rows)

    @property
    def is_lost(self) -> bool:
        """Whether the receiver seems to answer nobody."""
        return self.silence >= self.longest_silence

    def hear(self) -> None:
        """Take note of an answer."""
        self.is_alive, self.silence, self.is_on_trial = True, 0, False

    def take(self, flight: Flight, error: RetryError) -> bool:
        """Take what got 500 in all its tries; False if it is to be left to the next run."""
        is_row = flight.ref.row_count == 1
        is_expected = all(row.key in self.known for row in flight.batch.rows)
        if flight.family:
            self.silence += not is_expected
            (self.rows if is_row else self.pieces).append((flight, error))
            return True
        if not flight.ref.is_left_over_500:
            self.fresh.add(flight.ref.number)
            return False
        if self.is_lost or (is_row and not (is_expected or self.is_alive)):
            return False
        (self.rows if is_row else self.due).append((flight, error))
        return True

    def found(self) -> list[tuple[Flight, BatchAnswer]]:
        """The rows that were found, each with the answer that is booked for it."""
        # two or more in a row may be the receiver's end, as long as there is a piece to ask it about
        is_doubtful = self.silence > 1 and bool(self.pieces)
        is_clear = self.is_alive and not (self.is_lost or is_doubtful)
        found = [one for one in self.rows if is_clear or one[0].batch.rows[0].key in self.known]
        self.rows = [one for one in self.rows if one not in found]
        for flight, _ in found:
            if flight.family:
                flight.family.hear()
        return [(flight, _refused(flight, error)) for flight, error in found]

    def give_up(self) -> list[Suspect]:
        """The batches that cannot be looked into any further for now."""
        given_up: list[Suspect] = []
        if self.at and (self.is_lost or (self.rows and not self.pieces)):
            given_up.append((self.at.whole, self.at.error))
        if self.is_lost:
            given_up += [*self.due, *(one for one in self.rows if not one[0].family)]
            self.stop()
        elif not self.pieces:
            self.at, self.rows = None, []
        return given_up

    def next(self) -> Family | None:
        """What is to be halved now: of the batch that is being taken apart, else the longest one."""
        if self.at:
            family = Family(*self.pieces.pop())
        elif self.due:
            longest = max(self.due, key=lambda suspect: suspect[0].ref.row_count)
            self.due.remove(longest)
            family = self.at = Family(*longest)
        else:
            return None
        self.families.append(family)
        return family

    def stop(self) -> None:
        """Look for nothing any more."""
        self.at = None
        for suspects in (self.due, self.pieces, self.rows):
            suspects.clear()

    def put_together(self, con: duckdb.DuckDBPyConnection, run: OpenRun) -> None:
        """Undo at the end of a stage what brought nothing, beginning with the smallest pieces."""
        for family in reversed(self.families):
            if not family.is_answered:
                outbox.put_together(con, run, family.whole.ref.number, family.numbers)
        self.families.clear()


def take_apart(con: duckdb.DuckDBPyConnection, run: OpenRun, family: Family) -> list[Flight]:
    """The halves of what may have arrived, each to be tried once."""
    halves = outbox.split(con, run, family.whole.batch, "sent", is_left_over_500=True)
    family.numbers += [ref.number for ref in halves]
    return [
        Flight(ref, True, None, is_unsure=True, is_tried_enough=True, family=family)
        for ref in halves
    ]


def _refused(flight: Flight, error: RetryError) -> BatchAnswer:
    told = RowAnswer(FOUND_CODE, error.detail or str(error))
    # its tries were counted as they were made
    return BatchAnswer(SERVER_ERROR, rows={row.key: told for row in flight.batch.rows}, requests=0)
