"""What people said of pairs, as labels: a CSV beside the rules, one line an answer.

left_key, right_key, is_match, stratum, probability and was_together (what the engine thought when
it was asked: the answer itself becomes a decision and says nothing of the engine any more),
author, answered_at.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path


class LabelsError(ValueError):
    """A labels file that cannot be used; the message names the file, the line and what is right."""


@dataclass(frozen=True)
class Label:
    """One answer about one pair."""

    left_key: str
    right_key: str
    is_match: bool
    stratum: str = ""
    probability: float | None = None
    was_together: bool | None = None
    author: str = ""
    answered_at: str = ""


COLUMNS = tuple(field.name for field in fields(Label))
NEEDED = COLUMNS[:3]
UNREADABLE = "cannot be read; save it as CSV in UTF-8, with commas and a line of column names"
TRUE, FALSE = ("true", "yes", "1", "y"), ("false", "no", "0", "n")


def read(path: Path) -> list[Label]:
    """Read labels of pairs; columns other than the first three may be missing.

    Raises LabelsError.
    """
    if not path.exists():
        raise LabelsError(f"{path}: there is no such file; `mainstem identity review` makes labels")
    with reading(path), path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            raise LabelsError(
                f"{path}: the column {missing[0]} is missing; labels are left_key, right_key,"
                " is_match (or contact_key, person_id)"
            )
        return [_label(row, f"{path}, line {reader.line_num}") for row in reader]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say of a file that is no text or no CSV what would be right, as LabelsError."""
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"{path}: {UNREADABLE}") from error


def _label(row: dict[str, str], place: str) -> Label:
    for name in NEEDED[:2]:
        if not row[name]:  # a short line has None
            raise LabelsError(f"{place}: {name} is missing; write a contact key (source:id)")
    probability = row.get("probability") or ""
    try:
        given = float(probability) if probability else None
    except ValueError:
        raise LabelsError(f"{place}: probability is {probability!r}, no number") from None
    together = row.get("was_together") or ""
    return Label(
        left_key=row["left_key"],
        right_key=row["right_key"],
        is_match=_flag(row["is_match"], place, "is_match"),
        stratum=row.get("stratum") or "",
        probability=given,
        was_together=_flag(together, place, "was_together") if together else None,
        author=row.get("author") or "",
        answered_at=row.get("answered_at") or "",
    )


def _flag(text: str | None, place: str, column: str) -> bool:
    word = (text or "").strip().lower()
    if word not in (*TRUE, *FALSE):
        raise LabelsError(f"{place}: {column} is {text!r}; write true or false")
    return word in TRUE


def write(path: Path, labels: Iterable[Label]) -> None:
    """Write all labels; the file appears by rename."""
    draft = path.with_suffix(".draft")
    with draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for label in labels:
            row = asdict(label)
            for name in ("is_match", "was_together"):
                row[name] = "" if row[name] is None else str(row[name]).lower()
            writer.writerow(row)
    draft.replace(path)
