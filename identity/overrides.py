"""What people decided, `overrides.yml`: read, checked, and spread over the records it speaks of.

Invariant: the decisions that are handed on never contradict one another, not even through third
records; clustering can then keep all of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal, cast

import duckdb

from identity.contradictions import Decided, refuse
from identity.lookup import spellings
from identity.rules import Rules
from identity.sections import Section, read_yaml

Action = Literal["always_link", "never_link"]

ACTIONS = ("always_link", "never_link")
EMPTY = """\
# What people decided about who is one person. Decisions win over all evidence, hold through reruns, and are kept
# in Git with who made them and why. `mainstem identity review` writes here; a text editor does as well:
#
#   - action: never_link          # or always_link
#     left: crm:K-20001           # a contact key (source:id) ...
#     right: {email: jo@example.com}  # ... or every record that carries an identifier
#     author: jo
#     reason: twins, called both
#     created_at: 2026-07-01 12:00:00
version: 1
overrides: []
"""


@dataclass(frozen=True)
class Override:
    """One decision about two sides.

    A side is a contact key (`source:id`), or `type=value`: every record that carries the
    identifier. `place` is where it stands in the file, for messages.
    """

    action: Action
    left: str
    right: str
    author: str
    reason: str
    created_at: datetime
    place: str = ""

    @property
    def override_id(self) -> str:
        """The same decision has the same id, whoever made it and however it is ordered."""
        sides = sorted((self.left, self.right))
        return hashlib.sha256(json.dumps([self.action, *sides]).encode()).hexdigest()[:32]

    def to_entry(self) -> dict[str, object]:
        """Return the decision as an entry of the file."""
        return {
            "action": self.action,
            "left": _entry_side(self.left),
            "right": _entry_side(self.right),
            "author": self.author,
            "reason": self.reason,
            "created_at": self.created_at,
        }


def read(path: Path, rules: Rules) -> tuple[Override, ...]:
    """Read and check an overrides file; a missing or an empty one has no decisions.

    Raises RulesError, naming the file, the entry and what would be right.
    """
    if not path.exists():
        return ()
    return parse(path.read_text(encoding="utf-8"), path, rules)


def parse(text: str, path: Path, rules: Rules) -> tuple[Override, ...]:
    """Read overrides from `text`; `path` is what errors name. Raises RulesError."""
    content = read_yaml(text, path)
    if content is None:
        return ()
    root = Section(path, "", content)
    root.only("version", "overrides")
    if root.empty("overrides"):
        return ()
    types = tuple(i.identifier_type for i in rules.identifiers)
    return tuple(_override(entry, path, types) for entry in root.sections("overrides"))


def _override(entry: Section, path: Path, types: tuple[str, ...]) -> Override:
    entry.only("action", "left", "right", "author", "reason", "created_at")
    left, right = (_side(entry, key, types) for key in ("left", "right"))
    if left == right:
        raise entry.fail("right", "is the same as `left`; a decision is about two records")
    return Override(
        action=cast("Action", entry.choice("action", ACTIONS)),
        left=left,
        right=right,
        author=entry.text("author"),
        reason=entry.text("reason"),
        created_at=_moment(entry, "created_at"),
        place=f"{path}: `{entry.where}`",
    )


def _side(entry: Section, key: str, types: tuple[str, ...]) -> str:
    value = entry.plain(key)
    if isinstance(value, dict):
        carried = entry.section(key)
        carried.only(*types)
        if len(list(carried)) != 1:
            raise entry.fail(key, "must name one identifier, such as {email: jo@example.com}")
        (kind,) = carried
        if not isinstance(carried.plain(kind), str):
            raise carried.fail(kind, "must be text; put it in quotes")  # it may be a phone number
        return f"{kind}={carried.text(kind)}"
    # errors go into logs: what stands here may be an address or a number, and is not repeated
    if not isinstance(value, str) or ":" not in value:
        raise entry.fail(
            key, "is no contact key (source:id); an identifier is written {email: ...}"
        )
    text = value.strip()
    if text.startswith("anon:"):
        raise entry.fail(key, "is a visitor; decide about the contact that the visitor belongs to")
    return text


def _moment(entry: Section, key: str) -> datetime:
    value = entry.plain(key)
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    raise entry.fail(key, f"has {value!r}, which is no time like 2026-07-01 12:00:00")


def _entry_side(side: str) -> object:
    kind, sign, value = side.partition("=")
    return {kind: value} if sign and ":" not in kind else side


def config_hash(rules: Rules, overrides: Sequence[Override]) -> str:
    """Return the hash of everything that a person configured: rules and decisions."""
    if not overrides:
        return rules.config_hash
    decided = sorted((o.action, *sorted((o.left, o.right))) for o in overrides)
    return hashlib.sha256(json.dumps([rules.config_hash, decided]).encode()).hexdigest()[:16]


def spread(work: duckdb.DuckDBPyConnection, overrides: Sequence[Override]) -> list[str]:
    """Create `forced` and `forbidden`(left_key, right_key, override_id) from decisions, and
    `new_overrides`, the rows of identity.overrides.

    Returns warnings about decisions that wait for records that are not there (the next run asks
    again). Raises RulesError, naming both, where two decisions contradict each other. Needs
    `people` and `ids`.
    """
    rows: dict[Action, list[Decided]] = {"always_link": [], "never_link": []}
    warnings = []
    for override in overrides:
        left, right = (_records(work, side) for side in (override.left, override.right))
        for side, found in ((override.left, left), (override.right, right)):
            if not found:
                shown = _shown(work, side)
                warnings.append(
                    f"{override.place} waits: no record is known by {shown}"
                    " (deleted, not loaded yet, or misspelt)"
                )
        if override.action == "never_link":
            warnings += _warn_of_both(override, left, right)
            pairs = _apart(override, left, right)
        else:
            pairs = _star(left, right)
        rows[override.action] += [
            (min(a, b), max(a, b), override.override_id) for a, b in pairs if a != b
        ]
    places = {o.override_id: o.place for o in overrides}
    refuse(rows["always_link"], rows["never_link"], places)
    _fill(work, "forced", rows["always_link"])
    _fill(work, "forbidden", rows["never_link"])
    _fill_overrides(work, overrides)
    return warnings


def _shown(work: duckdb.DuckDBPyConnection, side: str) -> str:
    """A side of a decision for a message, without a person's address or number in it."""
    if _is_value(side):
        return side.partition("=")[0]
    source, _, key = side.partition(":")
    if "@" not in key and not re.fullmatch(r"[+0-9().\-/ ]{7,}", key):
        return side
    if work.execute(
        "select 1 from people where starts_with(node_key, ?) limit 1", [source + ":"]
    ).fetchall():
        return side
    return f"{source}:… (no source is called {source}; an identifier is written {{email: ...}})"


