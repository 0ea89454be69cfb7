"""Ids stay: through merges, splits, deletions and returns; and history tells what happened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from identity.lookup import resolve_forward
from identity.stable_ids import new_id


def test_a_connecting_record_makes_the_older_id_survive(warehouse: Any) -> None:
    w = warehouse
    w.contact("z:1", first_name="Ann", last_name="Lee", email="ann@lee.org")
    w.resolve()
    older = w.ids()["z:1"]
    w.contact("a:1", first_name="Ann", last_name="Ray", phone="+1 617 555 0134")
    w.resolve()
    younger = w.ids()["a:1"]
    assert older != younger
    w.contact(
        "m:1", first_name="Ann", last_name="Ray", email="ann@lee.org", phone="+1 617 555 0134"
    )
    summary = w.resolve()
    assert set(w.ids().values()) == {older}
    assert summary.merges == 1
    assert w.events() == [("merge", younger, older)]
    assert resolve_forward(w.con, younger) == older


def test_a_split_keeps_the_id_with_most_records_and_is_recorded(warehouse: Any) -> None:
    w = warehouse
    w.contact("a:1", first_name="Ann", email="ann@lee.org")
    w.contact("b:1", first_name="Ann", email="ann@lee.org", phone="+1 617 555 0134")
    w.contact("c:1", first_name="Ann", phone="+1 617 555 0134", user_id="C1")
    w.contact("c:2", first_name="Ann", user_id="C1")
    w.resolve()
    (before,) = set(w.ids().values())
    w.delete("b:1")
    summary = w.resolve()
    ids = w.ids()
    assert "b:1" not in ids
    assert ids["c:1"] == ids["c:2"] == before
    assert ids["a:1"] != before
    assert summary.splits == 1
    assert w.events() == [("split", before, ids["a:1"])]


def test_an_id_is_never_used_again(warehouse: Any) -> None:
    w = warehouse
    w.contact("a:1", first_name="Ann", email="ann@lee.org")
    w.resolve()
    first = w.ids()["a:1"]
    w.delete("a:1")
    w.resolve()
    assert w.ids() == {}
    assert w.events() == [("erase", first, None)]
    assert resolve_forward(w.con, first) is None
    w.con.execute("update canonical.contacts set is_deleted = false")
    w.resolve()
    assert w.ids()["a:1"] != first


def test_a_merge_undone_gives_both_their_ids_back(warehouse: Any) -> None:
    w = warehouse
    w.contact("a:1", first_name="Ann", email="ann@lee.org")
    w.contact("a:2", first_name="Ann", email="ann@lee.org")
    w.contact("b:1", first_name="Ann", phone="+1 617 555 0134")
    w.resolve()
    old = w.ids()
    w.contact("m:1", first_name="Ann", email="ann@lee.org", phone="+1 617 555 0134")
    w.resolve()
    (survivor,) = set(w.ids().values())
    assert survivor in old.values()
    w.delete("m:1")
    w.resolve()
    assert w.ids() == old
    (retired,) = set(old.values()) - {survivor}
    assert w.events() == [("split", survivor, retired)]
    assert resolve_forward(w.con, retired) == retired


def test_a_contact_that_changes_its_mind_is_reassigned(warehouse: Any) -> None:
    w = warehouse
    for key, email in (
        ("a:1", "ann@lee.org"),
        ("a:2", "ann@lee.org"),
        ("b:1", "bob@ray.org"),
        ("m:1", "ann@lee.org"),
    ):
        w.contact(key, first_name="Ann", email=email)
    w.resolve()
    before = w.ids()
    w.con.execute(
        "update canonical.identifiers set identifier_value = 'bob@ray.org' where node_key = 'm:1'"
    )
    w.resolve()
    assert w.ids() == before | {"m:1": before["b:1"]}
    assert w.events() == [("reassign", before["a:1"], before["b:1"])]


def test_a_rule_change_keeps_ids_whose_customers_stay(warehouse: Any) -> None:
    w = warehouse
    w.contact("a:1", first_name="Ann", email="ann@lee.org")
    w.contact("a:2", first_name="Ann", email="ann@lee.org")
    w.contact("b:1", first_name="Bob", email="bob@ray.org")
    w.resolve()
    before = w.ids()
    w.rules = replace(w.rules, config_hash="another")
    assert not w.resolve().unchanged
    assert w.ids() == before
    assert w.events() == []


def test_new_ids_are_salted_until_unused() -> None:
    first = new_id("a:1", set())
    second = new_id("a:1", {first})
    assert first.startswith("cus_") and len(first) == 20
    assert second not in (first, new_id("a:1", {first, second}))


def test_the_oldest_id_survives_though_every_run_has_the_same_now(warehouse: Any) -> None:
    w = warehouse
    numbers = [f"+1 617 555 01{n:02d}" for n in range(6)]
    first: set[str] = set()
    for (
        number
    ) in numbers:  # six ids in six runs: the oldest is the smallest by chance one time in six
        w.contact(f"a:{number[-2:]}", first_name="Ann", phone=number)
        w.resolve(hours=0)
        first = first or set(w.ids().values())
    w.contact("m:1", first_name="Ann")
    for number in numbers:
        w.identifier("m:1", "phone", number)
    w.resolve(hours=0)
    assert set(w.ids().values()) == first
