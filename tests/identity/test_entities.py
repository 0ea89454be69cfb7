"""Records that sure evidence unites are scored as one; crowds and lone bridges link nobody."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import numpy as np
import pytest

from identity.clusters import cluster


def test_a_pair_is_scored_by_all_that_its_records_know(warehouse: Any) -> None:
    """The first two are one by their login; only together do they know what the third knows."""
    name: dict[str, object] = {"first_name": "Gwendolyn", "last_name": "Abernathy"}
    warehouse.contact("a:1", **name, user_id="U1", birth_date=date(1971, 3, 9))
    warehouse.contact("b:1", **name, user_id="U1", phone="617-555-0134", postal_code="02134")
    warehouse.contact(
        "c:1",
        first_name="Gwendolin",
        last_name="Abernathey",
        birth_date=date(1971, 3, 9),
        postal_code="02134",
    )
    warehouse.resolve()
    ids = warehouse.ids()
    assert len(set(ids.values())) == 1
    scored = warehouse.con.execute(
        "select left_key, right_key, evidence from identity.edges where rule = 'splink'"
    ).fetchall()
    assert len(scored) == 1
    left, right, evidence = scored[0]
    assert left in ("a:1", "b:1") and right == "c:1"
    assert json.loads(evidence)["records"] == [2, 1]


@pytest.mark.parametrize("name", ["'A' || i", "'Ann'", "null"])
def test_a_crowd_behind_one_email_costs_no_square(warehouse: Any, name: str) -> None:
    crowd = 4000
    warehouse.con.execute(
        f"""
        insert into canonical.contacts by name
        select 's:' || i as contact_key, 's' as source_system, {name} as first_name,
            'Smith' as last_name, 'family.smith@firm.org' as email, false as is_deleted
        from range({crowd}) as t(i)
        """
    )
    warehouse.con.execute(
        """
        insert into canonical.identifiers by name
        select contact_key as node_key, 'email' as identifier_type, email as identifier_value,
            false as is_verified
        from canonical.contacts
        """
    )
    summary = warehouse.resolve()
    assert summary.largest_cluster <= warehouse.rules.guards.max_cluster_size
    assert summary.edges < 40 * crowd
    held = warehouse.con.execute("select distinct kind from identity.held_clusters").fetchall()
    assert {("crowded_key",), ("too_large",), ("too_many_people",)} & set(held)


def two_groups(between: int) -> list[int]:
    """Two groups of three, with weaker edges from one to the other."""
    edges = [(0, 1, 9.0), (1, 2, 9.0), (3, 4, 9.0), (4, 5, 9.0)]
    edges += [(i, i + 3, 5.0) for i in range(between)]
    left, right, weight = (np.array(values) for values in zip(*edges, strict=True))
    nobody = np.zeros(0, dtype=np.int64)
    return cluster(
        6,
        left,
        right,
        weight,
        conflicts=(nobody, nobody),
        max_size=10,
        frail=weight < 8,
    ).tolist()


def test_a_weak_edge_alone_joins_no_two_groups() -> None:
    assert two_groups(1) == [0, 0, 0, 3, 3, 3]


def test_weak_edges_confirm_one_another() -> None:
    assert two_groups(2) == [0] * 6