def _is_value(side: str) -> bool:
    kind, sign, _ = side.partition("=")
    return bool(sign) and ":" not in kind


def _records(work: duckdb.DuckDBPyConnection, side: str) -> list[str]:
    """The contacts that a side of a decision stands for, sorted."""
    if not _is_value(side):
        found = work.execute("select node_key from people where node_key = ?", [side]).fetchall()
    else:
        kind, _, value = side.partition("=")
        found = work.execute(
            """
            select distinct node_key
            from ids
            where is_contact and identifier_type = $1
                and (list_contains($2::varchar[], value) or given = $3)
            order by node_key
            """,
            [kind, spellings(value), value],
        ).fetchall()
    return [str(row[0]) for row in found]


def _apart(override: Override, left: list[str], right: list[str]) -> Iterable[tuple[str, str]]:
    """The pairs to keep apart.

    A record that carries both of two values is on neither side. One that a decision names itself
    stays on its side: it is kept apart from the other carriers.
    """
    both = set(left) & set(right)
    if _is_value(override.left):
        left = [key for key in left if key not in both]
    if _is_value(override.right):
        right = [key for key in right if key not in both]
    return ((a, b) for a in left for b in right)


def _warn_of_both(override: Override, left: list[str], right: list[str]) -> list[str]:
    """What is to say of records on both sides: a record cannot be kept apart from itself."""
    both = sorted(set(left) & set(right))
    if not both:
        return []
    shown = both[0] if len(both) == 1 else f"{both[0]} (and {len(both) - 1} more)"
    if _is_value(override.left) and _is_value(override.right):
        return [f"{override.place}: {shown} carries both values and is left out of that decision"]
    return [
        f"{override.place}: {shown} carries the value itself; it is kept apart from the others"
        " that carry it"
    ]


def _star(left: list[str], right: list[str]) -> Iterable[tuple[str, str]]:
    """As few pairs as hold all of both sides together; none where a side is missing."""
    if left and right:
        yield from ((left[0], other) for other in right)
        yield from ((other, right[0]) for other in left[1:])


def refuse_contradictions(overrides: Iterable[Override]) -> None:
    """Raise RulesError if decisions about contact keys contradict each other, by the keys alone.

    Decisions about identifiers are left out: only a run knows whom they speak of.
    """
    plain = [o for o in overrides if not _is_value(o.left) and not _is_value(o.right)]
    rows: dict[str, list[Decided]] = {action: [] for action in ACTIONS}
    for o in plain:
        rows[o.action].append((o.left, o.right, o.override_id))
    refuse(rows["always_link"], rows["never_link"], {o.override_id: o.place for o in plain})


def _fill(work: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[str, str, str]]) -> None:
    work.execute(
        f"""
        create or replace table {table} as
        select left_key, right_key, min(override_id) as override_id
        from (select unnest($1::varchar[]) as left_key, unnest($2::varchar[]) as right_key,
            unnest($3::varchar[]) as override_id)
        group by all
        order by all
        """,
        [[row[i] for row in rows] for i in range(3)],
    )


def _fill_overrides(work: duckdb.DuckDBPyConnection, overrides: Sequence[Override]) -> None:
    work.execute(
        """
        create or replace table new_overrides (override_id varchar, action varchar,
            left_key varchar, right_key varchar, author varchar, reason varchar,
            created_at timestamp)
        """
    )
    for o in {o.override_id: o for o in overrides}.values():
        work.execute(
            "insert into new_overrides values (?, ?, ?, ?, ?, ?, ?)",
            [o.override_id, o.action, o.left, o.right, o.author, o.reason, o.created_at],
        )
