"""A batch under way: how far it has come, and what is kept of the answer it gets."""

from dataclasses import dataclass, field

from reverse_etl.booking import Booking
from reverse_etl.declarations import Sync
from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    Destination,
    RejectError,
    RetryError,
    RowAnswer,
)
from reverse_etl.outbox import BatchRef
from reverse_etl.redaction import redact


@dataclass(eq=False)
class Flight:
    """A batch and how far it has come. It keeps its turn while it waits for another try.

    `maybe_applied`: once one try may have arrived, the batch stays in flight whatever the next ones
    meet. `is_unsure`: a try or a part of one may have arrived besides the one that is answered, so
    a row that is refused may be there all the same. `marks` is how many tries the ledger knows of,
    `due_at` when to go on (time.monotonic). `is_tried_enough`: one more 500 says as much as several.
    """

    ref: BatchRef
    maybe_applied: bool
    job_id: str | None
    is_unsure: bool = False
    is_tried_enough: bool = False
    family: "Family | None" = None
    is_all_500: bool = True
    tries: int = 0
    marks: int = 0
    job_pause: float = 0.0
    job_ends_at: float | None = None
    due_at: float = 0.0
    batch: Batch = field(init=False, repr=False)


@dataclass(eq=False)
class Family:
    """What got nothing but 500 and was halved in this run, with the numbers of its halves."""

    whole: Flight
    error: RetryError
    numbers: list[int] = field(default_factory=list)
    is_answered: bool = False

    def hear(self) -> None:
        """Take note that something was said of one of its rows."""
        self.is_answered = True
        if self.whole.family:
            self.whole.family.hear()


def fault(sync: Sync, error: Exception) -> RetryError:
    """What is said of an exception that a destination's file should not have let through."""
    # its text may quote a row
    return RetryError(
        f"{type(error).__name__} in reverse_etl/destinations/{sync.destination}.py: this is a fault "
        "of that file",
        code="fault",
        maybe_applied=True,
    )


def refusal(flight: Flight, error: RejectError) -> BatchAnswer:
    """The answer that is booked for a batch that was refused and cannot be halved."""
    is_alone = len(flight.batch.rows) == 1
    told = RowAnswer(error.code, (is_alone and error.detail) or str(error))
    return BatchAnswer(error.http_status, rows={row.key: told for row in flight.batch.rows})


def booking_of(flight: Flight, answer: BatchAnswer, destination: Destination) -> Booking:
    """An answer as it is kept."""
    return Booking(
        flight.ref.number,
        answer.http_status,
        _told_of_rows(flight, answer, destination),
        answer.requests,
        answer.bytes_sent,
    )


def _told_of_rows(
    flight: Flight, answer: BatchAnswer, destination: Destination
) -> dict[str, RowAnswer]:
    """What was said about single rows, without the personal data that may be in a receiver's words.

    Rows that were refused and may be there all the same are known by what follows from the batch.
    """
    batch = flight.batch
    if not answer.rows:
        return {}
    is_refused = any(told.error_code for told in answer.rows.values())
    traces = destination.addresses(batch) if flight.is_unsure and is_refused else None
    return {
        row.key: RowAnswer(
            redact(told.error_code, row.key, row.fields) if told.error_code else None,
            redact(told.error, row.key, row.fields) if told.error else None,
            told.remote_id
            if traces is None or told.remote_id is not None or not told.error_code
            else traces.get(row.key),
            told.is_there or (traces is not None and bool(told.error_code)),
        )
        for row in batch.rows
        if (told := answer.rows.get(row.key))
    }
