"""What every destination is: its capabilities as data, and one method that sends a batch.

A destination type is one file in `reverse_etl/destinations/`; its errors say in their type what the
engine does next (`RetryError`, `RejectError`, `StopError`), so none has a retry loop of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar, Self


@dataclass(frozen=True)
class Capabilities:
    """What a destination type can do; declarations are checked against it before anything runs.

    `max_rows` and `default_rows` are rows a batch. `connection_keys` are those that must be given,
    `optional_connection_keys` those that may be; `secret_keys` have to be `${NAME}` references.
    `required_fields` are target fields that must be mapped and have a value in every upserted row.
    `reserved_fields` are names that the destination itself puts beside the mapped fields.
    """

    max_rows: int
    default_rows: int
    modes: frozenset[str]
    removal: bool
    connection_keys: frozenset[str]
    optional_connection_keys: frozenset[str] = frozenset()
    secret_keys: frozenset[str] = frozenset()
    required_fields: frozenset[str] = frozenset()
    reserved_fields: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Row:
    """One row of a batch. `fields` is a JSON object as text (`{}` for a removal)."""

    key: str
    operation: str  # upsert | remove
    fields: str = field(repr=False)


@dataclass(frozen=True)
class Batch:
    """Rows that travel in one request; sent again after a kill it is the same byte for byte."""

    sync_name: str
    sync_run_id: str
    number: int
    idempotency_key: str
    field_names: tuple[str, ...]
    rows: Sequence[Row] = field(repr=False)


@dataclass(frozen=True)
class RowAnswer:
    """What the receiver said about one row: an error (`error_code` set), or the id it gave it."""

    error_code: str | None = None
    error: str | None = None
    remote_id: str | None = None


@dataclass(frozen=True)
class BatchAnswer:
    """An accepted batch. A row that is not in `rows` was accepted without a remark."""

    http_status: int | None = None
    bytes_sent: int = 0
    rows: Mapping[str, RowAnswer] = field(default_factory=dict, repr=False)


class DestinationError(Exception):
    """Trouble at a destination. The message is shown to people: no personal data, no secret."""

    def __init__(self, message: str, *, code: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status


class RetryError(DestinationError):
    """Temporary trouble. `maybe_applied`: the batch may have arrived although no answer came."""

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
    """The destination refused this batch for what is in it; other batches may still pass."""


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
    def send(self, batch: Batch) -> BatchAnswer:
        """Send one batch and wait for its answer; raise RetryError, RejectError or StopError."""
