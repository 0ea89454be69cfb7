"""How long trouble at a destination is met with another try, and when a run had better end."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from reverse_etl.destination import RetryError, RowAnswer, StopError


@dataclass(frozen=True)
class RetryPolicy:
    """How temporary trouble is met: tries a batch, and seconds between them (doubled, jittered).

    A receiver that asks for more than `longest_wait` seconds ends the run as incomplete instead. So
    do `broken_batches` in a row that are out of tries, and `refused_rows` rows that are all refused
    with one code while none was accepted. A job is asked about for `job_seconds` at most.
    `silent_halves` in a row that get 500 end the search for the rows that they are about.
    """

    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 60.0
    broken_batches: int = 3
    refused_rows: int = 25
    job_seconds: float = 600.0
    silent_halves: int = 10


def wait_before(policy: RetryPolicy, attempt: int, asked: float | None) -> float | None:
    """Seconds until the try after this one: at least what was asked for; None if there is none."""
    if attempt >= policy.tries or (asked or 0) > policy.longest_wait:
        return None
    backoff = min(policy.longest_wait, policy.first_wait * float(2 ** (attempt - 1)))
    # half fixed and half random, so that many clients do not come back at one moment
    jitter: float = random.uniform(0.5, 1.0)  # noqa: S311
    return max(asked or 0.0, backoff * jitter)


@dataclass
class Breaker:
    """Says when to stop trying: the destination is down, or refuses everybody for one reason."""

    policy: RetryPolicy
    broken_in_a_row: int = 0
    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    def broke(self, error: RetryError) -> bool:
        """Take note of a batch that is out of tries; whether the run should end."""
        self.broken_in_a_row += 1
        too_long = (error.after_seconds or 0) > self.policy.longest_wait
        return too_long or self.broken_in_a_row >= self.policy.broken_batches

    def answered(self, rows: int, answers: Iterable[RowAnswer]) -> StopError | None:
        """Take note of an answer to so many rows; the error to end with, if it is one too many."""
        codes = [answer.error_code for answer in answers if answer.error_code]
        self.broken_in_a_row = 0
        self.accepted += rows - len(codes)
        for code in codes:
            self.refused[code] = self.refused.get(code, 0) + 1
        if self.accepted or len(self.refused) != 1:
            return None
        ((code, count),) = self.refused.items()
        if count < self.policy.refused_rows:
            return None
        return StopError(
            f"the first {count} rows were all refused with {code}, so the others were not tried: "
            "reverse_etl.dead_letters has the destination's reason",
            code="all_refused",
        )
