"""What the sample's stand-ins have in common: they serve on loopback while a block runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

STOP_TIMEOUT_S = 2.0


class StandIn(ABC):
    """`with StandIn(...) as it:` serves at `host` and `port` until the block ends.

    With port 0 the system chooses one, which `port` is once it has started, and stays.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    @abstractmethod
    def start(self) -> Self:
        """Start serving; harmless if it does already. Raises OSError if the port is taken."""

    @abstractmethod
    def stop(self) -> None:
        """Stop serving within about two seconds, whoever is connected; harmless if it does not run."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
