"""Decisions that cannot all hold: two records kept apart that others, maybe through third records,
hold together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from identity.sections import RulesError

Decided = tuple[str, str, str]
"""Two records, and the id of the decision about them."""


def refuse(always: Sequence[Decided], never: Sequence[Decided], places: Mapping[str, str]) -> None:
    """Raise RulesError, naming both sides by their place, if `never` parts what `always` joins.

    `places` says for a decision's id where it stands. Nearly linear: the decisions in between are
    searched for only where there is a contradiction to explain.
    """
    group_of = _groups(always)
    for left, right, override_id in never:
        if left in group_of and group_of[left] == group_of.get(right):
            through = "; ".join(dict.fromkeys(places[step] for step in _path(always, left, right)))
            raise RulesError(
                f"{places[override_id]} (never_link) contradicts {through} (always_link):"
                f" {left} and {right} cannot be both; remove one of them"
            )


def _groups(always: Sequence[Decided]) -> dict[str, str]:
    """Each record that is held together with another, and the record that its group goes by."""
    parent: dict[str, str] = {}

    def find(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            # halving the way on each visit is what keeps long chains from becoming quadratic
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for left, right, _ in always:
        parent[find(left)] = find(right)
    return {node: find(node) for node in list(parent)}


def _path(always: Sequence[Decided], start: str, end: str) -> list[str]:
    """The decisions that lead from one record to another."""
    neighbours: dict[str, list[tuple[str, str]]] = {}
    for left, right, override_id in always:
        neighbours.setdefault(left, []).append((right, override_id))
        neighbours.setdefault(right, []).append((left, override_id))
    came: dict[str, tuple[str, str]] = {}
    waiting = [start]
    for node in waiting:
        for other, override_id in neighbours[node]:
            if other not in came and other != start:
                came[other] = (node, override_id)
                waiting.append(other)
    path = []
    while end != start:
        end, override_id = came[end]
        path.append(override_id)
    return path[::-1]
