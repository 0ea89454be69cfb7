"""The answer to "why are these one person?"."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from identity.explain import NotFoundError, explain


def test_the_chain_connects_every_node_of_large_sample_customers(sample: Any) -> None:
    customers = sample.con.execute(
        "select customer_id from identity.crosswalk group by all"
        " order by count(*) desc, customer_id limit 25"
    ).fetchall()
    for (customer_id,) in customers:
        found = explain(sample.con, customer_id)
        nodes = {n.node_key for n in found.nodes}
        reached = {next(iter(nodes))}
        for _ in found.chain:
            for link in found.chain:
                if {link.left_key, link.right_key} & reached:
                    reached |= {link.left_key, link.right_key}
        assert reached == nodes
        assert len(found.chain) == len(nodes) - 1
        assert found.weakest is not None
        assert all(link.summary for link in found.chain)
        json.dumps(found.to_dict())


@pytest.fixture
def household(warehouse: Any, smith: dict[str, object]) -> Any:
    shared = {"email": "the.smiths@gmail.com"}
    warehouse.contact("shop:1", user_id="C1", phone="+1 (617) 555-0134", **(smith | shared))
    warehouse.contact("crm:K-1", loyalty_card="HP-77", **(smith | shared))
    warehouse.contact("crm:K-2", **(smith | shared | {"first_name": "Robert"}))
    warehouse.contact("crm:K-3", first_name="Alice", last_name="Smith", email="info@smith.org")
    warehouse.contact("crm:K-4", user_id="C1", email="info@smith.org")
    warehouse.visitor("v1", user_id="C1")
    warehouse.resolve()
    return warehouse


@pytest.mark.parametrize(
    ("what", "found_as"),
    [
        ("shop:1", "record"),
        ("K-1", "record"),
        ("anon:v1", "record"),
        ("v1", "record"),
        ("THESMITHS+x@googlemail.com", "email"),
        ("617 555 0134", "phone"),
        ("hp77", "loyalty_card"),
        ("C1", "user_id"),
    ],
)
def test_a_customer_is_found_by_anything(household: Any, what: str, found_as: str) -> None:
    found = explain(household.con, what)
    assert found.customer_id == household.ids()["shop:1"]
    assert found.found_as == found_as


def test_what_was_kept_out_and_held_is_told(household: Any) -> None:
    found = explain(household.con, "C1")
    assert {e.other_customer_id for e in found.kept_out} == {household.ids()["crm:K-2"]}
    assert any(e.inactive_reason == "conflict: other_first_name" for e in found.kept_out)
    assert ("email", "info@smith.org", "placeholder") in {
        (h.identifier_type, h.identifier_value, h.reason) for h in found.held
    }
    assert {e.rule for e in found.chain} >= {"same_user_id", "visitor_user_id"}
    assert "same user id" in {e.summary.split(" + ")[0] for e in found.chain}
    twice = next(e for e in found.chain if {e.left_key, e.right_key} == {"crm:K-1", "shop:1"})
    assert any(text.startswith("same email") for text in (twice.summary, *twice.also))


def test_a_shared_value_names_the_other_customers(household: Any) -> None:
    found = explain(household.con, "the.smiths@gmail.com")
    assert found.other_customers == (household.ids()["crm:K-2"],)


def test_retired_ids_lead_to_the_survivor(warehouse: Any) -> None:
    w = warehouse
    w.contact("a:1", first_name="Ann", email="ann@lee.org")
    w.contact("b:1", first_name="Ann", phone="+1 617 555 0134")
    w.resolve()
    before = set(w.ids().values())
    w.contact("m:1", first_name="Ann", email="ann@lee.org", phone="+1 617 555 0134")
    w.resolve()
    (survivor,) = set(w.ids().values())
    (retired,) = before - {survivor}
    found = explain(w.con, retired)
    assert (found.customer_id, found.retired_id, found.merged_ids) == (
        survivor,
        retired,
        (retired,),
    )


def test_nothing_found_says_what_could_be_asked(household: Any) -> None:
    with pytest.raises(NotFoundError, match="customer id"):
        explain(household.con, "nobody@nowhere.org")


def test_explaining_imports_nothing_slow() -> None:
    code = (
        "import identity.explain, identity.evaluate, sys;"
        "slow = ('splink', 'scipy', 'pandas', 'pyarrow', 'numpy', 'phonenumbers');"
        "print([m for m in slow if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
