"""Former states come back, stay until applied away, and too large a change waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity import past
from identity.configs import Config
from identity.lookup import resolve_forward
from identity.rollback import RollbackError
from identity.rules import Rules, parse
from identity.steering import retrain


def without_email_rules(rules: Rules) -> Rules:
    """The same rules, but emails link nobody."""
    return parse(
        rules.text.replace(
            "    plus_tags: true", "    plus_tags: false\n    blocked_patterns: ['@']"
        )
        .replace("    blocked_patterns: # regular", "    # regular")
        .replace('      - "^(info', '    #- "^(info')
        .replace('      - "^(no', '    #- "^(no')
        .replace('      - "@(ex', '    #- "@(ex'),
        Path("rules.yml"),
    )


def test_a_rollback_undoes_a_change_of_rules_and_of_decisions_until_apply(warehouse: Any) -> None:
    w = warehouse
    for key in ("a:1", "a:2"):
        w.contact(key, first_name="Ann", email="ann@lee.org")
    w.contact("b:1", first_name="Bob", email="bob@ray.org")
    w.steer()
    first = w.ids()
    w.decide("never_link", "a:1", "a:2")
    w.decide("always_link", "a:1", "b:1")
    w.steer()
    second = w.ids()
    assert second["a:1"] == second["b:1"] != second["a:2"]
    w.rollback(1)
    assert w.ids() == first
    assert w.con.execute(
        "select distinct reason from identity.history where run_id = 'run-3'"
    ).fetchall() == [("rollback to run-1",)]
    w.contact("c:1", first_name="Cy", email="cy@fox.org")
    steered = w.steer()
    assert w.ids() == first | {"c:1": w.ids()["c:1"]}
    assert "in force since the rollback" in steered.notes[0]
    assert w.steer().summary.unchanged
    w.steer(is_apply=True)
    assert {k: v for k, v in w.ids().items() if k != "c:1"} == second
    assert w.steer().notes == ()


def test_a_rollback_undoes_what_new_records_did_and_the_next_run_does_not_redo_it(
    warehouse: Any,
) -> None:
    w = warehouse
    w.contact("a:1", first_name="Ann", email="ann@lee.org")
    w.contact("b:1", first_name="Ann", phone="+1 617 555 0134")
    w.steer()
    first = w.ids()
    w.contact("m:1", first_name="Ann", email="ann@lee.org", phone="+1 617 555 0134")
    w.steer()
    assert len(set(w.ids().values())) == 1
    w.rollback(1)
    assert {k: v for k, v in w.ids().items() if k != "m:1"} == first
    w.contact("c:1", first_name="Cy", email="cy@fox.org")
    w.steer()
    assert {key: w.ids()[key] for key in first} == first


def test_a_rollback_holds_though_its_rules_are_read_no_more(warehouse: Any) -> None:
    w = warehouse
    for key in ("a:1", "a:2"):
        w.contact(key, first_name="Ann", email="ann@lee.org")
    w.decide("never_link", "a:1", "a:2")
    w.steer()
    first = w.ids()
    w.overrides = ()
    w.steer()
    w.con.execute("update identity.configs set rules = 'version: 0'")
    w.rollback(1)
    assert w.ids() == first
    w.con.execute("update identity.configs set rules = 'version: 0'")
    w.contact("c:1", first_name="Cy", email="cy@fox.org")
    w.steer()
    assert {key: w.ids()[key] for key in first} == first


def test_a_run_that_nobody_knows_cannot_be_restored(warehouse: Any) -> None:
    warehouse.contact("a:1", first_name="Ann")
    warehouse.steer()
    with pytest.raises(RollbackError, match="identity runs"):
        warehouse.rollback(7)


def test_too_large_a_change_waits_and_the_run_goes_on_as_before(
    warehouse: Any, rules: Rules
) -> None:
    w = warehouse
    for n in range(40):
        for source in ("a", "b"):
            w.contact(f"{source}:{n}", first_name="Ann", email=f"ann{n}@lee.org")
    w.steer()
    before = w.ids()
    w.rules = without_email_rules(rules)
    w.contact("c:1", first_name="Ann", email="ann1@lee.org")
    steered = w.steer()
    assert "max_changed_share" in steered.left_out[0]
    assert w.ids() == before | {"c:1": before["a:1"]}
    again = w.steer()
    assert again.summary.unchanged and again.left_out
    w.steer(is_apply=True)
    assert w.ids()["a:1"] != w.ids()["b:1"]
    after = w.steer()
    assert after.summary.unchanged and not after.left_out


def test_a_model_that_the_data_drifted_to_is_held_to_the_guard(warehouse: Any) -> None:
    w = warehouse
    for n in range(40):
        for source in ("a", "b"):
            w.contact(f"{source}:{n}", first_name="Ann", email=f"ann{n}@lee.org")
    w.steer()
    first = model_ids(w)
    for table, key in (("contacts", "contact_key"), ("identifiers", "node_key")):
        lost = f"{key} like 'b:%' and {key} not in ('b:1', 'b:2')"
        if table == "contacts":
            w.con.execute(f"update canonical.contacts set email = null where {lost}")
        else:
            w.con.execute(f"delete from canonical.identifiers where {lost}")
    steered = w.steer()
    assert "the data is no longer like what the model was trained on" in steered.left_out[0]
    assert model_ids(w) == first
    assert w.ids()["a:3"] != w.ids()["b:3"]  # what the data says counts, by the kept model
    again = w.steer()
    assert again.summary.unchanged and again.left_out == steered.left_out
    w.contact("c:1", first_name="Ann", email="ann1@lee.org")
    placed = w.steer()
    assert placed.left_out and w.ids()["c:1"] == w.ids()["a:1"]
    assert placed.summary.scope is not None  # drift no longer costs a run of everything
    w.runs += 1
    retrain(w.con, Config(w.rules), run_id=f"run-{w.runs}", now=datetime(2026, 8, 1))
    assert len(model_ids(w)) == 2
    after = w.steer()
    assert after.summary.unchanged and not after.left_out


def test_a_drifted_model_that_changes_little_is_trained_anew(warehouse: Any) -> None:
    w = warehouse
    for n in range(10):
        w.contact(f"a:{n}", first_name="Ann", email=f"ann{n}@lee.org")
    w.steer()
    for n in range(10):
        w.contact(f"b:{n}", first_name="Ann", email=f"ann{n}@lee.org")
    steered = w.steer()
    assert not steered.left_out and len(model_ids(w)) == 2
    assert "trained anew" in " ".join(steered.notes)


def model_ids(w: Any) -> list[str]:
    rows = w.con.execute(
        "select model_id from identity_state.models order by trained_at"
    ).fetchall()
    return [str(model_id) for (model_id,) in rows]


def test_a_changed_program_leaves_yesterdays_ids(warehouse: Any, monkeypatch: Any) -> None:
    w = warehouse
    for n in range(40):
        for source in ("a", "b"):
            w.contact(f"{source}:{n}", first_name="Ann", email=f"ann{n}@lee.org")
    w.steer()
    before = w.ids()
    monkeypatch.setattr("identity.resolve.CODE_VERSION", "another")
    w.rules = replace(without_email_rules(w.rules), config_hash=w.rules.config_hash)
    assert "new records have no customer" in w.steer().left_out[0]
    assert w.ids() == before


KEYS = [f"s:{n}" for n in range(6)]
STEP = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["u1", "u2", "u3", ""])), max_size=6
)


@settings(max_examples=5, deadline=None)
@given(steps=st.lists(STEP, min_size=2, max_size=5))
def test_every_former_state_can_be_read_and_restored(
    steps: list[list[tuple[str, str]]], new_warehouse: Any
) -> None:
    w = new_warehouse()
    states: list[dict[str, str]] = []
    ever: dict[str, set[str]] = {}
    for step in steps:
        for key, login in step:
            w.con.execute("delete from canonical.contacts where contact_key = ?", [key])
            w.con.execute("delete from canonical.identifiers where node_key = ?", [key])
            if login:
                w.contact(key, first_name="Ann", user_id=login)
        if w.resolve().unchanged:
            w.runs -= 1
        else:
            states.append(w.ids())
        for node, customer in w.ids().items():
            ever.setdefault(customer, set()).add(node)
    for number, state in enumerate(states, start=1):
        rows = w.con.execute(
            f"select node_key, customer_id from {past.members_after('memory', number)}"
        ).fetchall()
        assert dict(rows) == state
    for customer in ever:  # every id leads to today's, or to nothing
        current = resolve_forward(w.con, customer)
        assert current is None or current in w.ids().values()
        assert (current == customer) == (customer in w.ids().values())
    for customer in ever:  # an id that comes back stands for people that it stood for
        last: set[str] = set()
        was_there = False
        for state in states:
            having = {node for node, c in state.items() if c == customer}
            if having and last and not was_there:
                assert having <= last
            last, was_there = having or last, bool(having)
    today = w.ids()
    w.rollback(1)
    former = states[0]
    assert {k: v for k, v in w.ids().items() if k in former} == {
        k: v for k, v in former.items() if k in today
    }


@settings(max_examples=3, deadline=None)
@given(groups=st.lists(st.integers(1, 3), min_size=2, max_size=4))
def test_a_merge_undone_restores_every_id(groups: list[int], new_warehouse: Any) -> None:
    w = new_warehouse()
    for number, size in enumerate(groups):
        for n in range(size):
            w.contact(f"g{number}:{n}", first_name="Ann", user_id=f"u{number}")
    w.resolve()
    before = w.ids()
    w.contact("m:1", first_name="Ann")
    for number in range(len(groups)):
        w.identifier("m:1", "user_id", f"u{number}")
    w.resolve()
    assert len(set(w.ids().values())) == 1
    w.delete("m:1")
    w.resolve()
    assert w.ids() == before
