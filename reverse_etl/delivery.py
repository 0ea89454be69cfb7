"""Sending planned batches: several under way at once, each until it is answered or given up.

Threads send and wait; the ledger is read and written by the main thread alone. A batch is `sent`
there, committed, before its thread is told to send it. Answers that arrive together are booked in
one transaction.
"""

import itertools
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime

import duckdb

from reverse_etl import jobs, outbox
from reverse_etl import ledger as books
from reverse_etl.booking import book
from reverse_etl.declarations import Sync
from reverse_etl.destination import (
    BatchAnswer,
    Destination,
    DestinationError,
    Job,
    RejectError,
    RetryError,
)
from reverse_etl.flights import Flight, booking_of, fault, refusal
from reverse_etl.halving import Halving, is_server_error, may_halve, take_apart
from reverse_etl.patience import Breaker, RetryPolicy, wait_before
from reverse_etl.turns import Turns

Progress = Callable[[int, int], None]
Answer = BatchAnswer | Job | None
# times `parallel`
MARKED_AHEAD = 3
REMARKS_KEPT = 5


@dataclass
class Delivery:
    """One run's batches on their way to one destination, which has been entered."""

    con: duckdb.DuckDBPyConnection
    sync: Sync
    run: books.OpenRun
    destination: Destination
    policy: RetryPolicy
    clock: Callable[[], datetime]
    parallel: int
    halving: Halving
    progress: Progress | None = None
    # jobs of these batches are asked about; they are not sent again
    last_asked: frozenset[int] = frozenset()
    trouble: DestinationError | None = None
    is_ending: bool = False  # nothing is begun any more
    is_all_500: bool = True  # what kept batches from being answered
    done: int = 0
    total: int = 0
    under_way: dict[Future[Answer], Flight] = field(default_factory=dict)
    # what the destination said that belongs to no row, each once
    remarks: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.breaker = Breaker(self.policy)
        self.turns = Turns(outbox.Reader(self.con, self.sync, self.run))

    def deliver(self, status: str, again: frozenset[int] = frozenset()) -> None:
        """Send the batches of a status (`sent`: those in flight, else `planned`), stage by stage.

        With `again`, only these, once more in this run, and with one try. Raises the
        DestinationError that kept a batch from being answered, after the others of its stage; what
        comes later is left then. `is_ending` says whether others would fare better.
        """
        is_repeat = status == "sent"
        refs = outbox.batches(self.con, self.run, status, again)
        self.done, self.total = 0, sum(ref.row_count for ref in refs)
        with ThreadPoolExecutor(self.parallel, thread_name_prefix="sync") as pool:
            for _, stage in itertools.groupby(refs, lambda ref: ref.stage):
                self.turns.due.extend(
                    Flight(
                        ref,
                        is_repeat,
                        ref.job_id,
                        is_unsure=is_repeat and ref.job_id is None,
                        is_tried_enough=bool(again),
                    )
                    for ref in stage
                )
                self._deliver_stage(pool)
                if self.trouble:
                    raise self.trouble

    @property
    def is_ended_by_500(self) -> bool:
        """Whether nothing is begun any more because batches got nothing but 500."""
        return self.is_ending and self.is_all_500 and isinstance(self.trouble, RetryError)

    def _deliver_stage(self, pool: ThreadPoolExecutor) -> None:
        while self.turns or self.under_way or self.halving.is_at_work:
            self._halve()
            if self.is_ending:
                self._leave(self.turns.end())
                self.halving.stop()
            most = 1 if self.halving.is_on_trial else self.parallel
            starting = self.turns.next(len(self.under_way), most)
            self._mark(starting)
            for flight in starting:
                self.under_way[self._start(pool, flight)] = flight
            pause = self.turns.pause(len(self.under_way), most)
            if self.under_way:
                arrived, _ = wait(self.under_way, pause, FIRST_COMPLETED)
                self._take_in([(self.under_way.pop(future), future) for future in arrived])
            elif self.turns:
                time.sleep(pause)
        self.halving.put_together(self.con, self.run)

    def _mark(self, starting: list[Flight]) -> None:
        """Note what is sent now, before it is; what is new together with the next ones.

        To be `sent` says that a batch may have arrived. One that is marked before its turn and is
        not sent after all is unmarked, or after a kill sent again for the first time.
        """
        sending = [flight for flight in starting if flight.job_id is None]
        marking = [flight for flight in sending if flight.marks == flight.tries]
        if marking:
            ahead = itertools.islice(self.turns.due, MARKED_AHEAD * self.parallel)
            marking += [flight for flight in ahead if flight.marks == 0]
            numbers = [flight.ref.number for flight in marking]
            outbox.mark_sent(self.con, self.run, numbers, self.clock())
        for flight in marking:
            flight.marks += 1
        for flight in sending:
            flight.tries += 1

    def _start(self, pool: ThreadPoolExecutor, flight: Flight) -> Future[Answer]:
        if flight.job_id is None:
            return pool.submit(self.destination.send, flight.batch)
        jobs.resume(flight, self.policy)
        return pool.submit(self.destination.collect, flight.batch, flight.job_id)

    def _take_in(self, arrived: list[tuple[Flight, Future[Answer]]]) -> None:
        """Book what was answered, and decide what comes next for what was not."""
        answered: list[tuple[Flight, BatchAnswer]] = []
        for flight, future in arrived:
            try:
                answer = future.result()
            except RejectError as error:
                self._doubt(flight, error)
                self._hear(flight, error.http_status)
                if flight.ref.number in self.last_asked:
                    continue
                if len(flight.batch.rows) > 1 and flight.batch.mode != "replace":
                    self._split(flight)
                    continue
                answered.append((flight, refusal(flight, error)))
            except RetryError as error:
                self._meet(flight, error)
            except DestinationError as error:
                books.count_requests(self.con, self.run, 1)
                self._doubt(flight, error)
                self._end(error)
                self._leave([flight])
            except Exception as error:
                flight.maybe_applied = True
                self._give_up(flight, fault(self.sync, error))
            else:
                if isinstance(answer, BatchAnswer):
                    self._hear(flight, answer.http_status)
                    answered.append((flight, answer))
                else:
                    self._wait_for_job(flight, answer)
        if answered:
            self._book(answered)

    def _book(self, answered: list[tuple[Flight, BatchAnswer]]) -> None:
        bookings = [booking_of(flight, answer, self.destination) for flight, answer in answered]
        book(self.con, self.run.sync_run_id, bookings, self.clock())
        for (flight, answer), booking in zip(answered, bookings, strict=True):
            rows = len(flight.batch.rows)
            self.done += rows
            if answer.remark and len(self.remarks) < REMARKS_KEPT:
                self.remarks.setdefault(answer.remark)
            if self.progress:
                self.progress(self.done, self.total)
            if error := self.breaker.answered(rows, booking.rows.values()):
                self._end(error)

    def _hear(self, flight: Flight, http_status: int | None) -> None:
        """Take note of an answer; without a status nothing was sent."""
        if http_status is not None:
            self.halving.hear()
        if flight.family:
            flight.family.hear()

    def _doubt(self, flight: Flight, error: DestinationError) -> None:
        """Take note that a try, or a part of it, may have arrived."""
        flight.maybe_applied = flight.maybe_applied or error.maybe_applied
        flight.is_unsure = flight.is_unsure or error.maybe_applied

    def _split(self, flight: Flight) -> None:
        """Find the bad row: the halves of a refused batch are tried at once, in its place."""
        books.count_requests(self.con, self.run, 1)
        # maybe an earlier try of the whole was applied after all; the halves say the same again
        status = "sent" if flight.maybe_applied else "planned"
        halves = outbox.split(self.con, self.run, flight.batch, status)
        is_unsure = flight.is_unsure or flight.job_id is not None
        flights = [Flight(ref, flight.maybe_applied, None, is_unsure) for ref in halves]
        self.turns.put_first(flights)

    def _halve(self) -> None:
        """Go on looking for rows that get nothing but 500, when it is their turn."""
        halving = self.halving
        if not halving.is_at_work or self.is_ending:
            return
        flights = (*self.turns.due, *self.turns.waiting, *self.under_way.values())
        # both halves first; and who is there to answer, answers the others before
        if any(flight.family for flight in flights) or (halving.is_alive and flights):
            return
        if found := halving.found():
            self._book(found)
        for flight, error in halving.give_up():
            self._give_up(flight, error)
        if not self.is_ending and (family := halving.next()):
            self.turns.put_first(take_apart(self.con, self.run, family))

    def _meet(self, flight: Flight, error: RetryError) -> None:
        """Try again later, or leave the batch to the next run."""
        books.count_requests(self.con, self.run, 1)
        if flight.job_id is not None:
            self._ask_again(flight, error, error.after_seconds)
            return
        self._doubt(flight, error)
        flight.is_all_500 = flight.is_all_500 and is_server_error(error)
        seconds = wait_before(self.policy, flight.tries, error.after_seconds)
        if seconds is None or (flight.is_tried_enough and flight.is_all_500):
            self._run_out(flight, error)
            return
        if error.after_seconds:
            # who asks to wait means everybody
            self.turns.hold(error.after_seconds)
        self.turns.wait(flight, seconds)

    def _run_out(self, flight: Flight, error: RetryError) -> None:
        """Look into a batch that is out of tries, or leave it."""
        if flight.is_all_500:
            is_halved = may_halve(self.destination.capabilities, flight.batch.mode)
            if is_halved and self.halving.take(flight, error):
                return
            outbox.leave_over_500(self.con, self.run, flight.ref.number)
        self._give_up(flight, error)

    def _give_up(self, flight: Flight, error: RetryError) -> None:
        """Leave a batch that gets no answer to the next run, and soon all of them."""
        self._leave([flight])
        self.trouble = self.trouble or error
        self.is_all_500 = self.is_all_500 and is_server_error(error)
        if self.breaker.broke(error) or self.halving.is_on_trial:
            self._end(error)

    def _wait_for_job(self, flight: Flight, answer: Job | None) -> None:
        """A job was begun, or is not done yet."""
        if answer is not None:
            outbox.note_job(self.con, self.run, flight.ref.number, answer.job_id)
            books.count_requests(self.con, self.run, answer.requests, answer.bytes_sent)
            jobs.begin(flight, answer, self.policy)
            self.turns.wait(flight, answer.after_seconds)
            return
        books.count_requests(self.con, self.run, 1)
        seconds = jobs.longer_pause(flight, self.policy)
        self._ask_again(flight, jobs.unfinished(self.policy), seconds)

    def _ask_again(self, flight: Flight, error: RetryError, seconds: float | None) -> None:
        """Ask about a job later; when its time is up, leave it to the next run."""
        seconds = seconds or max(flight.job_pause, 1.0)
        if jobs.is_late(flight, seconds):
            self.trouble = self.trouble or error
        else:
            self.turns.wait(flight, seconds)

    def _leave(self, flights: list[Flight]) -> None:
        """Leave batches to the next run: in flight if they may have arrived, else planned anew."""
        unsent = [
            flight.ref.number for flight in flights if flight.marks and not flight.maybe_applied
        ]
        if unsent:
            outbox.mark_unsent(self.con, self.run, unsent)

    def _end(self, error: DestinationError) -> None:
        # what stops everything is worth more than what kept one batch
        self.trouble = error if not self.is_ending else self.trouble
        self.is_ending = True
