"""What every destination is: its capabilities as data, and one method that sends a batch.

A destination type is one file in `reverse_etl/destinations/`; its errors say in their type what the
engine does next (`RetryError`, `RejectError`, `StopError`), so none has a retry loop of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar, Self

MODES = ("mirror", "upsert", "add_only", "update_only", "replace", "events")


@dataclass(frozen=True)
class Rate:
    """At most `requests` in any `seconds`."""

    requests: int
    seconds: float


@dataclass(frozen=True)
class Capabilities:
    """What a destination type can do; declarations are checked against it before anything runs.

    `max_rows` and `default_rows` are rows a batch; `max_bytes` is the longest request body, and a
    batch is packed to stay under it (`row_overhead` bytes a row on top of its fields as JSON).
    `parallel` is how many batches may be under way at once: `send` is then called from several
    threads. `one_operation` says that a batch has upserts or removals, never both;
    `changed_fields` that an update may carry changed fields alone; `exactly_once` that a batch and
    its idempotency key are written in one transaction, so that sending again repeats nothing;
    `repeats_in_parts` that rows which may have arrived may arrive once more in another batch: each
    says what is, whatever stands beside it, and nothing is left behind that works on them later.

    `connection_keys` are those that must be given, `optional_connection_keys` those that may be;
    `secret_keys` have to be `${NAME}` references. `known_fields` are the only target fields there
    are (None: any name goes); `required_fields` must be mapped and have a value in every upserted
    row; of `one_of_fields` at least one must. `reserved_fields` are names that the destination
    itself puts beside the mapped fields. `cannot` is a sentence for people: what it cannot do.
    """

    max_rows: int
    default_rows: int
    modes: frozenset[str]
    removal: bool
    connection_keys: frozenset[str]
    optional_connection_keys: frozenset[str] = frozenset()
    secret_keys: frozenset[str] = frozenset()
    known_fields: frozenset[str] | None = None
    required_fields: frozenset[str] = frozenset()
    one_of_fields: frozenset[str] = frozenset()
    reserved_fields: frozenset[str] = frozenset()
    max_bytes: int | None = None
    row_overhead: int = 0
    parallel: int = 1
    rate: Rate | None = None
    one_operation: bool = False
    changed_fields: bool = False
    exactly_once: bool = False
    repeats_in_parts: bool = False
    cannot: str = ""


@dataclass(frozen=True)
class Row:
    """One row of a batch.

    `fields` is a JSON object as text: `{}` for a removal, and for an update only what changed where
    the destination allows that. `remote_id` is what the destination answered for this key before
    (`RowAnswer.remote_id`), so a removal can address what was sent. `is_new` is false for a row
    that the destination holds, or may hold, already.
    """

    key: str
    operation: str  # upsert | remove
    fields: str = field(repr=False)
    remote_id: str | None = field(default=None, repr=False)
    is_new: bool = True


@dataclass(frozen=True)
class Batch:
    """Rows that travel together; sent again after a kill it is the same byte for byte.

    `position` counts from 1 to `of` within the run (a batch that was split keeps the position of
    what it was split from); `total_rows` are those of all `of` batches. `field_types` are DuckDB's
    types of `field_names`, where a destination has to make columns; empty if they are not known.
    """

    sync_name: str
    sync_run_id: str
    number: int
    idempotency_key: str
    field_names: tuple[str, ...]
    rows: Sequence[Row] = field(repr=False)
    mode: str = "mirror"
    position: int = 1
    of: int = 1
    total_rows: int = 0
    field_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowAnswer:
    """What the receiver said about one row: an error (`error_code` set), or what it is known by.

    `remote_id` None leaves what the ledger knows as it is; an empty one makes it forget that.
    `is_there`: refused, and yet something of the row is there, or may be, so that it has to be
    removed when its time comes.
    """

    error_code: str | None = None
    error: str | None = None
    remote_id: str | None = None
    is_there: bool = False


@dataclass(frozen=True)
class BatchAnswer:
    """An accepted batch. A row that is not in `rows` was accepted without a remark.

    `remark` is what the destination said that belongs to no single row (how many it did not take,
    and why): for people, without personal data.
    """

    http_status: int | None = None
    bytes_sent: int = 0
    rows: Mapping[str, RowAnswer] = field(default_factory=dict, repr=False)
    requests: int = 1
    remark: str = ""


@dataclass(frozen=True)
class Job:
    """A batch that the destination took and works on: ask `collect` again in `after_seconds`.

    The engine writes `job_id` to the ledger before it waits, so a killed run asks for the answer
    of the job instead of sending its rows again.
    """

    job_id: str
    after_seconds: float = 5.0
    bytes_sent: int = 0
    requests: int = 1


@dataclass(frozen=True)
class Body:
    """What one request would carry, to be looked at: no secret is in it."""

    title: str  # e.g. `POST https://…/batch/upsert`, or a file's name
    content: str = field(repr=False)


class DestinationError(Exception):
    """Trouble at a destination. The message is shown to people: no personal data, no secret.

    `detail` is what the destination said in its own words, which may quote rows: it is for the log
    of the one row that it is about, redacted, and for nothing else. `maybe_applied`: something of
    the batch may be there all the same.
    """

    detail = ""
    maybe_applied = False

    def __init__(self, message: str, *, code: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status


class RetryError(DestinationError):
    """Temporary trouble; `maybe_applied`: the batch may have arrived although no answer came."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        http_status: int | None = None,
        maybe_applied: bool,
        after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, code=code, http_status=http_status)
        self.maybe_applied = maybe_applied
        self.after_seconds = after_seconds


class RejectError(DestinationError):
    """The destination refused this batch for what is in it; a part of it may still pass."""


class StopError(DestinationError):
    """No batch will pass until a person changes something (a login, an address, a folder)."""


class Destination(ABC):
    """A destination type. Constructing one opens nothing; entering it may."""

    capabilities: ClassVar[Capabilities]

    @abstractmethod
    def __init__(self, connection: Mapping[str, str]) -> None:
        """Take a sync's resolved `connection`; raise StopError for a value of no use."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    @abstractmethod
    def send(self, batch: Batch) -> BatchAnswer | Job:
        """Send one batch and wait for its answer; raise RetryError, RejectError or StopError."""

    def collect(self, batch: Batch, job_id: str) -> BatchAnswer | None:
        """The answer to a batch that `send` answered with a Job; None while it is being worked on."""
        raise NotImplementedError

    def addresses(self, batch: Batch) -> Mapping[str, str]:
        """The `remote_id` of the rows where it follows from what is sent, before any answer.

        Asked for when a batch in flight is given up, so that what may have arrived can be removed.
        """
        return {}

    @abstractmethod
    def bodies(self, batch: Batch) -> Sequence[Body]:
        """What `send` would send for a batch; opens and sends nothing."""

    def check(self) -> str:
        """Try the connection without changing anything; what was found, for people.

        Called on an entered destination. Raises RetryError or StopError.
        """
        return "no check for this destination type"
