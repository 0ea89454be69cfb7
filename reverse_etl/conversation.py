"""Batches that take several requests, the later of which need the answers to the earlier ones."""

from abc import abstractmethod
from collections.abc import Generator, Mapping
from typing import Any

import httpx

from reverse_etl.answers import body_of
from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    DestinationError,
    Job,
    RejectError,
    RowAnswer,
    StopError,
)
from reverse_etl.http import Call, HttpDestination

# yields requests, is sent their responses, and returns what they said of single rows
Steps = Generator[Call, httpx.Response, Mapping[str, RowAnswer] | Job]


class Conversation(HttpDestination):
    """An HTTP destination whose batch is a talk; `calls` are the requests that are known before it."""

    @abstractmethod
    def steps(self, batch: Batch) -> Steps:
        """The talk about one batch."""

    def send(self, batch: Batch) -> BatchAnswer | Job:
        return self.talk(self.steps(batch))

    def look(self, path: str) -> dict[str, Any]:
        """What a job says of itself. RejectError for one that is gone: then its rows are sent again."""
        try:
            return body_of(self.request(Call("GET", path)))
        except StopError as error:
            if error.http_status not in {httpx.codes.NOT_FOUND, httpx.codes.GONE}:
                raise
            raise RejectError("the job is gone, and with it its answer", code="job_gone") from None

    def talk(self, steps: Steps) -> BatchAnswer | Job:
        """Make the requests of `steps` one by one; what they return is the answer."""
        status, sent, done, has_written = None, 0, 0, False
        response: httpx.Response | None = None
        try:
            while True:
                call = next(steps) if response is None else steps.send(response)
                response = self.request(call)
                status, sent, done = response.status_code, sent + len(call.content), done + 1
                has_written = has_written or (call.method != "GET" and response.is_success)
        except StopIteration as end:
            if isinstance(end.value, Job):
                return Job(end.value.job_id, end.value.after_seconds, sent, done)
            return BatchAnswer(status, sent, end.value, requests=done)
        except DestinationError as error:
            # whatever came then, a part is there already
            error.maybe_applied = error.maybe_applied or has_written
            raise
