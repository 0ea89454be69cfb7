"""Batches that a destination takes first and works on then: when to ask for the answer again."""

import time

from reverse_etl.destination import Job, RetryError
from reverse_etl.flights import Flight
from reverse_etl.patience import RetryPolicy

JOB_PAUSE_GROWTH = 1.5
LONGEST_JOB_PAUSE = 30.0


def begin(flight: Flight, job: Job, policy: RetryPolicy) -> None:
    """Take note of a job that was begun."""
    flight.job_id, flight.maybe_applied = job.job_id, True
    flight.job_pause = job.after_seconds
    flight.job_ends_at = time.monotonic() + policy.job_seconds


def resume(flight: Flight, policy: RetryPolicy) -> None:
    """Give a job that an earlier run began its time in this run."""
    if flight.job_ends_at is None:
        flight.job_ends_at = time.monotonic() + policy.job_seconds


def longer_pause(flight: Flight, policy: RetryPolicy) -> float:
    """Seconds until a job that is not done is asked about again."""
    pause = max(flight.job_pause, policy.first_wait) * JOB_PAUSE_GROWTH
    flight.job_pause = min(LONGEST_JOB_PAUSE, pause)
    return flight.job_pause


def is_late(flight: Flight, seconds: float) -> bool:
    """Whether a job's time is up in so many seconds."""
    return flight.job_ends_at is not None and time.monotonic() + seconds > flight.job_ends_at


def unfinished(policy: RetryPolicy) -> RetryError:
    """What keeps a batch whose job's time is up."""
    return RetryError(
        f"the destination has worked on a batch for over {policy.job_seconds:g} s: the "
        "next run asks for its answer",
        code="job_unfinished",
        maybe_applied=True,
    )
