"""From evidence to people: connected components, and a constrained tree where members contradict
one another.

Invariant: what is forced together is together; apart from that no cluster contains a pair in
conflict, nor more members than allowed. The result depends on the sets of edges and conflicts
alone, never on their order.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]
    Weights = NDArray[np.float64]
    Flags = NDArray[np.bool_]

Pair = tuple[int, int]

# Of so many records, a group is held by more than the edge that would join it.
SEVERAL = 3


def components(count: int, left: Codes, right: Codes) -> Codes:
    """Label each of `count` nodes with the smallest node of its connected component."""
    import numpy as np
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if count == 0:
        return np.zeros(0, dtype=np.int64)
    ones = np.ones(len(left), dtype=np.int8)
    graph = coo_matrix((ones, (left, right)), shape=(count, count))
    number, labels = connected_components(graph, directed=False)
    smallest = np.full(number, count, dtype=np.int64)
    np.minimum.at(smallest, labels, np.arange(count, dtype=np.int64))
    result: Codes = smallest[labels]
    return result


def cluster(
    count: int,
    left: Codes,
    right: Codes,
    weight: Weights,
    *,
    conflicts: tuple[Codes, Codes],
    max_size: int,
    forced: tuple[Codes, Codes] | None = None,
    sizes: Codes | None = None,
    frail: Flags | None = None,
) -> Codes:
    """Label each of `count` nodes with the smallest node of its cluster.

    `left`, `right` and `weight` (log2 odds, shape of the edges) are the evidence; `conflicts` are
    pairs that must not meet; `forced` are pairs that are one whatever conflicts and sizes say
    (conflicts between what they unite are void). `sizes` counts the records that each node stands
    for (one, if absent). A `frail` edge joins two groups of several records each only if another
    edge runs between them, too. Components without a conflict, without a frail edge and within
    `max_size` records stay whole. The others are built again from their strongest edge down (ties:
    smaller nodes first), leaving out each edge that would break a rule: Kruskal's algorithm with
    cannot-link constraints.
    """
    import numpy as np

    conflict_left, conflict_right = conflicts
    nobody = np.zeros(0, dtype=np.int64)
    forced_left, forced_right = forced if forced is not None else (nobody, nobody)
    labels = components(
        count, np.concatenate([left, forced_left]), np.concatenate([right, forced_right])
    )
    if count == 0:
        return labels
    if len(forced_left):
        united = components(count, forced_left, forced_right)
        void = united[conflict_left] == united[conflict_right]
        conflict_left, conflict_right = conflict_left[~void], conflict_right[~void]
    inside = labels[conflict_left] == labels[conflict_right]
    troubled = np.zeros(count, dtype=bool)
    troubled[labels[conflict_left[inside]]] = True
    if sizes is None:
        sizes = np.ones(count, dtype=np.int64)
    records = np.bincount(labels, weights=sizes, minlength=count)
    troubled[records > max_size] = True
    if frail is None:
        frail = np.zeros(len(left), dtype=bool)
    troubled[labels[left[frail]]] |= records[labels[left[frail]]] >= 2 * SEVERAL
    if not troubled.any():
        return labels
    edges = troubled[labels[left]]
    order = np.lexsort((right[edges], left[edges], -weight[edges]))
    apart: dict[int, set[int]] = defaultdict(set)
    for a, b in zip(conflict_left[inside].tolist(), conflict_right[inside].tolist(), strict=True):
        apart[a].add(b)
        apart[b].add(a)
    members = np.flatnonzero(troubled[labels]).tolist()
    joined = _join(
        members,
        [
            pair
            for pair in zip(forced_left.tolist(), forced_right.tolist(), strict=True)
            if troubled[labels[pair[0]]]
        ],
        list(zip(left[edges][order].tolist(), right[edges][order].tolist(), strict=True)),
        frail[edges][order].tolist(),
        apart,
        dict(zip(members, sizes[members].tolist(), strict=True)),
        max_size,
    )
    for node, root in joined.items():
        labels[node] = root
    return labels


def _join(
    members: list[int],
    forced: list[Pair],
    edges: list[Pair],
    frail: list[bool],
    apart: dict[int, set[int]],
    sizes: dict[int, int],
    max_size: int,
) -> dict[int, int]:
    """Union along `forced`, then along `edges` in their order unless a pair that is kept apart
    would meet, too many records would, or a frail edge stands alone; smaller into larger.
    """
    root = {node: node for node in members}
    group = {node: [node] for node in members}
    enemies: dict[int, set[int]] = {node: set(apart.get(node, ())) for node in members}
    beside: dict[int, list[int]] = defaultdict(list)
    if any(frail):
        for a, b in edges:
            beside[a].append(b)
            beside[b].append(a)

    def is_alone(keep: int, gone: int) -> bool:
        between = sum(root[far] == keep for node in group[gone] for far in beside[node])
        return between < 2 and sizes[keep] >= SEVERAL and sizes[gone] >= SEVERAL

    steps = chain(
        ((a, b, True, False) for a, b in forced),
        ((a, b, False, f) for (a, b), f in zip(edges, frail, strict=True)),
    )
    for a, b, is_forced, is_frail in steps:
        keep, gone = root[a], root[b]
        if keep == gone:
            continue
        if len(group[keep]) < len(group[gone]):
            keep, gone = gone, keep
        if not is_forced and (
            sizes[keep] + sizes[gone] > max_size
            or any(node in enemies[keep] for node in group[gone])
            or (is_frail and is_alone(keep, gone))
        ):
            continue
        for node in group[gone]:
            root[node] = keep
        group[keep] += group.pop(gone)
        enemies[keep] |= enemies.pop(gone)
        sizes[keep] += sizes.pop(gone)
    return {node: min(group[root[node]]) for node in members}
