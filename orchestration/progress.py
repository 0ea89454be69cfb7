"""What a person sees while a run is working: one line for each thing that got done."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO


@dataclass
class Progress:
    """Lines for a person, and seconds by step for the report. `stream=None` keeps silent."""

    stream: TextIO | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """One line, after the seconds since the run began."""
        if self.stream is not None:
            elapsed = time.monotonic() - self.started
            print(f"  {elapsed:6.1f}s  {text}", file=self.stream, flush=True)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count the seconds of a block towards a step."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began


def to_terminal() -> Progress:
    """Progress on standard error, so that `--json` on standard output stays clean."""
    return Progress(stream=sys.stderr)
