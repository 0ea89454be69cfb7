"""What people decided holds: against evidence, caps and third records, through reruns."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.contradictions import refuse
from identity.lookup import spellings
from identity.overrides import parse, read
from identity.rules import Rules, RulesError

ENTRY = """
overrides:
  - action: never_link
    left: crm:1
    right: {email: jo@example.com}
    author: jo
    reason: twins
    created_at: 2026-07-01 12:00:00
"""


def test_a_file_is_read(tmp_path: Path, rules: Rules) -> None:
    path = tmp_path / "overrides.yml"
    assert read(path, rules) == ()
    path.write_text("# nothing yet\n")
    assert read(path, rules) == ()
    path.write_text("overrides: []\n")
    assert read(path, rules) == ()
    path.write_text(ENTRY)
    (found,) = read(path, rules)
    assert (found.action, found.left, found.right) == (
        "never_link",
        "crm:1",
        "email=jo@example.com",
    )


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("never_link", "never_lnik", "overrides[1].action` is `never_lnik`; did you mean"),
        ("author: jo", "autor: jo", "did you mean `author`?"),
        ("email: jo", "emial: jo", "did you mean `email`?"),
        ("left: crm:1", "left: crm1", "`overrides[1].left` is no contact key (source:id)"),
        ("left: crm:1", "left: anon:1", "is a visitor"),
        ("right: {email: jo@example.com}", "right: crm:1", "is the same as `left`"),
        ("    reason: twins\n", "", "overrides[1].reason` is missing"),
        ("2026-07-01 12:00:00", "yesterday", "no time like"),
        ("overrides:", "overrides", "not valid YAML"),
    ],
)
def test_a_mistake_is_named(wrong: str, right: str, said: str, rules: Rules) -> None:
    with pytest.raises(RulesError, match=r"overrides\.yml") as error:
        parse(ENTRY.replace(wrong, right), Path("overrides.yml"), rules)
    assert said in str(error.value)


@pytest.mark.parametrize("side", ["jo@example.com", "16175550134", "{phone: 16175550134}"])
def test_a_mistake_does_not_repeat_personal_values(side: str, rules: Rules) -> None:
    with pytest.raises(RulesError) as error:
        parse(ENTRY.replace("crm:1", side), Path("overrides.yml"), rules)
    assert "overrides[1].left" in str(error.value)
    assert "jo@" not in str(error.value) and "1617" not in str(error.value)


def test_contradictions_are_found_in_time_that_grows_with_the_decisions() -> None:
    always = [(f"s:{n}", f"s:{n + 1}", "chain") for n in range(20_000)]
    never = [(f"s:{n}", f"t:{n}", "apart") for n in range(20_000)]
    places = {"chain": "one", "apart": "two", "wrong": "three"}
    began = time.monotonic()
    refuse(always, never, places)
    with pytest.raises(RulesError, match=r"three \(never_link\) contradicts one \(always_link\)"):
        refuse(always, [*never, ("s:0", "s:20000", "wrong")], places)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("typed", ["+1 (617) 555-0134", "001 617 555 0134", "+1 (0)617.555.0134"])
def test_a_phone_with_its_country_is_found_however_it_is_typed(typed: str) -> None:
    assert "+16175550134" in spellings(typed)
    assert not [form for form in spellings("617 555 0134") if form.startswith("+")]


def test_a_phone_in_a_decision_need_not_be_typed_as_it_stands(warehouse: Any) -> None:
    w = warehouse
    w.contact("a:1", first_name="Ann", phone="+1 617 555 0134")
    w.contact("b:1", first_name="Bob", last_name="Ray")
    w.decide("always_link", "{phone: '001 (617) 555-0134'}", "b:1")
    assert w.resolve().warnings == ()
    assert len(set(w.ids().values())) == 1


def test_a_record_that_carries_both_values_is_left_out_and_the_rest_kept_apart(
    warehouse: Any,
) -> None:
    w = warehouse
    for key in ("a:1", "b:1", "c:1"):
        w.contact(key, first_name="Ann")
    for key, value in (
        ("a:1", "a@lee.org"),
        ("b:1", "b@lee.org"),
        ("c:1", "a@lee.org"),
        ("c:1", "b@lee.org"),
    ):
        w.identifier(key, "email", value)
    w.decide("never_link", "{email: a@lee.org}", "{email: b@lee.org}")
    (warning,) = w.resolve().warnings
    assert "c:1 carries both values and is left out of that decision" in warning
    assert "lee.org" not in warning
    assert w.ids()["a:1"] != w.ids()["b:1"]
    w.overrides = ()
    w.decide("never_link", "a:1", "{email: a@lee.org}")
    (warning,) = w.resolve().warnings
    assert "a:1 carries the value itself" in warning
    assert w.ids()["a:1"] != w.ids()["c:1"]


def test_never_link_keeps_apart_what_evidence_joins_and_survives_reruns(warehouse: Any) -> None:
    w = warehouse
    for key in ("a:1", "b:1", "c:1"):
        w.contact(key, first_name="Ann", email="ann@lee.org")
    w.decide("never_link", "a:1", "c:1")
    w.resolve()
    ids = w.ids()
    assert ids["a:1"] != ids["c:1"]
    w.contact("d:1", first_name="Ann", email="ann@lee.org")
    w.resolve()
    assert w.ids()["a:1"] == ids["a:1"] != w.ids()["c:1"] == ids["c:1"]
    reasons = w.con.execute(
        "select inactive_reason from identity.edges where left_key = 'a:1' and right_key = 'c:1'"
    ).fetchall()
    assert set(reasons) == {("override: never_link",)}


def test_always_link_beats_vetoes_and_caps(warehouse: Any) -> None:
    w = warehouse
    w.rules = replace(w.rules, guards=replace(w.rules.guards, max_cluster_size=2))
    w.contact("a:1", first_name="Ann", last_name="Lee", birth_date="1980-05-17")
    w.contact("b:1", first_name="Bob", last_name="Ray", birth_date="1955-01-30")
    w.contact("c:1", first_name="Cy", last_name="Fox", birth_date="1961-03-02")
    w.decide("always_link", "a:1", "b:1")
    w.decide("always_link", "b:1", "c:1")
    w.resolve()
    assert len(set(w.ids().values())) == 1
    assert w.con.execute(
        "select match_type, is_active, count(*) from identity.edges group by all"
    ).fetchall() == [("override", True, 2)]
    assert w.con.execute("select count(*) from identity.overrides").fetchall() == [(2,)]


def test_an_identifier_stands_for_all_its_carriers(warehouse: Any) -> None:
    w = warehouse
    for key in ("a:1", "a:2"):
        w.contact(key, first_name="Ann", email="ann@lee.org")
    for key in ("b:1", "b:2"):
        w.contact(key, first_name="Ann", email="bo@ray.org")
    w.decide("always_link", "{email: Ann@Lee.org}", "b:1")
    w.resolve()
    assert len({w.ids()[key] for key in ("a:1", "a:2", "b:1", "b:2")}) == 1
    w.overrides = ()
    w.decide("never_link", "{email: ann@lee.org}", "b:1")
    w.resolve()
    assert len({w.ids()[key] for key in ("a:1", "a:2", "b:1", "b:2")}) == 2


def test_decisions_that_contradict_each_other_are_both_named(warehouse: Any) -> None:
    w = warehouse
    for key in ("a:1", "b:1", "c:1"):
        w.contact(key, first_name="Ann")
    w.decide("always_link", "a:1", "b:1")
    w.decide("always_link", "b:1", "c:1")
    w.decide("never_link", "c:1", "a:1")
    with pytest.raises(RulesError, match=r"never_link.*contradicts.*always_link.*remove one"):
        w.resolve()


def test_a_decision_about_nobody_waits(warehouse: Any) -> None:
    w = warehouse
    w.contact("a:1", first_name="Ann", last_name="Lee")
    w.decide("always_link", "a:1", "b:1")
    (warning,) = w.resolve().warnings
    assert "no record is known by b:1" in warning
    w.contact("b:1", first_name="Bob", last_name="Ray")
    assert w.resolve().warnings == ()
    assert len(set(w.ids().values())) == 1


KEYS = [f"s:{n}" for n in range(7)]
PAIRS = st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)).filter(lambda p: p[0] < p[1])


@settings(max_examples=6, deadline=None)
@given(
    shared=st.lists(PAIRS, max_size=10, unique=True),
    decided=st.lists(PAIRS, min_size=1, max_size=6, unique=True),
    always=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_whatever_the_evidence_decisions_hold(
    shared: list[tuple[str, str]],
    decided: list[tuple[str, str]],
    always: list[bool],
    new_warehouse: Any,
) -> None:
    w = new_warehouse()
    for key in KEYS:
        w.contact(key, first_name="Ann")
    for left, right in shared:  # a login of their own joins each pair
        w.identifier(left, "user_id", f"{left}{right}")
        w.identifier(right, "user_id", f"{left}{right}")
    for (left, right), is_always in zip(decided, always, strict=False):
        w.decide("always_link" if is_always else "never_link", left, right)
    try:
        w.resolve()
    except RulesError as error:
        assert "contradicts" in str(error)
        return
    ids = w.ids()
    for override in w.overrides:
        together = ids[override.left] == ids[override.right]
        assert together == (override.action == "always_link")


@pytest.mark.parametrize("value", ["email:jo@example.com", "phone:+1 617-555-0134"])
def test_an_identifier_written_as_a_key_is_not_repeated(warehouse: Any, value: str) -> None:
    warehouse.contact("crm:1", first_name="Ann")
    warehouse.decide("never_link", "crm:1", value)
    (warning,) = warehouse.resolve().warnings
    kind, _, secret = value.partition(":")
    assert secret not in warning and f"no source is called {kind}" in warning


def test_a_key_of_a_source_is_named_though_it_looks_like_a_number(warehouse: Any) -> None:
    warehouse.contact("crm:1", first_name="Ann")
    warehouse.decide("never_link", "crm:1", "crm:6175550134")
    (warning,) = warehouse.resolve().warnings
    assert "no record is known by crm:6175550134" in warning
