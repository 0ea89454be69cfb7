"""The clustering core, on every small graph that Hypothesis can think of."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.clusters import cluster

NODES = 8
pairs = st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)).filter(
    lambda p: p[0] < p[1]
)
edges = st.dictionaries(pairs, st.integers(1, 5), max_size=14)
apart = st.sets(pairs, max_size=6)


def run(
    found: list[tuple[tuple[int, int], int]],
    conflicts: list[tuple[int, int]],
    max_size: int = NODES,
) -> list[int]:
    def column(values: list[int]) -> np.ndarray:
        return np.array(values, dtype=np.int64)

    return cluster(
        NODES,
        column([a for (a, _), _ in found]),
        column([b for (_, b), _ in found]),
        np.array([float(w) for _, w in found]),
        conflicts=(column([a for a, _ in conflicts]), column([b for _, b in conflicts])),
        max_size=max_size,
    ).tolist()


@given(edges, apart, st.integers(1, NODES))
@settings(deadline=None, max_examples=300)
def test_no_conflict_meets_and_none_is_too_large(
    found: dict[tuple[int, int], int], conflicts: set[tuple[int, int]], max_size: int
) -> None:
    labels = run(list(found.items()), list(conflicts), max_size)
    assert all(labels[a] != labels[b] for a, b in conflicts)
    assert max(labels.count(label) for label in labels) <= max_size
    for node, label in enumerate(labels):
        assert label <= node and labels[label] == label


@given(edges, apart)
@settings(deadline=None, max_examples=300)
def test_every_edge_left_out_would_have_broken_a_rule(
    found: dict[tuple[int, int], int], conflicts: set[tuple[int, int]]
) -> None:
    labels = run(list(found.items()), list(conflicts))
    for a, b in found:
        if labels[a] != labels[b]:
            left = [n for n in range(NODES) if labels[n] == labels[a]]
            right = [n for n in range(NODES) if labels[n] == labels[b]]
            met = {(min(p), max(p)) for p in itertools.product(left, right)}
            assert met & conflicts


@given(edges, apart, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=200)
def test_order_changes_nothing(
    found: dict[tuple[int, int], int], conflicts: set[tuple[int, int]], random: object
) -> None:
    shuffled, mixed = list(found.items()), list(conflicts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert run(list(found.items()), sorted(conflicts)) == run(shuffled, mixed)


@given(edges, apart, st.integers(1, 5))
@settings(deadline=None, max_examples=200)
def test_stricter_clusters_are_parts_of_broader_ones(
    found: dict[tuple[int, int], int], conflicts: set[tuple[int, int]], threshold: int
) -> None:
    broad = run(list(found.items()), list(conflicts))
    strict = run([e for e in found.items() if e[1] >= threshold], list(conflicts))
    assert all(broad[node] == broad[label] for node, label in enumerate(strict))
