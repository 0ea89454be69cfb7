"""What a file of people is once it is read: the table `given`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class FileError(ValueError):
    """A file that cannot be read; the message names it and says what to do."""


@dataclass(frozen=True)
class GivenFile:
    """One file: its path, its headers (each on one line), and what was odd about it."""

    path: Path
    headers: tuple[str, ...]
    rows: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Given:
    """The table `given`: `columns` are the headers of c1, c2, ... over all files."""

    files: tuple[GivenFile, ...]
    columns: tuple[str, ...]
    rows: int

    def sql_name(self, header: str) -> str:
        """Return the column of `given` that holds `header`."""
        return f"c{self.columns.index(header) + 1}"
